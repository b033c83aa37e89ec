//! Model cards: what is publicly known of model servers and models, as defaults of the settings.
//!
//! `cards.toml` holds them. Cards are in the order of their precedence: the first that matches is taken.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::{Deserialize, Serialize};

use crate::model::{
    InputForm,
    learned::{EncodingFormat, MaxTokensParameter, SystemRole},
};

/// What a model is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum ModelKind {
    Embedding,
    Chat,
    Rerank,
}

/// A server of a provider, or a program that serves models.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "cards.toml names the source of each; models.md explains the keys")]
pub struct ServerCard {
    pub name: String,
    pub title: String,
    /// Hosts, or endings of hosts that begin with a dot.
    #[serde(default)]
    pub hosts: Vec<String>,
    pub base_url: String,
    /// The usual environment variable of its key.
    pub api_key_env: Option<String>,
    /// Headers besides, each with the usual environment variable of its value.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    pub embedding: Option<String>,
    pub chat: Option<String>,
    pub rerank: Option<String>,
    pub max_tokens_parameter: Option<MaxTokensParameter>,
    pub encoding_format: Option<EncodingFormat>,
    pub stream_options: Option<bool>,
    pub system_role: Option<SystemRole>,
    pub max_inputs: Option<u32>,
    pub source: String,
}

/// A model.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "cards.toml names the source of each; models.md explains the keys")]
pub struct ModelCard {
    /// Its name; a final `*` matches any ending.
    pub model: String,
    /// Its names at other servers.
    #[serde(default)]
    pub aliases: Vec<String>,
    pub kind: ModelKind,
    /// The servers that the card is right at; empty for all.
    #[serde(default)]
    pub servers: Vec<String>,
    pub dimensions: Option<u32>,
    /// Whether it accepts `dimensions` for shorter vectors.
    pub shortens: Option<bool>,
    pub max_input_tokens: Option<u32>,
    pub max_inputs: Option<u32>,
    pub max_request_tokens: Option<u32>,
    pub tokenizer: Option<String>,
    pub document: Option<InputForm>,
    pub question: Option<InputForm>,
    pub encoding_format: Option<EncodingFormat>,
    /// Whether it was trained so that texts of one meaning in several languages are near.
    pub multilingual: Option<bool>,
    pub usd_per_million_tokens: Option<f64>,
    pub usd_per_million_input_tokens: Option<f64>,
    pub usd_per_million_output_tokens: Option<f64>,
    /// `default`, if it accepts no other temperature.
    pub temperature: Option<String>,
    pub max_tokens_parameter: Option<MaxTokensParameter>,
    /// Whether it spends tokens on thoughts.
    pub thinks: Option<bool>,
    /// `unopened`, if its thoughts begin without a tag.
    pub thoughts: Option<String>,
    pub source: String,
}

#[derive(Deserialize)]
struct Cards {
    server: Vec<ServerCard>,
    model: Vec<ModelCard>,
}

static CARDS: LazyLock<Cards> =
    LazyLock::new(|| toml::from_str(include_str!("cards.toml")).expect("a test reads the cards"));

/// All servers.
pub fn servers() -> &'static [ServerCard] {
    &CARDS.server
}

/// All models.
pub fn models() -> &'static [ModelCard] {
    &CARDS.model
}

/// The card of the server with this host.
pub fn server(host: &str) -> Option<&'static ServerCard> {
    let matches = |known: &String| host == known || known.starts_with('.') && host.ends_with(known.as_str());
    CARDS.server.iter().find(|card| card.hosts.iter().any(matches))
}

/// The card of a model at the server with this host.
pub fn model(kind: ModelKind, name: &str, host: &str) -> Option<&'static ModelCard> {
    let server = server(host).map(|card| card.name.as_str());
    let full = name.to_lowercase();
    let bare = full.rsplit('/').next().unwrap_or_default();
    let untagged = bare.split(':').next().unwrap_or_default();
    [full.as_str(), bare, untagged].into_iter().find_map(|name| {
        CARDS.model.iter().find(|card| {
            let is_here = card.servers.is_empty()
                || server.is_some_and(|server| card.servers.iter().any(|known| known == server));
            is_here && card.kind == kind && card.names().any(|known| is_called(known, name))
        })
    })
}

impl ModelCard {
    /// All its names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.model).chain(&self.aliases).map(String::as_str)
    }
}

fn is_called(known: &str, name: &str) -> bool {
    let known = known.to_lowercase();
    known.strip_suffix('*').map_or_else(|| known == name, |beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_found_by_every_name_of_its_model() {
        let dimensions =
            |name, host| model(ModelKind::Embedding, name, host).and_then(|card| card.dimensions);
        for name in ["text-embedding-3-small", "openai/text-embedding-3-small", "Text-Embedding-3-Small"] {
            assert_eq!(dimensions(name, "any.host"), Some(1536), "{name}");
        }
        assert_eq!(dimensions("nomic-embed-text:latest", "127.0.0.1"), Some(768));
        assert_eq!(dimensions("qwen3-embedding:0.6b", "127.0.0.1"), Some(1024));
        assert_eq!(dimensions("hash", "127.0.0.1"), None);
        assert!(model(ModelKind::Chat, "gpt-5-mini", "api.openai.com").unwrap().thinks.unwrap());
    }

    #[test]
    fn a_server_is_found_by_its_host() {
        assert_eq!(server("shop.openai.azure.com").unwrap().name, "azure");
        assert_eq!(server("api.mistral.ai").unwrap().name, "mistral");
        assert!(server("openai.azure.com.evil.example").is_none() && server("localhost").is_none());
    }

    #[test]
    fn asymmetric_models_have_both_sides() {
        let card = model(ModelKind::Embedding, "intfloat/multilingual-e5-large", "127.0.0.1").unwrap();
        assert_eq!(card.document.as_ref().unwrap().prefix, "passage: ");
        assert_eq!(card.question.as_ref().unwrap().prefix, "query: ");
    }

    #[test]
    fn each_usual_model_of_a_server_has_a_card() {
        for server in servers() {
            let host = server.hosts.first().map_or("127.0.0.1", String::as_str).trim_start_matches('.');
            let usual = [
                (ModelKind::Embedding, &server.embedding),
                (ModelKind::Chat, &server.chat),
                (ModelKind::Rerank, &server.rerank),
            ];
            for (kind, name) in usual {
                if let Some(name) = name {
                    assert!(model(kind, name, host).is_some(), "{}: {name}", server.name);
                }
            }
        }
    }
}
