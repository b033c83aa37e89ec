//! The sources of an answer.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::stored::{Stored, field};
use crate::answering::{Passage, grounding::Citation};

/// A passage that the model saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(from = "Stored")]
pub struct Source {
    /// Its number in the text, from 1.
    pub n: u32,
    /// The source's name.
    pub source: String,
    /// The document's key.
    pub key: String,
    /// The document's title.
    pub title: String,
    /// The document's address in the shop.
    pub url: Option<String>,
    /// Cosine distance to the question.
    pub distance: f64,
    /// `1 - distance`, from 0 to 1.
    pub score: f64,
    /// Its place by the first model's distance alone, from 1, where two models search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<u32>,
    /// Its place by the second model's distance alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_rank: Option<u32>,
    /// The reranker's score, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerank_score: Option<f64>,
    /// Whether the text cites it.
    pub cited: bool,
}

impl Source {
    /// Numbers passages, and marks those that are cited.
    pub fn list(passages: &[Passage], citations: &[Citation]) -> Vec<Self> {
        let source = |(n, passage): (u32, &Passage)| Self {
            n,
            source: passage.source.clone(),
            key: passage.key.clone(),
            title: passage.title.clone(),
            url: passage.url.clone(),
            distance: passage.distance,
            score: passage.score,
            rank: passage.rank,
            second_rank: passage.second_rank,
            rerank_score: passage.rerank_score,
            cited: citations.iter().any(|citation| citation.source == n),
        };
        (1..).zip(passages).map(source).collect()
    }
}

impl From<Stored> for Source {
    fn from(stored: Stored) -> Self {
        Self {
            n: field(&stored, "n"),
            source: field(&stored, "source"),
            key: field(&stored, "key"),
            title: field(&stored, "title"),
            url: field(&stored, "url"),
            // The largest cosine distance.
            distance: field::<Option<_>>(&stored, "distance").unwrap_or(2.0),
            score: field(&stored, "score"),
            rank: field(&stored, "rank"),
            second_rank: field(&stored, "second_rank"),
            rerank_score: field(&stored, "rerank_score"),
            cited: field(&stored, "cited"),
        }
    }
}
