//! Orders passages by a reranker, if there is one.

use std::{sync::Arc, time::Duration};

use crate::{
    answering::{Passage, cost::AnswerCost},
    job::JobError,
    model::{Reranker, estimate_tokens, rate_limit::Budget},
    telemetry,
};

/// A reranker and how it is used.
#[expect(missing_docs, reason = "the names say it")]
pub struct Ranker {
    pub reranker: Arc<dyn Reranker>,
    pub budget: Budget,
    /// The passages that it gets.
    pub candidates: u32,
    pub timeout: Duration,
    /// Dollars per million tokens.
    pub price: f64,
}

impl Ranker {
    /// Puts the passages that answer the question best first. If the reranker is late, wrong or away, they stay ordered by
    /// distance.
    pub(super) async fn rank(
        &self,
        question: &str,
        passages: Vec<Passage>,
        cost: &AnswerCost,
    ) -> Vec<Passage> {
        if passages.len() < 2 {
            return passages;
        }
        let texts: Vec<_> =
            passages.iter().map(|passage| format!("{}\n{}", passage.title, passage.content)).collect();
        let asked = estimate_tokens(question) * texts.len() as u64;
        let tokens = asked + texts.iter().map(|text| estimate_tokens(text)).sum::<u64>();
        let ranking = self.budget.rerank(&*self.reranker, question, &texts, tokens, cost.jobs());
        let ranked = match tokio::time::timeout(self.timeout, ranking).await {
            Ok(Ok(ranked)) => ranked,
            failed => {
                let reason = if let Ok(Err(error)) = failed {
                    JobError::from(error).to_string()
                } else {
                    telemetry::model_requested("rerank", "unavailable");
                    format!("no reply within {}", humantime::format_duration(self.timeout))
                };
                tracing::warn!("passages stay ordered by distance, because the reranker failed: {reason}");
                return passages;
            }
        };
        cost.add_reranking(ranked.tokens, tokens, self.price);
        let mut passages = passages;
        for (place, score) in &ranked.scores {
            if let Some(passage) = passages.get_mut(*place) {
                passage.rerank_score = Some(*score);
            }
        }
        let order: Vec<_> = ranked.scores.iter().map(|(place, _)| *place).collect();
        reorder(passages, &order)
    }
}

/// Passages that have no place in the order follow in their own.
fn reorder(passages: Vec<Passage>, order: &[usize]) -> Vec<Passage> {
    let mut places: Vec<_> = passages.into_iter().map(Some).collect();
    let mut ordered: Vec<_> = order.iter().filter_map(|place| places.get_mut(*place)?.take()).collect();
    ordered.extend(places.into_iter().flatten());
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_without_a_score_follow_in_their_own_order() {
        let passages: Vec<_> =
            ["a", "b", "c", "d"].map(|key| Passage { key: key.to_owned(), ..Passage::default() }).into();
        let keys: String = reorder(passages, &[2, 0, 2, 9]).into_iter().map(|passage| passage.key).collect();
        assert_eq!(keys, "cabd");
    }
}
