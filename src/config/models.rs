//! `[openai]`, `[embedding]` and `[embedding.next]`: model servers, and how texts become vectors.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use secrecy::SecretString;
use serde_json::{Value as Json, json};
use url::{Host, Url};

use super::{
    reader::{ReadError, Reader, Section},
    sections::{count, seconds},
    table::{Table, table},
    tree::{self, Node, Value},
    value::{Setting, wrong},
};
use crate::address::HttpUrl;

/// pgvector's own limit for an HNSW index on `halfvec`.
const MAX_INDEXED_DIMENSIONS: u32 = 4000;

const OPENAI: &str = "https://api.openai.com/v1";

/// What may be asked of a server in a minute by default, unless it is on this host.
const REQUESTS_PER_MINUTE: u32 = 3000;
const TOKENS_PER_MINUTE: u32 = 1_000_000;

table! {
    /// A model server: `[openai]`, from which `[embedding]` and `[answers]` inherit.
    pub struct Endpoint, section {
        base_url: HttpUrl = get(openai()),
        api_key: Option<SecretString> = with(api_key),
        requests_per_minute: RateLimit = with(|section, key| rate_limit(section, key, REQUESTS_PER_MINUTE)),
        tokens_per_minute: RateLimit = with(|section, key| rate_limit(section, key, TOKENS_PER_MINUTE)),
    }
}

fn openai() -> HttpUrl {
    OPENAI.parse().expect("it is an https address")
}

/// OpenAI's own server needs a key, local ones often none.
fn api_key(section: &Section<'_>, key: &str) -> Result<Option<SecretString>, ReadError> {
    let (api_key, base_url) = (section.get(key, None::<SecretString>)?, section.get("base_url", openai())?);
    if api_key.is_some() || base_url != openai() || section.path() == "openai" {
        return Ok(api_key);
    }
    Err(if section.is_written("base_url") {
        section.fault(key, "is required, since this base_url is not the one that has a key")
    } else {
        let message = "is required, here or as the environment's OPENAI_API_KEY";
        section.fault_elsewhere("openai.api_key", message)
    })
}

/// Notes the faults of `[openai]`, of which each use reads its own copy.
pub(super) fn check_openai(root: &Section<'_>) {
    let section = root.section("openai");
    let _ = (Endpoint::read(&section), section.optional::<Duration>("timeout"));
    section.finish();
}

type Entries = BTreeMap<String, Node>;

/// The keys of a server, but for its API key.
const SERVER: [&str; 3] = ["base_url", "requests_per_minute", "tokens_per_minute"];

/// Lets `[embedding]` and `[answers]` inherit from `[openai]`, and `[embedding.next]` from `[embedding]`.
pub(super) fn inherit(tree: &mut Entries, reader: &Reader<'_>) {
    let Some(openai) = tree::table(tree, "openai") else { return };
    if !openai.contains_key("api_key") && !matches!(reader.variable("OPENAI_API_KEY"), Ok(None)) {
        openai.insert("api_key".to_owned(), Node::variable("OPENAI_API_KEY"));
    }
    let openai = openai.clone();
    if let Some(answers) = tree::table(tree, "answers") {
        inherit_server(answers, "openai", &openai, reader);
        tree::inherit(answers, "openai", &openai, "timeout", "openai.timeout");
    }
    let Some(embedding) = tree::table(tree, "embedding") else { return };
    inherit_server(embedding, "openai", &openai, reader);
    tree::inherit(embedding, "openai", &openai, "timeout", "timeout");
    let above = embedding.clone();
    if let Some(Node { value: Value::Table(next), .. }) = embedding.get_mut("next") {
        inherit_server(next, "embedding", &above, reader);
        for key in
            ["timeout", "max_inputs", "max_request_tokens", "chunk_tokens", "chunk_overlap", "cache_entries"]
        {
            tree::inherit(next, "embedding", &above, key, key);
        }
    }
}

/// A key goes with its server: it is not sent to another one.
fn inherit_server(heir: &mut Entries, section: &str, above: &Entries, reader: &Reader<'_>) {
    let server = |entries: &Entries| {
        entries.get("base_url").map_or_else(|| Ok(openai()), |node| reader.value::<HttpUrl>(node))
    };
    let is_other = |own: HttpUrl| server(above).is_ok_and(|above| above != own);
    if !heir.contains_key("base_url") || !server(heir).is_ok_and(is_other) {
        tree::inherit(heir, section, above, "api_key", "api_key");
    }
    for key in SERVER {
        tree::inherit(heir, section, above, key, key);
    }
}

/// What all daemons together may ask of a model in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// Shown as `unlimited`; cannot be written.
    Unlimited,
    /// At most so many.
    PerMinute(NonZeroU32),
}

