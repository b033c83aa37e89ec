//! Isolates the refused items of a batch.

use futures::future::BoxFuture;

/// Works on all items together. If an error blames an item, halves them until the item is alone. Returns one result for
/// each item, in their order.
pub(super) async fn halving<'a, T, O, E: Clone>(
    items: &'a [T],
    blames_an_item: impl Fn(&E) -> bool,
    work: impl Fn(&'a [T]) -> BoxFuture<'a, Result<Vec<O>, E>>,
) -> Vec<Result<O, E>> {
    let mut results = Vec::with_capacity(items.len());
    let mut parts = vec![items];
    while let Some(part) = parts.pop() {
        match work(part).await {
            Ok(done) => results.extend(done.into_iter().map(Ok)),
            Err(error) if part.len() > 1 && blames_an_item(&error) => {
                let (one, other) = part.split_at(part.len() / 2);
                parts.extend([other, one]);
            }
            Err(error) => results.extend(part.iter().map(|_| Err(error.clone()))),
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_is_refused_stands_alone_and_the_others_keep_their_order() {
        let work = |items: &'static [u64]| {
            async move { if items.contains(&3) { Err("three") } else { Ok(items.to_vec()) } }.boxed()
        };
        let results = halving(&[1, 2, 3, 4, 5], |_| true, work).await;
        assert_eq!(results, [Ok(1), Ok(2), Err("three"), Ok(4), Ok(5)]);
        let results = halving(&[1, 3], |_| false, work).await;
        assert_eq!(results, [Err("three"), Err("three")]);
    }
}
