//! Defaults from [model cards](crate::model::cards) for keys that are not written.

use serde_json::Value as Json;

use super::tree::{Entries, Node, convert_json};
use super::{Value, endpoint::openai, fault::Origin, inheritance::table, reader::Reader};
use crate::address::HttpUrl;
use crate::model::cards::{self, ModelCard, ModelKind, ServerCard};

/// A chunk that is longer than this share of the model's limit may have more tokens for the model than we count.
const CHUNK_SHARE: f64 = 0.7;
/// The usual length of a chunk.
const CHUNK_TOKENS: u32 = 300;

/// Adds what is known of the models of the settings. Returns the paths of the keys that were added, each with the name of
/// the card.
pub(super) fn apply(tree: &mut Entries, reader: &Reader<'_>) -> Vec<(String, String)> {
    let mut carded = Vec::new();
    let mut fill = |entries: &mut Entries, path: &str, kind, default: Option<&str>| {
        let Some(name) = model_name(entries, default) else { return };
        let host = host(entries, reader);
        let mut keys = cards::server(&host).map_or_else(Vec::new, |card| server_keys(card, kind));
        let mut card_name = cards::server(&host).map_or_else(String::new, |card| card.title.clone());
        if let Some(card) = cards::model(kind, &name, &host) {
            keys.splice(0..0, model_keys(card));
            card_name.clone_from(&card.model);
        }
        for (key, value) in keys {
            let is_free = |node: &Node| key == "chunk_tokens" && node.is_inherited();
            if entries.get(key).is_none_or(is_free) {
                let inherited_from = Some(format!("the model card of {card_name}"));
                let (value, origin) = (convert_json(&value), Origin::Default);
                entries.insert(key.to_owned(), Node { value, origin, inherited_from });
                carded.push((format!("{path}.{key}"), card_name.clone()));
            }
        }
    };
    if let Some(embedding) = table(tree, "embedding") {
        fill(embedding, "embedding", ModelKind::Embedding, Some("text-embedding-3-small"));
        for (key, path) in [("second", "embedding.second"), ("next", "embedding.next")] {
            if let Some(Node { value: Value::Table(nested), .. }) = embedding.get_mut(key) {
                fill(nested, path, ModelKind::Embedding, None);
            }
        }
    }
    if let Some(answers) = table(tree, "answers") {
        fill(answers, "answers", ModelKind::Chat, Some("gpt-4o-mini"));
    }
    if let Some(Node { value: Value::Table(rerank), .. }) = tree.get_mut("rerank") {
        fill(rerank, "rerank", ModelKind::Rerank, None);
    }
    carded
}

fn model_name(entries: &Entries, default: Option<&str>) -> Option<String> {
    match entries.get("model").map(|node| &node.value) {
        Some(Value::Text(name)) => Some(name.clone()),
        Some(_) => None,
        None => default.map(str::to_owned),
    }
}

fn host(entries: &Entries, reader: &Reader<'_>) -> String {
    let base_url = entries.get("base_url").map_or_else(|| Ok(openai()), |node| reader.value::<HttpUrl>(node));
    base_url.ok().and_then(|url| url.expose().host_str().map(str::to_owned)).unwrap_or_default()
}

type Keys = Vec<(&'static str, Json)>;

fn model_keys(card: &ModelCard) -> Keys {
    let chunk_tokens = card.max_input_tokens.map(|most| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a share of a u32")]
        let share = (f64::from(most) * CHUNK_SHARE) as u32;
        share
    });
    let keys = [
        // One that cannot be indexed is no default.
        (
            "dimensions",
            json(card.dimensions.filter(|dimensions| *dimensions <= super::embedding::MAX_DIMENSIONS)),
        ),
        ("max_input_tokens", json(card.max_input_tokens)),
        ("chunk_tokens", json(chunk_tokens.filter(|share| *share < CHUNK_TOKENS))),
        ("max_inputs", json(card.max_inputs)),
        ("max_request_tokens", json(card.max_request_tokens)),
        ("document", json(card.document.as_ref())),
        ("question", json(card.question.as_ref())),
        ("encoding_format", json(card.encoding_format)),
        ("multilingual", json(card.multilingual)),
        ("usd_per_million_tokens", json(card.usd_per_million_tokens)),
        ("usd_per_million_input_tokens", json(card.usd_per_million_input_tokens)),
        ("usd_per_million_output_tokens", json(card.usd_per_million_output_tokens)),
        ("temperature", json(card.temperature.as_ref())),
        ("max_tokens_parameter", json(card.max_tokens_parameter)),
    ];
    keys.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

fn server_keys(card: &ServerCard, kind: ModelKind) -> Keys {
    let keys: &[_] = match kind {
        ModelKind::Embedding => {
            &[("encoding_format", json(card.encoding_format)), ("max_inputs", json(card.max_inputs))]
        }
        ModelKind::Chat => &[
            ("max_tokens_parameter", json(card.max_tokens_parameter)),
            ("system_role", json(card.system_role)),
        ],
        ModelKind::Rerank => &[],
    };
    keys.iter().filter(|(_, value)| !value.is_null()).cloned().collect()
}

fn json(value: impl serde::Serialize) -> Json {
    serde_json::to_value(value).unwrap_or_default()
}
