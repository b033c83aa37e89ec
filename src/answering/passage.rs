//! The chunks that were found for a question.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A chunk that was found for a question, with its document's title, link and metadata.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Passage {
    pub source: String,
    pub key: String,
    pub title: String,
    /// The chunk.
    pub content: String,
    /// Cosine distance to the question, 0 to 2.
    pub distance: f64,
    /// What the passages are ordered by, the highest first: `1 - distance`, or with `[embedding.second]` the sum of the
    /// standardised distances of both models, less a penalty for each constraint of the question that the document breaks.
    pub score: f64,
    /// Cosine distance by the second model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_distance: Option<f64>,
    /// The place by the first model's distance alone, from 1, among the candidates of two models; `None` if that model
    /// does not know the question's language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<u32>,
    /// The same by the second model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_rank: Option<u32>,
    /// The reranker's score, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerank_score: Option<f64>,
    /// The document's address in the shop.
    pub url: Option<String>,
    #[schema(value_type = Object)]
    pub metadata: Box<RawValue>,
    /// Whether the question names the document's SKU.
    #[serde(skip)]
    pub is_named: bool,
}

impl Passage {
    /// Identifies the chunk.
    pub fn place(&self) -> (&str, &str, &str) {
        (&self.source, &self.key, &self.content)
    }

    /// The same, found by the second model while the first is away: how far it is by the first is unknown, so it is not
    /// trusted.
    #[must_use]
    pub fn by_the_second_model(self) -> Self {
        Self { second_distance: Some(self.distance), distance: FARTHEST, ..self }
    }
}

/// The largest cosine distance.
pub const FARTHEST: f64 = 2.0;

/// The cosine distance of the nearest passage, which need not be the first.
pub fn nearest(passages: &[Passage]) -> Option<f64> {
    passages.iter().map(|passage| passage.distance).min_by(f64::total_cmp)
}

/// Whether all passages are too far from a question to be trusted. A document that it names by SKU never is.
pub fn is_far(passages: &[Passage], threshold: f64) -> bool {
    !passages.iter().any(|passage| passage.is_named || passage.distance <= threshold)
}

/// Returns `1 - distance`, from 0 to 1.
pub fn confidence(distance: f64) -> f64 {
    (1.0 - distance).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_is_one_minus_the_distance_and_never_negative() {
        assert!((confidence(0.25) - 0.75).abs() < 1e-12);
        assert!(confidence(1.5).abs() < 1e-12);
    }
}
