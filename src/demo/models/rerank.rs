//! `/v1/rerank`: orders texts by the words that they share with a question.

use std::num::NonZeroU16;

use serde::Deserialize;
use serde_json::json;

use super::{
    completions::count_tokens,
    hash::Hash,
    reply::{Reply, parse},
    vector::{cosine, floats},
};

#[derive(Deserialize)]
struct Question {
    query: String,
    #[serde(alias = "texts")]
    documents: Vec<String>,
    top_n: Option<usize>,
}

/// Dimensions enough for the words of a sentence to differ.
const DIMENSIONS: u16 = 512;

/// Scores the texts of a request.
pub(super) fn rerank(body: &[u8]) -> Result<Reply, Reply> {
    let Question { query, documents, top_n } = parse(body)?;
    let hash = Hash::new(NonZeroU16::new(DIMENSIONS).unwrap_or(NonZeroU16::MIN));
    let embed = |text: &str| floats(&hash.embed(text)).collect::<Vec<_>>();
    let question = embed(&query);
    let mut scores: Vec<_> =
        documents.iter().map(|text| cosine(&question, &embed(text))).enumerate().collect();
    scores.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    scores.truncate(top_n.unwrap_or(documents.len()));
    let tokens: usize = documents.iter().map(|text| count_tokens(text)).sum();
    let results: Vec<_> =
        scores.iter().map(|(index, score)| json!({ "index": index, "relevance_score": score })).collect();
    Ok(Reply::json(json!({ "results": results, "usage": { "total_tokens": tokens } }).to_string()))
}
