//! What a listing says has changed: a merge of two ordered streams, in constant memory.

use std::cmp::Ordering;

use futures::{Stream, StreamExt, TryStreamExt};

use super::ListedRow;

/// A document as the store knows it: listed with this hash (0 when another row was read since), or (without one) on its
/// way out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct KnownRow {
    pub key: String,
    /// The row hash at the last change that was seen.
    pub row_hash: Option<i64>,
}

/// What happened to one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is listed and was not known.
    Added(ListedRow),
    /// It is listed with another hash than the known one.
    Modified(ListedRow),
    /// It is known and no longer listed.
    Removed(String),
    /// It is listed as it is known.
    Unchanged(ListedRow),
}

/// Why two streams could not be compared.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError<E> {
    /// The source lists a key twice.
    #[error("the key {0:?} is listed more than once: a source needs one row for each document")]
    Duplicate(String),
    /// A side is not in the order of its keys' bytes, so that nothing it says can be trusted.
    #[error("the keys {0:?} and {1:?} came in the wrong order")]
    Disorder(String, String),
    /// A side could not be read.
    #[error(transparent)]
    Read(#[from] E),
}

/// Compares what a source lists with what is known, both ordered by the bytes of their keys.
///
/// Yields one change for each key of either side, in order. Ends at the first error: the changes
/// before it are right, the absence of a key after it means nothing.
pub fn compare<E>(
    listed: impl Stream<Item = Result<ListedRow, E>>,
    known: impl Stream<Item = Result<KnownRow, E>>,
) -> impl Stream<Item = Result<Change, CompareError<E>>> {
    let listed = ordered(listed, |entry| &entry.key);
    let known = ordered(known, |entry| &entry.key);
    async_stream::try_stream! {
        futures::pin_mut!(listed, known);
        let (mut new, mut old) = (listed.try_next().await?, known.try_next().await?);
        loop {
            let order = match (&new, &old) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(new), Some(old)) => new.key.as_bytes().cmp(old.key.as_bytes()),
            };
            let taken_new = if order.is_le() {
                std::mem::replace(&mut new, listed.try_next().await?)
            } else {
                None
            };
            let taken_old = if order.is_ge() {
                std::mem::replace(&mut old, known.try_next().await?)
            } else {
                None
            };
            match (taken_new, taken_old) {
                (Some(new), Some(old)) if old.row_hash == Some(new.row_hash) => yield Change::Unchanged(new),
                (Some(new), Some(_)) => yield Change::Modified(new),
                (Some(new), None) => yield Change::Added(new),
                (None, Some(old)) if old.row_hash.is_some() => yield Change::Removed(old.key),
                (None, _) => {}
            }
        }
    }
}

/// Passes a stream on as long as its keys rise.
fn ordered<T, E>(
    items: impl Stream<Item = Result<T, E>>,
    key: impl Fn(&T) -> &String,
) -> impl Stream<Item = Result<T, CompareError<E>>> {
    let mut last: Option<String> = None;
    items.map(move |item| {
        let item = item?;
        let this = key(&item);
        if let Some(last) = &last {
            match last.as_bytes().cmp(this.as_bytes()) {
                Ordering::Less => {}
                Ordering::Equal => return Err(CompareError::Duplicate(this.clone())),
                Ordering::Greater => return Err(CompareError::Disorder(last.clone(), this.clone())),
            }
        }
        last = Some(this.clone());
        Ok(item)
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, convert::Infallible};

    use futures::{executor::block_on, stream};
    use proptest::prelude::*;

    use super::*;

    fn listed(key: &str, row_hash: i64) -> ListedRow {
        ListedRow { key: key.to_owned(), row_hash }
    }

    fn changes(new: Vec<ListedRow>, old: Vec<KnownRow>) -> Result<Vec<Change>, CompareError<Infallible>> {
        let stream = compare(stream::iter(new.into_iter().map(Ok)), stream::iter(old.into_iter().map(Ok)));
        block_on(stream.try_collect())
    }

    #[test]
    fn a_key_listed_twice_is_an_error_that_names_it() {
        let result = changes(vec![listed("a", 1), listed("a", 2)], vec![]);
        assert_eq!(result, Err(CompareError::Duplicate("a".to_owned())));
    }

    #[test]
    fn a_listing_out_of_order_is_an_error() {
        let result = changes(vec![listed("b", 1), listed("a", 2)], vec![]);
        assert_eq!(result, Err(CompareError::Disorder("b".to_owned(), "a".to_owned())));
    }

    #[test]
    fn a_document_on_its_way_out_is_not_removed_twice_and_comes_back_as_modified() {
        let old = || vec![KnownRow { key: "a".to_owned(), row_hash: None }];
        assert_eq!(changes(vec![], old()), Ok(vec![]));
        assert_eq!(changes(vec![listed("a", 1)], old()), Ok(vec![Change::Modified(listed("a", 1))]));
    }

    proptest! {
        #[test]
        fn applying_the_changes_makes_the_known_equal_to_the_listed(
            new in proptest::collection::btree_map("[a-dé]{1,2}", 0_i64..3, 0..12),
            old in proptest::collection::btree_map("[a-dé]{1,2}", 0_i64..3, 0..12),
        ) {
            let listing = new.iter().map(|(key, hash)| listed(key, *hash)).collect();
            let known = old.iter().map(|(key, hash)| KnownRow { key: key.clone(), row_hash: Some(*hash) }).collect();
            let mut result: BTreeMap<_, _> = old.clone();
            let mut unchanged = 0;
            for change in changes(listing, known).unwrap() {
                match change {
                    Change::Added(entry) => prop_assert!(result.insert(entry.key, entry.row_hash).is_none()),
                    Change::Modified(entry) => prop_assert_ne!(result.insert(entry.key, entry.row_hash), Some(entry.row_hash)),
                    Change::Removed(key) => prop_assert!(result.remove(&key).is_some()),
                    Change::Unchanged(_) => unchanged += 1,
                }
            }
            prop_assert_eq!(unchanged, new.iter().filter(|(key, hash)| old.get(*key) == Some(hash)).count());
            prop_assert_eq!(result, new);
        }
    }
}
