//! `/v1/chat/completions`: what is asked, and the answer at once or piece by piece.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::demo::models::{
    refusal::{Refusal, parse},
    reply::Reply,
};

/// Letters that count as one token: OpenAI's rule of thumb for English.
const CHARS_PER_TOKEN: usize = 4;
/// Answers do not depend on the time, thus they were all "created" at this second.
const CREATED: u32 = 0;

/// A request that can be served.
#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) messages: Vec<Message>,
    model: String,
    max_tokens: Option<usize>,
    delivery: Answering,
    id: String,
}

/// One message of the prompt.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RawMessage")]
pub(super) struct Message {
    pub(super) role: Role,
    pub(super) text: String,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    #[serde(alias = "developer")]
    System,
    User,
    Assistant,
    #[serde(alias = "function")]
    Tool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answering {
    AtOnce,
    Streaming { with_usage: bool },
}

#[derive(Deserialize)]
struct RawPrompt {
    model: Option<String>,
    #[serde(default)]
    messages: Vec<Message>,
    #[serde(alias = "max_completion_tokens")]
    max_tokens: Option<usize>,
    temperature: Option<f64>,
    n: Option<u64>,
    #[serde(default)]
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct RawMessage {
    role: Role,
    content: Option<Value>,
}

impl TryFrom<RawMessage> for Message {
    type Error = &'static str;

    fn try_from(RawMessage { role, content }: RawMessage) -> Result<Self, Self::Error> {
        let part = |part: &Value| part.get("text").and_then(Value::as_str).map(str::to_owned);
        let text = match content {
            None | Some(Value::Null) => Some(String::new()),
            Some(Value::String(text)) => Some(text),
            Some(Value::Array(parts)) => {
                parts.iter().map(part).collect::<Option<Vec<_>>>().map(|parts| parts.join("\n"))
            }
            Some(_) => None,
        };
        let text = text.ok_or("the content of a message must be a string or an array of text parts")?;
        Ok(Self { role, text })
    }
}

impl Prompt {
    /// Reads a request body, or says what is wrong with it.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let raw: RawPrompt = parse(body)?;
        let model = raw.model.ok_or_else(|| Refusal::invalid(None, "you must provide a model parameter"))?;
        if raw.messages.is_empty() {
            return Err(Refusal::invalid(
                "messages",
                "Invalid 'messages': empty array. Expected at least one element.",
            ));
        }
        if raw.temperature.is_some_and(|temperature| !(0.0..=2.0).contains(&temperature)) {
            return Err(Refusal::invalid(
                "temperature",
                "Invalid 'temperature': expected a value from 0 to 2.",
            ));
        }
        if raw.max_tokens == Some(0) {
            return Err(Refusal::invalid("max_tokens", "Invalid 'max_tokens': expected a value >= 1."));
        }
        if raw.n.is_some_and(|n| n != 1) {
            return Err(Refusal::invalid("n", "This server gives one choice only."));
        }
        let with_usage = raw.stream_options.and_then(|options| options.include_usage) == Some(true);
        let streaming = raw.stream == Some(true);
        Ok(Self {
            messages: raw.messages,
            model,
            max_tokens: raw.max_tokens,
            delivery: if streaming { Answering::Streaming { with_usage } } else { Answering::AtOnce },
            id: format!("chatcmpl-{}", &blake3::hash(body).to_hex()[..24]),
        })
    }

    /// Writes the answer, cut after as many tokens as are allowed.
    pub(super) fn answer(&self, text: &str, no_choice: bool) -> Reply {
        let (text, finish_reason) = self.cut(text);
        let prompt_tokens = self.messages.iter().map(|message| count_tokens(&message.text)).sum::<usize>();
        let completion_tokens = count_tokens(text);
        let usage = json!({
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        });
        match self.delivery {
            Answering::Streaming { with_usage } => {
                Reply::events(self.events(text, finish_reason, with_usage.then_some(&usage), no_choice))
            }
            Answering::AtOnce => {
                let message =
                    json!({"role": "assistant", "content": text, "refusal": null, "annotations": []});
                let choice =
                    json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason});
                let choices = if no_choice { json!([]) } else { json!([choice]) };
                let mut body = self.envelope("chat.completion", choices);
                body["usage"] = usage;
                Reply::json(body.to_string())
            }
        }
    }

    /// The role, the words one by one, the reason of the end, the usage if it was asked for, and the end mark.
    fn events(&self, text: &str, finish_reason: &str, usage: Option<&Value>, no_choice: bool) -> Vec<String> {
        let chunk = |delta: Value, finish_reason: Option<&str>| {
            let choice =
                json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason});
            let choices = if no_choice { json!([]) } else { json!([choice]) };
            let mut chunk = self.envelope("chat.completion.chunk", choices);
            if usage.is_some() {
                chunk["usage"] = Value::Null;
            }
            chunk.to_string()
        };
        let mut events = vec![chunk(json!({"role": "assistant", "content": "", "refusal": null}), None)];
        events.extend(text.split_inclusive(' ').map(|word| chunk(json!({"content": word}), None)));
        events.push(chunk(json!({}), Some(finish_reason)));
        if let Some(usage) = usage {
            let mut last = self.envelope("chat.completion.chunk", json!([]));
            last["usage"] = usage.clone();
            events.push(last.to_string());
        }
        events.push("[DONE]".to_owned());
        events
    }

    fn envelope(&self, object: &str, choices: Value) -> Value {
        let mut envelope = json!({"id": self.id, "object": object, "created": CREATED, "model": self.model});
        envelope["choices"] = choices;
        envelope
    }

    fn cut<'text>(&self, text: &'text str) -> (&'text str, &'static str) {
        let limit = self.max_tokens.map(|tokens| tokens.saturating_mul(CHARS_PER_TOKEN));
        match limit.and_then(|limit| text.char_indices().nth(limit)) {
            Some((end, _)) => (&text[..end], "length"),
            None => (text, "stop"),
        }
    }
}

/// Text of the last message of the user, or nothing.
pub(super) fn last_user_text(messages: &[Message]) -> &str {
    messages.iter().rfind(|message| message.role == Role::User).map_or("", |message| &message.text)
}

/// An approximation; nothing is billed by it.
pub(super) fn count_tokens(text: &str) -> usize {
    text.chars().count().div_ceil(CHARS_PER_TOKEN)
}
