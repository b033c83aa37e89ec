//! Writers of the same documents wait for each other, and never in a circle.

use crate::{
    given_up::{document, product},
    prelude::*,
};
use shopkeeper::{
    catalogue::{Fingerprint, ListedRow},
    store::documents::{Content, DocumentWrite, WriteOutcome},
};

/// Enough that two writers meet in the middle.
const DOCUMENTS: usize = 200;
const ROUNDS: i64 = 20;

fn key(number: usize) -> String {
    format!("{number:03}")
}

fn write(number: usize, revision: i64, content: Option<Content>) -> DocumentWrite {
    DocumentWrite { id: product(&key(number)), revision, lease: None, content }
}

fn content(number: usize, fingerprint: Fingerprint, known: Option<Fingerprint>) -> Content {
    Content { document: document(&key(number), "A mug."), known, fingerprint, chunks: None }
}

#[tokio::test]
async fn writers_in_any_order_and_listings_never_wait_in_a_circle() {
    let world = World::new().await;
    let store = &world.store;
    let listed: Vec<_> = (0..DOCUMENTS).map(|number| ListedRow { key: key(number), row_hash: 1 }).collect();
    store.note_listed("product", &listed, "refresh_document").await.unwrap();
    let fingerprint = Fingerprint([7; 32]);
    let guards = BTreeMap::new();
    let first: Vec<_> =
        (0..DOCUMENTS).map(|number| write(number, 1, Some(content(number, fingerprint, None)))).collect();
    let fresh = store.refresh(1, Some(1), &first, &guards).await.unwrap();
    assert!(fresh.iter().all(|ended| *ended == WriteOutcome::Fresh));
    let mut revision = 1;
    for _ in 0..ROUNDS {
        let again = |number| write(number, revision, Some(content(number, fingerprint, Some(fingerprint))));
        let forth: Vec<_> = (0..DOCUMENTS).map(again).collect();
        // As they arrived, and some of another revision are gone: those stay.
        let gone_or_again = |number| if number % 3 == 0 { write(number, -1, None) } else { again(number) };
        let back: Vec<_> = (0..DOCUMENTS).rev().map(gone_or_again).collect();
        let keys: Vec<_> = (0..DOCUMENTS).rev().map(key).collect();
        let (forth, back, noted, unlisted) = tokio::join!(
            store.refresh(1, Some(1), &forth, &guards),
            store.refresh(1, Some(1), &back, &guards),
            store.note_listed("product", &listed, "refresh_document"),
            store.note_unlisted("product", &keys, "refresh_document"),
        );
        // PostgreSQL ends one of those that wait in a circle: that would be an error here.
        forth.and(back).unwrap();
        noted.and(unlisted).unwrap();
        revision += 2;
    }
    assert_eq!(world.count("document").await, 200);
}
