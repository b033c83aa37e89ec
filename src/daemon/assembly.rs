//! Builds the jobs from the settings.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::Context;
use futures::future::join_all;
use secrecy::ExposeSecret;

use crate::{
    answering::{
        complete::Composer, fallback::FallbackSettings, job::AnswerQuestion, known_fields::KnownFields,
        outdated::OutdatedAnswers, retrieve::Retriever,
    },
    catalogue::{Catalogue, CatalogueError},
    config::{self, Config, Retrieval, Source},
    daemon::plan::PlanCatalogue,
    evaluation::job::Eval,
    indexing::{
        chunking::Chunking, fill::FillIndex, maintain::MaintainIndex, refresh::RefreshDocument,
        versions::Versions,
    },
    job::RENDERING,
    model::rate_limit::Waiting,
    source::postgres::PostgresSource,
    store::Store,
    sync::reconcile::{SyncCatalogue, SyncedSource},
    webhook::{Webhook, job::DeliverWebhook},
};

mod models;
mod sources;

use models::{chunking, composer, ranker, versions};
use sources::sources;

/// The jobs of a configuration, ready to run.
#[expect(missing_docs, reason = "the names say it")]
pub struct Parts {
    pub sync: Arc<SyncCatalogue>,
    pub refresh: Arc<RefreshDocument>,
    pub retriever: Arc<Retriever>,
    pub composer: Arc<Composer>,
    pub answer: Arc<AnswerQuestion>,
    pub outdated: Arc<OutdatedAnswers>,
    pub deliver: Arc<DeliverWebhook>,
    pub eval: Arc<Eval>,
    pub fill: Arc<FillIndex>,
    pub maintain: Arc<MaintainIndex>,
    pub versions: Arc<Versions>,
    /// Jobs that wait in their slots for the budget of a model.
    pub waiting: Waiting,
    catalogues: Vec<(String, Arc<dyn Catalogue>)>,
    postgres: Vec<(String, Arc<PostgresSource>)>,
}

/// Builds the jobs for a process that writes the index, declares their kinds, and creates the first version if there is
/// none.
pub async fn prepare(config: &Config, store: &Store) -> anyhow::Result<Parts> {
    let parts = assemble(config, store).await?;
    super::declare_kinds(store).await?;
    store.open_index(&config.embedding.model, config.embedding.dimensions.get()).await?;
    if let Some(second) = &config.embedding.second
        && store.is_unused().await?
    {
        let second = store.open_second_index(&second.model, second.dimensions.get()).await?;
        FillIndex::enqueue(store, second.id).await?;
    }
    parts.versions.keep_forms().await?;
    Ok(parts)
}

/// One source, and how its texts are cut; nothing is connected yet.
pub fn previewed(config: &Config, name: &str) -> anyhow::Result<(Arc<dyn Catalogue>, Chunking)> {
    let sources = sources(config, "")?;
    let found = config.sources.iter().zip(sources.catalogues).find(|(source, _)| source.name == name);
    let (_, catalogue) = found.with_context(|| format!("the settings have no source `{name}`"))?;
    let chunking = chunking(&config.embedding, &config.embedding, &|view| view.document.clone())?;
    Ok((catalogue, chunking))
}

