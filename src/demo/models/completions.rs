//! `/v1/chat/completions`: the request.

use serde::{Deserialize, Deserializer};

use super::reply::{Reply, parse};

mod answer;

/// Characters per token: OpenAI's rule of thumb for English.
const CHARS_PER_TOKEN: usize = 4;

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

#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) role: Role,
    #[serde(default, rename = "content", deserialize_with = "text")]
    pub(super) text: String,
}

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
}

/// Returns the text of the last user message, or an empty one.
pub(super) fn last_user_text(messages: &[Message]) -> &str {
    messages.iter().rfind(|message| message.role == Role::User).map_or("", |message| &message.text)
}

/// Estimates the tokens of a text; nothing is billed by this.
pub(super) fn count_tokens(text: &str) -> usize {
    text.chars().count().div_ceil(CHARS_PER_TOKEN)
}
