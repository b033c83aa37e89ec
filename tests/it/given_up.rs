//! Work that is dropped at any await point, as when a job loses its lease or times out: the next work on the same
//! connection is not affected.

use std::{future::poll_fn, pin::pin, task::Poll};

use crate::prelude::*;
use futures::TryStreamExt;
use serde_json::value::RawValue;
use shopkeeper::model::InputForm;
use shopkeeper::{
    catalogue::{Catalogue, Document, DocumentId, Fingerprint},
    indexing::chunk::{Chunk, Chunks, EmbeddedChunk},
    store::documents::{Content, DocumentWrite, KnownDocument, WriteOutcome},
};

/// How far work gets. How many awaits are one step depends on how soon the server replies.
const STEPS: std::ops::RangeInclusive<usize> = 1..=20;

const ROUNDS: usize = 40;

/// Does so many steps of some work and no more; its result if that was all of it.
async fn steps<T>(number: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut left = number;
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => {
            left -= 1;
            if left == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}

#[tokio::test]
async fn a_listing_that_is_given_up_leaves_nothing_old_to_be_read() {
    let world = World::with(SHOP, &(SOURCE.to_owned() + "max_connections = 1\n")).await;
    let source = world.source();
    let mut ended = 0;
    for number in STEPS.cycle().take(ROUNDS) {
        let listed = async { source.list().await?.rows.try_collect::<Vec<_>>().await };
        let listed = steps(number, listed).await;
        // A transaction that was left open would see the shop as it is now.
        source.read(&["1".to_owned()]).await.unwrap();
        world.in_shop(&format!("update product set name = 'Name {number}' where id = 1")).await;
        let read = source.read(&["1".to_owned()]).await.unwrap();
        assert_eq!(read[0].as_ref().unwrap().title, format!("Name {number}"), "after {number} steps");
        if let Some(listed) = listed {
            assert_eq!(listed.unwrap().len(), 3);
            ended += 1;
        }
    }
    assert!((1..ROUNDS).contains(&ended), "{ended} ended");
}

pub(crate) fn product(key: &str) -> DocumentId {
    DocumentId { source: "product".to_owned(), key: key.to_owned() }
}

pub(crate) fn document(key: &str, text: &str) -> Arc<Document> {
    Arc::new(Document {
        key: key.to_owned(),
        title: text.to_owned(),
        text: text.to_owned(),
        link: None,
        sku: None,
        group: None,
        metadata: RawValue::from_string("{}".to_owned()).unwrap(),
        row_hash: 1,
    })
}

pub(crate) async fn known(store: &Store, id: &DocumentId) -> KnownDocument {
    store.indexed(1, std::iter::once(id)).await.unwrap().remove(id).unwrap()
}

/// A write of this text to a document of which this is known.
pub(crate) fn written(id: &DocumentId, known: &KnownDocument, text: &str) -> DocumentWrite {
    let chunk = Chunk { content: text.to_owned(), input: text.to_owned(), tokens: 1 };
    let hash = chunk.hash(&InputForm::default());
    let fresh = vec![EmbeddedChunk { ordinal: 1, chunk, hash, vector: vec![0.5; 64] }];
    let chunks = Some(Chunks { fresh, ..Chunks::default() });
    let fingerprint = Fingerprint([u8::try_from(text.len()).unwrap(); 32]);
    let content =
        Content { document: document(&id.key, text), known: known.fingerprint, fingerprint, chunks };
    DocumentWrite { id: id.clone(), revision: known.revision, lease: None, content: Some(content) }
}

pub(crate) async fn write(store: &Store, write: DocumentWrite) -> Result<Vec<WriteOutcome>, StoreError> {
    store.refresh(1, Some(1), &[write], &BTreeMap::new()).await
}

#[tokio::test]
async fn a_write_that_is_given_up_takes_nothing_with_it_that_is_written_after_it() {
    let world = World::synced().await;
    let (store, id) = (one_connection(&world).await, product("1"));
    let mut finished = 0;
    for number in STEPS.cycle().take(ROUNDS) {
        let before = known(&store, &id).await;
        let ended = steps(number, write(&store, written(&id, &before, &format!("Step {number}.")))).await;
        store.refresh_one(&id).await.unwrap();
        let seen: i64 = world.value("select revision from shopkeeper.document where key = '1'").await;
        assert_eq!(seen, before.revision + 1, "after {number} steps");
        let whole = written(&id, &known(&store, &id).await, &format!("All of {number}."));
        assert_eq!(write(&store, whole).await.unwrap(), [WriteOutcome::Fresh], "after {number} steps");
        assert_eq!(world.content("1").await, format!("All of {number}."));
        if let Some(ended) = ended {
            assert_eq!(ended.unwrap(), [WriteOutcome::Fresh]);
            finished += 1;
        }
    }
    assert!((1..ROUNDS).contains(&finished), "{finished} ended");
}

async fn one_connection(world: &World) -> Store {
    Store::open(&DatabaseSettings { max_connections: 1, ..reach(&world.url()) }).await.unwrap()
}

#[tokio::test]
async fn a_statement_that_is_given_up_leaves_its_connection_to_the_next() {
    let store = one_connection(&World::synced().await).await;
    let keys = ["1".to_owned(), "2".to_owned()];
    for number in STEPS.cycle().take(ROUNDS) {
        let hashes = steps(number, store.listed_hashes("product", &keys)).await;
        assert!(hashes.is_none_or(|hashes| hashes.unwrap().len() == 2));
        assert!(store.index_before().await.unwrap().is_none(), "after {number} steps");
        assert!(steps(number, store.has_listed_all()).await.is_none_or(|listed| listed.unwrap()));
        assert_eq!(store.listed_hashes("product", &keys).await.unwrap().len(), 2, "after {number} steps");
    }
}