/// Builds the jobs. Reads only our own database, and writes nothing.
pub async fn assemble(config: &Config, store: &Store) -> anyhow::Result<Parts> {
    let waiting = Waiting::default();
    let versions = Arc::new(versions(config, store, &waiting).await?);
    // A change of how documents are cut, for any model, is a change of every row.
    let cutting: BTreeSet<_> = versions.models().map(|model| model.chunking.settings()).collect();
    let sources = sources(config, &cutting.into_iter().collect::<Vec<_>>().join(", "))?;
    let catalogues = |wanted: &dyn Fn(&Source) -> bool| -> BTreeMap<String, Arc<dyn Catalogue>> {
        let chosen = config.sources.iter().zip(&sources.catalogues).filter(|(source, _)| wanted(source));
        chosen.map(|(source, catalogue)| (source.name.clone(), catalogue.clone())).collect()
    };
    let synced = config.sources.iter().zip(&sources.catalogues).map(|(source, catalogue)| {
        let synced = SyncedSource {
            catalogue: catalogue.clone(),
            mass_delete: source.mass_delete_limit,
            set_aside: source.set_aside_limit,
        };
        (source.name.clone(), synced)
    });
    let guards = config.sources.iter().map(|source| (source.name.clone(), source.mass_delete_limit));
    // A feed has no single rows to read: stored metadata is used.
    let is_live = |source: &Source| source.kind.has_live_metadata();
    let refresh =
        RefreshDocument::new(store.clone(), catalogues(&|_| true), guards.collect(), versions.clone());
    let refresh = Arc::new(refresh);
    let grouped = config.sources.iter().filter(|source| source.kind.rendering().group.is_some());
    let retriever = Arc::new(Retriever {
        store: store.clone(),
        versions: versions.clone(),
        live: catalogues(&is_live),
        grouped: grouped.map(|source| source.name.clone()).collect(),
        top_k: config.answers.top_k.get(),
        names: config.answers.retrieval == Retrieval::Hybrid,
        fields: config.answers.constraints.then(|| KnownFields::new(store.clone())),
        ranker: ranker(config, store, &waiting)?,
    });
    let composer = Arc::new(composer(config, store, &waiting).await?);
    let answer = Arc::new(AnswerQuestion {
        store: store.clone(),
        retriever: retriever.clone(),
        composer: composer.clone(),
        fallback: FallbackSettings {
            escalate_above_distance: config.answers.escalate_above_distance,
            fallback: config.answers.fallback.clone(),
            model: config.answers.model.clone(),
        },
        limits: config.answers.limits.clone(),
        daily_usd: config.budget.answers_usd,
    });
    let outdated = Arc::new(OutdatedAnswers {
        store: store.clone(),
        sources: config.sources.iter().map(|source| source.name.clone()).collect(),
        live: retriever.live.clone(),
    });
    let servers = config.embeddings().map(|embedding| embedding.endpoint.base_url.to_string());
    let servers = servers.chain([RENDERING.to_owned()]).collect();
    Ok(Parts {
        sync: Arc::new(SyncCatalogue { store: store.clone(), sources: synced.collect(), servers }),
        refresh: refresh.clone(),
        deliver: Arc::new(DeliverWebhook { store: store.clone(), webhooks: receivers(&config.webhooks)? }),
        fill: Arc::new(FillIndex {
            store: store.clone(),
            versions: versions.clone(),
            refresh: refresh.clone(),
        }),
        maintain: Arc::new(MaintainIndex { store: store.clone() }),
        eval: Arc::new(Eval {
            store: store.clone(),
            retriever: retriever.clone(),
            composer: composer.clone(),
        }),
        retriever,
        composer,
        answer,
        outdated,
        versions,
        waiting,
        catalogues: catalogues(&|_| true).into_iter().collect(),
        postgres: sources.postgres,
    })
}

fn receivers(webhooks: &[config::Webhook]) -> anyhow::Result<BTreeMap<String, Webhook>> {
    let receivers = webhooks.iter().map(|webhook| {
        let secret = webhook.secret.expose_secret();
        let receiver = Webhook::new(webhook.url.expose().clone(), secret, webhook.allow_private_addresses)?;
        Ok((webhook.name.clone(), receiver))
    });
    receivers.collect()
}

/// Builds the planner of syncs.
pub fn planner(parts: &Parts) -> PlanCatalogue {
    PlanCatalogue { sync: parts.sync.clone(), refresh: parts.refresh.clone() }
}

impl Parts {
    /// The sources in PostgreSQL, by name.
    pub fn postgres_sources(&self) -> impl Iterator<Item = (&str, &PostgresSource)> {
        self.postgres.iter().map(|(name, source)| (name.as_str(), &**source))
    }

    /// All sources, by name.
    pub fn catalogues(&self) -> impl Iterator<Item = (&str, &dyn Catalogue)> {
        self.catalogues.iter().map(|(name, catalogue)| (name.as_str(), &**catalogue))
    }

    /// Checks every source, and logs those that cannot be read. The others are read, and questions are answered.
    pub async fn say_source_faults(&self) {
        join_all(self.catalogues.iter().map(async |(_, catalogue)| match catalogue.check().await {
            Ok(()) => {}
            Err(error @ (CatalogueError::Unreachable { .. } | CatalogueError::Broken { .. })) => {
                tracing::warn!("{error}; retrying");
            }
            Err(error @ CatalogueError::Misfit { .. }) => {
                tracing::error!("{error}; documents that cannot be read stay unchanged");
            }
        }))
        .await;
    }
}
