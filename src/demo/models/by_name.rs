//! Several embedders in one server: the name in a request chooses.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::{Mutex, OnceCell};

use super::{Embedder, reply::Reply};

type Loading = BoxFuture<'static, anyhow::Result<Embedder>>;

/// Embedders that are chosen by their names. Each is loaded when it is first asked for.
///
/// Names are compared as those of model cards are: without regard to case, a vendor's prefix or a tag.
#[derive(Clone)]
pub struct ByName(Arc<[Offer]>);

/// An embedder that is loaded when it is first asked for.
pub struct Offer {
    id: &'static str,
    load: Box<dyn Fn() -> Loading + Send + Sync>,
    /// Stays here when the client that waits for it goes away: the next one continues the download.
    loading: Mutex<Option<Loading>>,
    loaded: OnceCell<Embedder>,
}

impl ByName {
    /// Offers these, in the order of `/v1/models`.
    pub fn new(offers: impl IntoIterator<Item = Offer>) -> Self {
        Self(offers.into_iter().collect())
    }

    /// Loads the embedder with this name, if it is offered, so that no request waits for it.
    pub async fn prepare(&self, name: &str) -> anyhow::Result<()> {
        if let Some(offer) = self.offer(name) {
            offer.embedder().await?;
        }
        Ok(())
    }

    pub(super) fn ids(&self) -> Vec<&'static str> {
        self.0.iter().map(|offer| offer.id).collect()
    }

    pub(super) async fn find(&self, name: &str) -> Result<Embedder, Reply> {
        let offer = self.offer(name).ok_or_else(|| Reply::unknown_model(name, &self.ids().join(", ")))?;
        offer.embedder().await.map_err(|error| Reply::model_failure(&error))
    }

    fn offer(&self, name: &str) -> Option<&Offer> {
        let bare = name.rsplit('/').next().and_then(|name| name.split(':').next())?;
        self.0.iter().find(|offer| offer.id.eq_ignore_ascii_case(bare))
    }
}

impl Offer {
    /// Offers an embedder under this name. A failed load is repeated when the embedder is asked for again.
    pub fn new<L>(id: &'static str, load: impl Fn() -> L + Send + Sync + 'static) -> Self
    where
        L: Future<Output = anyhow::Result<Embedder>> + Send + 'static,
    {
        let load = Box::new(move || Box::pin(load()) as Loading);
        Self { id, load, loading: Mutex::default(), loaded: OnceCell::new() }
    }

    async fn embedder(&self) -> anyhow::Result<Embedder> {
        let load = async || {
            let mut loading = self.loading.lock().await;
            let loaded = loading.get_or_insert_with(&self.load).await;
            *loading = None;
            loaded
        };
        self.loaded.get_or_try_init(load).await.cloned()
    }
}