impl RateLimit {
    /// At most so many; `None` is no limit.
    pub fn per_minute(self) -> Option<u32> {
        match self {
            Self::Unlimited => None,
            Self::PerMinute(most) => Some(most.get()),
        }
    }
}

impl Setting for RateLimit {
    fn read(value: &Value) -> Result<Self, String> {
        NonZeroU32::read(value).map(Self::PerMinute)
    }

    fn show(&self) -> Json {
        self.per_minute().map_or_else(|| json!("unlimited"), Json::from)
    }
}

/// A server on this host has no limit by default, since no other host shares it.
fn rate_limit(section: &Section<'_>, key: &str, default: u32) -> Result<RateLimit, ReadError> {
    let (written, base_url) = (section.optional(key), section.get("base_url", openai()));
    let default = || match base_url {
        Ok(base_url) if is_loopback(base_url.expose()) => Ok(RateLimit::Unlimited),
        Ok(_) => Ok(RateLimit::PerMinute(count(default))),
        Err(faulty) => Err(faulty),
    };
    written?.map_or_else(default, Ok)
}

/// Whether a URL names this host by its loopback addresses.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

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
        /// A second model, for an index version that is to replace the present one.
        next: Option<Box<Embedding>> = optional_table(),
    }
    check {
        check_sizes(section, chunk_tokens, chunk_overlap, max_input_tokens, max_request_tokens);
        check_next(section, &model, dimensions, &next);
    }
}

fn is_next(section: &Section<'_>) -> bool {
    section.path() == "embedding.next"
}

/// A key that identifies the model: required for the next model, which has no default.
fn own<T: Setting>(section: &Section<'_>, key: &str, default: T) -> Result<T, ReadError> {
    if is_next(section) { section.required(key) } else { section.get(key, default) }
}

fn dimensions(section: &Section<'_>, key: &str) -> Result<NonZeroU32, ReadError> {
    let dimensions = own(section, key, count(1536))?;
    if dimensions.get() <= MAX_INDEXED_DIMENSIONS {
        return Ok(dimensions);
    }
    let message = format!(
        "must not exceed {MAX_INDEXED_DIMENSIONS}, the most that pgvector can index: not {dimensions}"
    );
    Err(section.fault(key, message))
}

/// Notes which sizes do not fit into each other, as far as they could be read.
fn check_sizes(
    section: &Section<'_>,
    chunk: Result<NonZeroU32, ReadError>,
    overlap: Result<u32, ReadError>,
    input: Result<NonZeroU32, ReadError>,
    request: Result<NonZeroU32, ReadError>,
) {
    if let (Ok(chunk), Ok(overlap)) = (chunk, overlap)
        && overlap >= chunk.get()
    {
        let message = format!("must be smaller than chunk_tokens: {overlap} is not below {chunk}");
        section.fault("chunk_overlap", message);
    }
    if let (Ok(chunk), Ok(input)) = (chunk, input)
        && chunk > input
    {
        let message = format!("must not exceed max_input_tokens: {chunk} is above {input}");
        section.fault("chunk_tokens", message);
    }
    if let (Ok(input), Ok(request)) = (input, request)
        && input > request
    {
        let message = format!("must not be below max_input_tokens: {request} is below {input}");
        section.fault("max_request_tokens", message);
    }
}

/// The next model must be another one, and shares what belongs to both.
fn check_next(
    section: &Section<'_>,
    model: &Result<String, ReadError>,
    dimensions: Result<NonZeroU32, ReadError>,
    next: &Result<Option<Box<Embedding>>, ReadError>,
) {
    if is_next(section) {
        section.refuse(&[
            ("belongs to [embedding]: one cache serves both models", &["cache_entries"]),
            ("belongs to [embedding]", &["next"]),
        ]);
    }
    if let (Ok(model), Ok(dimensions), Ok(Some(next))) = (model, dimensions, next)
        && (model, dimensions) == (&next.model, next.dimensions)
    {
        section.section("next").fault("model", "is the model of [embedding], with the same dimensions");
    }
}

/// Which tokenizer counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenizerChoice {
    /// `OpenAI`'s, compiled in.
    Cl100kBase,
    /// A `tokenizer.json`: its path as it was written, and its contents.
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

/// Here `{ file = … }` names the tokenizer itself, not a text that names one.
fn tokenizer(section: &Section<'_>, key: &str) -> Result<TokenizerChoice, ReadError> {
    match section.file(key) {
        Some(file) => file.map(|(file, json)| TokenizerChoice::File { file, json }),
        None => section.get(key, TokenizerChoice::Cl100kBase),
    }
}
