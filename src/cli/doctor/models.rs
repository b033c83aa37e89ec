//! The models: one small request to each.

use super::Checks;
use crate::model::{Message, ModelError, Prompt, Role, unlimited};
use crate::{config::Config, daemon::Parts, store::Store};

pub(super) async fn check_models(config: &Config, store: &Store, parts: &Parts, checks: &mut Checks) {
    let Some(stopped) = checks.require("models", store.stopped_since().await, "") else { return };
    if stopped.is_some() {
        return checks.pass("models", "not asked: model requests are paused (`shopkeeper resume`)");
    }
    for model in parts.versions.models() {
        let embedded = model.embedder.embed(&["Are you there?".to_owned()], &unlimited).await;
        let detail = embedded.map(|_| format!("returns vectors of {} dimensions", model.model.dimensions));
        check_model(&model.model.name, detail, checks);
    }
    let prompt = Prompt {
        system: "Answer with one word.".to_owned(),
        messages: vec![Message { role: Role::User, content: "Are you there?".to_owned() }],
        temperature: 0.0,
        max_tokens: 16,
    };
    let completion = parts.composer.completer.complete(&prompt, None, &unlimited).await;
    check_model(&config.answers.model, completion.map(|_| "answers".to_owned()), checks);
}

fn check_model(model: &str, result: Result<String, ModelError>, checks: &mut Checks) {
    let remedy = match &result {
        Ok(_) => "",
        Err(ModelError::Unavailable { .. }) => {
            "check base_url and the network; waiting work continues when it is back"
        }
        Err(ModelError::Refused { .. }) => "correct the api_key, or pay",
        Err(ModelError::Rejected { .. } | ModelError::Nonsense { .. } | ModelError::NoVector { .. }) => {
            "correct the model's name, its dimensions, or base_url"
        }
    };
    let name = format!("model {model}");
    if let Some(detail) = checks.require(&name, result, remedy) {
        checks.pass(&name, detail);
    }
}
