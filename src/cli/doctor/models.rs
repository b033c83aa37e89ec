//! The models: one small request to each.

use super::Checks;
use crate::cli::{models::check::short_prompt, plan::card_difference};
use crate::model::{InputRole, ModelError, ModelFault, unlimited};
use crate::{config::Config, daemon::Parts, store::Store};

pub(super) async fn check_models(config: &Config, store: &Store, parts: &Parts, checks: &mut Checks) {
    let Some(stopped) = checks.require("models", store.stopped_since().await, "") else { return };
    if stopped.is_some() {
        return checks.pass("models", "not asked: model requests are paused (`shopkeeper resume`)");
    }
    for model in parts.versions.models() {
        let embedded =
            model.embedder.embed(InputRole::Question, &["Are you there?".to_owned()], &unlimited).await;
        let detail = embedded.map(|_| format!("returns vectors of {} dimensions", model.model.dimensions));
        check_model(&model.model.name, detail, checks);
    }
    let completion = parts.composer.completer.complete(&short_prompt(), None, &unlimited).await;
    check_model(&config.answers.model, completion.map(|_| "answers".to_owned()), checks);
    if let (Some(ranker), Some(rerank)) = (&parts.retriever.ranker, &config.rerank) {
        let ranked = ranker.reranker.rerank("Are you there?", &["Yes.".to_owned(), "No.".to_owned()]).await;
        check_model(&rerank.model, ranked.map(|_| "orders passages".to_owned()), checks);
    }
    check_lessons(config, store, parts, checks).await;
}

/// Says what the servers taught, and where a model card says otherwise than the index was made with.
async fn check_lessons(config: &Config, store: &Store, parts: &Parts, checks: &mut Checks) {
    let Some(all) = checks.require("learnt", store.lessons().await, "") else { return };
    for known in all {
        for lesson in known.lessons.0.describe().into_values() {
            checks.pass("learnt", format!("{} at {}: {lesson}", known.model, known.server));
        }
    }
    for (embedding, model) in config.embeddings().zip(parts.versions.models()) {
        if let Some(difference) = card_difference(embedding, model) {
            checks.pass("model card", difference);
        }
    }
}

fn check_model(model: &str, result: Result<String, ModelError>, checks: &mut Checks) {
    let remedy = match result.as_ref().err().map(|error| error.fault) {
        None => "",
        Some(ModelFault::Unavailable { .. }) => {
            "check base_url and the network; waiting work continues when it is back"
        }
        Some(ModelFault::Refused) => "correct the api_key, the model's name or base_url, or pay",
        Some(ModelFault::Rejected | ModelFault::Nonsense) => {
            "correct the model's name, its dimensions, or base_url"
        }
    };
    let name = format!("model {model}");
    if let Some(detail) = checks.require(&name, result, remedy) {
        checks.pass(&name, detail);
    }
}
