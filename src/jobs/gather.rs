//! Lets what many jobs want at once be done together: one request, one transaction, one query.

use std::{sync::Arc, time::Duration};

use futures::future::{BoxFuture, join_all};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// What one batch may hold, and how batches follow one another.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Items of one batch.
    pub items: usize,
    /// What the items of one batch may weigh together; a heavier one goes alone.
    pub weight: u64,
    /// A batch that is not full waits for more as long as they come, no more than this apart.
    pub linger: Duration,
    /// Batches under way at once.
    pub at_once: usize,
}

/// Where items meet. Each gets its own result; an item whose job has gone away meanwhile is left out.
pub struct Gather<I, O> {
    items: mpsc::UnboundedSender<(I, oneshot::Sender<O>)>,
}

impl<I: Send + 'static, O: Send + 'static> Gather<I, O> {
    /// `work` gives as many results as it gets items, in their order. A batch waits for no more once
    /// `is_complete` says that no more can come.
    #[expect(clippy::disallowed_methods, reason = "the task ends when nobody can ask any more")]
    pub fn new(
        limits: Limits,
        weight: impl Fn(&I) -> u64 + Send + 'static,
        is_complete: impl Fn() -> bool + Send + 'static,
        work: impl Fn(Vec<I>) -> BoxFuture<'static, Vec<O>> + Send + Sync + 'static,
    ) -> Self {
        let (items, asked) = mpsc::unbounded_channel();
        tokio::spawn(gather(asked, limits, weight, is_complete, Arc::new(work)));
        Self { items }
    }

    /// Waits for the batch that this item goes into; nothing when the batch panicked.
    pub async fn ask(&self, item: I) -> Option<O> {
        let (reply, result) = oneshot::channel();
        self.items.send((item, reply)).ok()?;
        result.await.ok()
    }
}

/// Does work on all of a batch, and on each half of what is refused because of something in it, until that stands
/// alone: the others are none the worse for it. One result for each item, in their order.
pub(super) async fn halving<'a, T, O, E: Clone>(
    items: &'a [T],
    is_refused: impl Fn(&E) -> bool,
    work: impl Fn(&'a [T]) -> BoxFuture<'a, Result<Vec<O>, E>>,
) -> Vec<Result<O, E>> {
    let mut results = Vec::with_capacity(items.len());
    let mut parts = vec![items];
    while let Some(part) = parts.pop() {
        match work(part).await {
            Ok(done) => results.extend(done.into_iter().map(Ok)),
            Err(error) if part.len() > 1 && is_refused(&error) => {
                let (one, other) = part.split_at(part.len() / 2);
                parts.extend([other, one]);
            }
            Err(error) => results.extend(part.iter().map(|_| Err(error.clone()))),
        }
    }
    results
}

async fn gather<I: Send + 'static, O: Send + 'static>(
    mut asked: mpsc::UnboundedReceiver<(I, oneshot::Sender<O>)>,
    limits: Limits,
    weight: impl Fn(&I) -> u64,
    is_complete: impl Fn() -> bool,
    work: Arc<dyn Fn(Vec<I>) -> BoxFuture<'static, Vec<O>> + Send + Sync>,
) {
    let slots = Arc::new(Semaphore::new(limits.at_once));
    let batches = tokio_util::task::TaskTracker::new();
    let mut first = asked.recv().await;
    while let Some(item) = first.take() {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let mut sum = weight(&item.0);
        let mut batch = vec![item];
        first = loop {
            if batch.len() >= limits.items {
                break None;
            }
            let linger = if is_complete() { Duration::ZERO } else { limits.linger };
            let Ok(Some(next)) = tokio::time::timeout(linger, asked.recv()).await else { break None };
            sum += weight(&next.0);
            if sum > limits.weight {
                break Some(next);
            }
            batch.push(next);
        };
        let work = work.clone();
        batches.spawn(async move {
            let wanted = batch.into_iter().filter(|(_, reply)| !reply.is_closed());
            let (items, mut replies): (Vec<_>, Vec<_>) = wanted.unzip();
            if !items.is_empty() {
                let unwanted = join_all(replies.iter_mut().map(oneshot::Sender::closed));
                let results = tokio::select! {
                    results = work(items) => results,
                    // Whoever asked has gone away: perhaps because this takes for ever.
                    _ = unwanted => Vec::new(),
                };
                for (result, reply) in results.into_iter().zip(replies) {
                    let _ = reply.send(result);
                }
            }
            drop(slot);
        });
        if first.is_none() {
            first = asked.recv().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn doubling(limits: Limits) -> (Gather<u64, u64>, Arc<std::sync::Mutex<Vec<usize>>>) {
        let sizes = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = sizes.clone();
        let gather = Gather::new(
            limits,
            |item| *item,
            || false,
            move |items| {
                seen.lock().unwrap().push(items.len());
                async move { items.into_iter().map(|item| 2 * item).collect() }.boxed()
            },
        );
        (gather, sizes)
    }

    const LIMITS: Limits = Limits { items: 4, weight: 100, linger: Duration::from_millis(20), at_once: 2 };

    #[tokio::test]
    async fn each_gets_its_own_result_from_as_few_batches_as_the_limits_allow() {
        let (gather, sizes) = doubling(LIMITS);
        let results = join_all((0..8).map(|item| gather.ask(item))).await;
        assert_eq!(results, (0..8).map(|item| Some(2 * item)).collect::<Vec<_>>());
        assert_eq!(*sizes.lock().unwrap(), [4, 4]);
    }

    #[tokio::test]
    async fn a_batch_weighs_no_more_than_it_may_but_for_one_that_is_too_heavy_itself() {
        let (gather, sizes) = doubling(LIMITS);
        join_all([60, 50, 40, 300].map(|item| gather.ask(item))).await;
        assert_eq!(*sizes.lock().unwrap(), [1, 2, 1]);
    }

    #[tokio::test]
    async fn a_batch_that_nobody_waits_for_any_longer_makes_room_for_others() {
        let hanging = |items: Vec<u64>| {
            async move { if items == [0] { std::future::pending().await } else { items } }.boxed()
        };
        let gather = Gather::new(Limits { items: 1, at_once: 1, ..LIMITS }, |_| 1, || false, hanging);
        let hung = tokio::time::timeout(Duration::from_millis(20), gather.ask(0));
        assert!(hung.await.is_err());
        assert_eq!(gather.ask(1).await, Some(1));
    }

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

    #[tokio::test]
    async fn an_item_that_nobody_waits_for_is_left_out_and_a_panic_is_told() {
        let (gather, sizes) = doubling(LIMITS);
        let (gone, kept) = (gather.ask(1), gather.ask(2));
        let gone = tokio::time::timeout(Duration::from_millis(1), gone);
        let (gone, kept) = tokio::join!(gone, kept);
        assert!(gone.is_err());
        assert_eq!((kept, sizes.lock().unwrap().as_slice()), (Some(4), [1].as_slice()));
        let broken = Gather::<u64, u64>::new(LIMITS, |_| 1, || false, |_| panic!("as wished"));
        assert_eq!(broken.ask(1).await, None);
        assert_eq!(broken.ask(1).await, None, "the next batch is another one");
    }
}
