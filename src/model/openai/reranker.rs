//! Reranking: the request that Jina, Cohere, Voyage, TEI, vLLM, llama.cpp, Infinity and `LiteLLM` share.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_openai::traits::RequestOptionsBuilder;
use futures::{FutureExt, future::BoxFuture};
use serde_json::{Map, Value, json};

use crate::model::{
    ModelError, ModelFault, Reranker, Reranking,
    openai::{
        Server,
        failure::Failure,
        lenient::{decimal, number},
        refusal::Refusal,
    },
};

/// The keys of the texts and of how many are wanted: the usual form, TEI's, and Voyage's.
const FORMS: [(&str, Option<&str>); 3] = [("documents", Some("top_n")), ("texts", None), ("documents", None)];

/// Orders texts at a server.
pub struct OpenAiReranker {
    server: Server,
    model: String,
    /// The place in [`FORMS`] of the form that the server accepts.
    form: AtomicUsize,
}

impl OpenAiReranker {
    /// Uses this model of this server.
    pub fn new(server: Server, model: String) -> Self {
        Self { server, model, form: AtomicUsize::new(0) }
    }

    /// Finds out which form the server accepts.
    async fn request(&self, question: &str, texts: &[String]) -> Result<Reranking, ModelError> {
        let form = self.form.load(Ordering::Relaxed);
        let refused = match self.send(FORMS[form], question, texts).await {
            Err(refused) if refused.fault == ModelFault::Rejected && form == 0 => refused,
            replied => return replied,
        };
        for (form, other) in FORMS.into_iter().enumerate().skip(1) {
            if let Ok(reranking) = self.send(other, question, texts).await {
                self.form.store(form, Ordering::Relaxed);
                return Ok(reranking);
            }
        }
        Err(refused)
    }

    async fn send(
        &self,
        (key, limit): (&str, Option<&str>),
        question: &str,
        texts: &[String],
    ) -> Result<Reranking, ModelError> {
        let mut body = Map::from_iter([
            ("model".to_owned(), json!(self.model)),
            ("query".to_owned(), json!(question)),
            (key.to_owned(), json!(texts)),
        ]);
        body.extend(limit.map(|limit| (limit.to_owned(), json!(texts.len()))));
        let body = self.server.with_extra_body(body, &Map::new());
        let chat = self.server.client.chat();
        let request = async { chat.path("/rerank")?.create_byot::<_, Value>(body).await };
        let replied = self.server.request(request.boxed()).await;
        let (reply, hints) = replied.map_err(|(failure, hints)| match failure {
            Failure::Refusal(refusal) => self.server.classify(&refusal, hints, true),
            Failure::OtherLength { error, .. } | Failure::Other(error) => error,
        })?;
        if let Some(refusal) = Refusal::within(hints.status.unwrap_or_default(), &reply) {
            return Err(self.server.classify(&refusal, hints, true));
        }
        let scores = scores(&reply, texts.len()).map_err(|reason| self.server.nonsense(reason))?;
        Ok(Reranking { scores, tokens: tokens(&reply), left: hints.left })
    }
}

/// Reads `results[{index, relevance_score}]`, `data[…]` or a bare array, with `score` for the score, too.
fn scores(reply: &Value, texts: usize) -> Result<Vec<(usize, f64)>, String> {
    let list = reply.as_array().or_else(|| reply["results"].as_array()).or_else(|| reply["data"].as_array());
    let list = list.ok_or("a reply without results")?;
    let mut scores = Vec::with_capacity(list.len());
    for entry in list {
        let index = number(&entry["index"]).and_then(|index| usize::try_from(index).ok());
        let index =
            index.filter(|index| *index < texts).ok_or("a score without a text that it belongs to")?;
        let score = decimal(&entry["relevance_score"]).or_else(|| decimal(&entry["score"]));
        let score = score.ok_or("a text without a score")?;
        if scores.iter().any(|(other, _)| *other == index) {
            return Err(format!("two scores for text {index}"));
        }
        scores.push((index, score));
    }
    if scores.is_empty() && texts > 0 {
        return Err(format!("no scores for {texts} texts"));
    }
    // Equal scores keep the order of the distances.
    scores.sort_by(|(one, score), (two, other)| other.total_cmp(score).then(one.cmp(two)));
    Ok(scores)
}

fn tokens(reply: &Value) -> Option<u64> {
    let places = [&reply["usage"], &reply["meta"]["tokens"], &reply["meta"]["billed_units"]];
    places.into_iter().find_map(|place| {
        ["total_tokens", "prompt_tokens", "input_tokens"].into_iter().find_map(|key| number(&place[key]))
    })
}

impl Reranker for OpenAiReranker {
    fn rerank<'a>(
        &'a self,
        question: &'a str,
        texts: &'a [String],
    ) -> BoxFuture<'a, Result<Reranking, ModelError>> {
        self.request(question, texts).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_read_in_each_shape_and_sorted() {
        let results =
            json!([{ "index": 1, "relevance_score": 0.9 }, { "index": 0, "relevance_score": "0.95" }]);
        let bare = json!([{ "index": 0, "score": 0.95, "text": "a" }, { "index": 1, "score": 0.9 }]);
        for reply in [json!({ "results": results }), json!({ "data": results }), bare] {
            assert_eq!(scores(&reply, 2).unwrap(), [(0, 0.95), (1, 0.9)], "{reply}");
        }
    }

    #[test]
    fn scores_that_belong_to_no_text_are_nonsense() {
        for reply in [
            json!({}),
            json!([]),
            json!([{ "index": 2, "score": 1 }]),
            json!([{ "score": 1 }]),
            json!([{ "index": 0, "score": null }]),
            json!([{ "index": 0, "score": 1 }, { "index": 0, "score": 2 }]),
        ] {
            assert!(scores(&reply, 2).is_err(), "{reply}");
        }
    }

    #[test]
    fn tokens_are_read_wherever_servers_put_them() {
        for reply in [
            json!({ "usage": { "total_tokens": 7 } }),
            json!({ "meta": { "tokens": { "input_tokens": 7 } } }),
        ] {
            assert_eq!(tokens(&reply), Some(7));
        }
        assert_eq!(tokens(&json!([])), None);
    }
}
