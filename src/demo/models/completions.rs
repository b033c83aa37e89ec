//! `/v1/chat/completions`: the request, and the answer at once or piece by piece.

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::demo::models::reply::{Reply, parse};

/// Letters that count as one token: OpenAI's rule of thumb for English.
const CHARS_PER_TOKEN: usize = 4;

/// A request that can be served.
#[derive(Debug, Deserialize)]
pub(super) struct Prompt {
    model: Option<String>,
    #[serde(default)]
    pub(super) messages: Vec<Message>,
    #[serde(alias = "max_completion_tokens")]
    max_tokens: Option<usize>,
    temperature: Option<f64>,
    n: Option<u64>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    #[serde(skip)]
    id: String,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// One message of the prompt.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) role: Role,
    #[serde(default, rename = "content", deserialize_with = "text")]
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

#[derive(Deserialize)]
#[serde(untagged, expecting = "the content of a message must be a string or an array of text parts")]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    text: String,
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Option::deserialize(deserializer)? {
        None => String::new(),
        Some(Content::Text(text)) => text,
        Some(Content::Parts(parts)) => parts.into_iter().map(|part| part.text).collect::<Vec<_>>().join("\n"),
    })
}

impl Prompt {
    /// Reads a request body, or refuses it.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Reply> {
        let prompt: Self = parse(body)?;
        let fault = if prompt.model.is_none() {
            (None, "you must provide a model parameter")
        } else if prompt.messages.is_empty() {
            (Some("messages"), "Invalid 'messages': empty array. Expected at least one element.")
        } else if prompt.temperature.is_some_and(|temperature| !(0.0..=2.0).contains(&temperature)) {
            (Some("temperature"), "Invalid 'temperature': expected a value from 0 to 2.")
        } else if prompt.max_tokens == Some(0) {
            (Some("max_tokens"), "Invalid 'max_tokens': expected a value >= 1.")
        } else if prompt.n.is_some_and(|n| n != 1) {
            (Some("n"), "This server gives one choice only.")
        } else {
            let id = format!("chatcmpl-{}", &blake3::hash(body).to_hex()[..24]);
            return Ok(Self { id, ..prompt });
        };
        Err(Reply::invalid(fault.0, fault.1))
    }

    /// Writes the answer, cut after as many tokens as are allowed.
    pub(super) fn answer(&self, text: &str, has_choice: bool) -> Reply {
        let (text, finish_reason) = self.cut(text);
        let prompt_tokens = self.messages.iter().map(|message| count_tokens(&message.text)).sum::<usize>();
        let completion_tokens = count_tokens(text);
        let usage = json!({
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        });
        let choices = |part: &str, value: Value, finish_reason: Option<&str>| {
            let choice = json!({"index": 0, part: value, "logprobs": null, "finish_reason": finish_reason});
            if has_choice { vec![choice] } else { Vec::new() }
        };
        // Answers do not depend on the time, thus they were all created at the same second.
        let envelope = |object: &str, choices: Vec<Value>| json!({"id": self.id, "object": object, "created": 0, "model": self.model, "choices": choices});
        if self.stream != Some(true) {
            let message = json!({"role": "assistant", "content": text, "refusal": null, "annotations": []});
            let mut body = envelope("chat.completion", choices("message", message, Some(finish_reason)));
            body["usage"] = usage;
            return Reply::json(body.to_string());
        }
        let with_usage =
            self.stream_options.as_ref().is_some_and(|options| options.include_usage == Some(true));
        let chunk = |choices| {
            let mut chunk = envelope("chat.completion.chunk", choices);
            if with_usage {
                chunk["usage"] = Value::Null;
            }
            chunk
        };
        // The role, the words one by one, the reason of the end, the usage if it was asked for, and the end mark.
        let role = json!({"role": "assistant", "content": "", "refusal": null});
        let mut events = vec![chunk(choices("delta", role, None))];
        let words = text.split_inclusive(' ');
        events.extend(words.map(|word| chunk(choices("delta", json!({"content": word}), None))));
        events.push(chunk(choices("delta", json!({}), Some(finish_reason))));
        if with_usage {
            let mut last = chunk(Vec::new());
            last["usage"] = usage;
            events.push(last);
        }
        Reply::events(events.iter().map(Value::to_string).chain(["[DONE]".to_owned()]))
    }

    fn cut<'text>(&self, text: &'text str) -> (&'text str, &'static str) {
        let limit = self.max_tokens.map(|tokens| tokens.saturating_mul(CHARS_PER_TOKEN));
        match limit.and_then(|limit| text.char_indices().nth(limit)) {
            Some((end, _)) => (&text[..end], "length"),
            None => (text, "stop"),
        }
    }
}

/// Returns the text of the user's last message, or nothing.
pub(super) fn last_user_text(messages: &[Message]) -> &str {
    messages.iter().rfind(|message| message.role == Role::User).map_or("", |message| &message.text)
}

/// Estimates the tokens of a text; nothing is billed by it.
pub(super) fn count_tokens(text: &str) -> usize {
    text.chars().count().div_ceil(CHARS_PER_TOKEN)
}
