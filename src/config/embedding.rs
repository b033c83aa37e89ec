//! `[embedding]`, `[embedding.second]` and `[embedding.next]`: how texts become vectors.

use std::{num::NonZeroU32, time::Duration};

use serde_json::{Value as Json, json};

use super::defaults::{count, seconds};
use super::{
    ReadError, Section, Setting, Value, access::extra_body, endpoint::Endpoint, table, value::wrong,
};
use crate::model::{InputForm, learned::EncodingFormat};

/// pgvector's own limit for an HNSW index on `halfvec`.
pub(super) const MAX_DIMENSIONS: u32 = 4000;

table! {
    /// `[embedding]`: how texts become vectors.
    pub struct Embedding, section {
        endpoint: Endpoint = flat(),
        timeout: Duration = get(seconds(60)),
        model: String = with(|section, key| own(section, key, "text-embedding-3-small".to_owned())),
        dimensions: NonZeroU32 = with(dimensions),
        max_input_tokens: NonZeroU32 = get(count(8192)),
        max_inputs: NonZeroU32 = get(count(2048)),
        max_request_tokens: NonZeroU32 = get(count(300_000)),
        tokenizer: TokenizerChoice = with(tokenizer),
        chunk_tokens: NonZeroU32 = get(count(300)),
        chunk_overlap: u32 = get(50),
        cache_entries: u32 = get(1_000_000),
        usd_per_million_tokens: f64 = get(0.02),
        document: InputForm = table(),
        /// Whether the settings themselves say how documents are embedded.
        has_own_document: bool = hidden(|section: &Section<'_>, _: &str| Ok(section.is_written("document"))),
        question: InputForm = table(),
        dimensions_parameter: Option<bool> = get(None),
        encoding_format: Option<EncodingFormat> = get(None),
        multilingual: bool = get(false),
        /// A model whose vectors are searched beside those of `model`.
        second: Option<Box<Embedding>> = optional_table(),
        /// A model for the index version that is to replace the current one.
        next: Option<Box<Embedding>> = optional_table(),
    }
    check {
        check_sizes(section, chunk_tokens, chunk_overlap, max_input_tokens, max_request_tokens);
        check_others(section, &model, dimensions, &second, &next);
    }
}

impl Embedding {
    /// The models of the settings: this one, the second and the next.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.second.as_deref()).chain(self.next.as_deref())
    }
}

table! {
    InputForm, section {
        prefix: get(String::new()),
        extra_body: with(extra_body),
    }
}

fn is_nested(section: &Section<'_>) -> bool {
    section.path() != "embedding"
}

/// A key that identifies the model: required for the second and the next model.
fn own<T: Setting>(section: &Section<'_>, key: &str, default: T) -> Result<T, ReadError> {
    if is_nested(section) { section.required(key) } else { section.get(key, default) }
}

fn dimensions(section: &Section<'_>, key: &str) -> Result<NonZeroU32, ReadError> {
    let Some(dimensions) = section.optional::<NonZeroU32>(key)? else {
        let model = section.optional::<String>("model")?.unwrap_or_default();
        let message = format!(
            "is required, because there is no model card of {model:?}: write dimensions = N, the length of its vectors"
        );
        return Err(section.fault(key, message));
    };
    if dimensions.get() <= MAX_DIMENSIONS {
        return Ok(dimensions);
    }
    let most = format!("must not exceed {MAX_DIMENSIONS}, the most that pgvector can index");
    Err(section.fault(key, format!("{most}: not {dimensions}")))
}

/// Notes the sizes that do not fit each other. Those that could not be read are skipped.
fn check_sizes(
    section: &Section<'_>,
    chunk: Result<NonZeroU32, ReadError>,
    overlap: Result<u32, ReadError>,
    input: Result<NonZeroU32, ReadError>,
    request: Result<NonZeroU32, ReadError>,
) {
    let [chunk, input, request] = [chunk, input, request].map(|size| size.map(NonZeroU32::get));
    let check = |key, size, breaks: fn(&u32, &u32) -> bool, other, rule: &str, relation: &str| {
        if let (Ok(size), Ok(other)) = (size, other)
            && breaks(&size, &other)
        {
            section.fault(key, format!("{rule}: {size} {relation} {other}"));
        }
    };
    // The second model's chunks are those of the first, cut to the stricter limits of both.
    if section.path() == "embedding.second" {
        check(
            "max_request_tokens",
            request,
            u32::lt,
            input,
            "must not be below max_input_tokens",
            "is below",
        );
        return;
    }
    check("chunk_overlap", overlap, u32::ge, chunk, "must be smaller than chunk_tokens", "is not below");
    check("chunk_tokens", chunk, u32::gt, input, "must not exceed max_input_tokens", "is above");
    check("max_request_tokens", request, u32::lt, input, "must not be below max_input_tokens", "is below");
}

/// The three models must differ. They share one cache, and the first two have the same chunks.
fn check_others(
    section: &Section<'_>,
    model: &Result<String, ReadError>,
    dimensions: Result<NonZeroU32, ReadError>,
    second: &Result<Option<Box<Embedding>>, ReadError>,
    next: &Result<Option<Box<Embedding>>, ReadError>,
) {
    if is_nested(section) {
        section.refuse(&[
            ("belongs to [embedding]: one cache serves all models", &["cache_entries"]),
            ("belongs to [embedding]", &["second", "next"]),
        ]);
    }
    if section.path() == "embedding.second" {
        section.refuse(&[(
            "belongs to [embedding]: both models embed the same chunks",
            &["tokenizer", "chunk_tokens", "chunk_overlap"],
        )]);
    }
    let mut known = Vec::new();
    if let (Ok(model), Ok(dimensions)) = (model, dimensions) {
        known.push(("[embedding]", model, dimensions));
    }
    for (key, name, other) in [("second", "[embedding.second]", second), ("next", "[embedding.next]", next)] {
        let Ok(Some(other)) = other else { continue };
        let same = known
            .iter()
            .find(|(_, model, dimensions)| (*model, *dimensions) == (&other.model, other.dimensions));
        if let Some((of, ..)) = same {
            section.section(key).fault("model", format!("is the model of {of}, with the same dimensions"));
        }
        known.push((name, &other.model, other.dimensions));
    }
}

/// The tokenizer that counts tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenizerChoice {
    /// `OpenAI`'s, compiled in.
    Cl100kBase,
    /// A `tokenizer.json`: its path as written, and its contents.
    #[expect(missing_docs, reason = "the names say it")]
    File { file: String, json: Vec<u8> },
}

impl Setting for TokenizerChoice {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(name) if name == "cl100k_base" => Ok(Self::Cl100kBase),
            other => wrong("\"cl100k_base\" or { file = \"tokenizer.json\" }", other),
        }
    }

    fn show(&self) -> Json {
        match self {
            Self::Cl100kBase => json!("cl100k_base"),
            Self::File { file, .. } => json!({ "file": file }),
        }
    }
}

/// Here `{ file = … }` is the tokenizer itself, not a file that holds its name.
fn tokenizer(section: &Section<'_>, key: &str) -> Result<TokenizerChoice, ReadError> {
    match section.file(key) {
        Some(file) => file.map(|(file, json)| TokenizerChoice::File { file, json }),
        None => section.get(key, TokenizerChoice::Cl100kBase),
    }
}
