//! `[openai]`, `[embedding]` and `[embedding.next]`: model servers, and how texts become vectors.

use std::num::NonZeroU32;

use url::{Host, Url};

use super::{
    Amount, Embedding, Endpoint, HttpUrl, RateLimit, Secret, Span, TokenizerChoice,
    reader::{Faulty, Section, Setting},
    sections::{count, seconds},
    tree::Value,
};

/// pgvector's own bound for an HNSW index on `halfvec`.
const MAX_INDEXED_DIMENSIONS: u32 = 4000;

const OPENAI: &str = "https://api.openai.com/v1";

/// What may be asked of a server where nothing else is said, unless it is on this host.
const REQUESTS_PER_MINUTE: u32 = 3000;
const TOKENS_PER_MINUTE: u32 = 1_000_000;

/// Whether a URL names this host by its loopback addresses.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// A model server as far as it could be read: each key for itself, so that one that is wrong hides no other.
pub(super) struct Server {
    base_url: Result<HttpUrl, Faulty>,
    api_key: Result<Option<Secret>, Faulty>,
    /// None when nothing says how many.
    requests_per_minute: Result<Option<NonZeroU32>, Faulty>,
    tokens_per_minute: Result<Option<NonZeroU32>, Faulty>,
    timeout: Result<Span, Faulty>,
}

impl Server {
    /// Reads a server; what is left out is what the one below says. A key goes with its server: no other gets it.
    fn over(below: &Self, section: &Section<'_>, own_key: Result<Option<Secret>, Faulty>) -> Self {
        let base_url = section.or("base_url", below.base_url.clone());
        let api_key = match (own_key, &base_url, &below.base_url) {
            (Ok(None), Ok(own), Ok(of_below)) if own == of_below => below.api_key.clone(),
            (Ok(None), Ok(_), Ok(_)) => Ok(None),
            (Ok(None), ..) => Err(Faulty),
            (own_key, ..) => own_key,
        };
        Self {
            base_url,
            api_key,
            requests_per_minute: section.or_none("requests_per_minute", below.requests_per_minute),
            tokens_per_minute: section.or_none("tokens_per_minute", below.tokens_per_minute),
            timeout: section.or("timeout", below.timeout),
        }
    }

    /// Whether it is `OpenAI`'s own and there is no key for it.
    fn lacks_key(&self) -> bool {
        matches!((&self.base_url, &self.api_key), (Ok(base_url), Ok(None)) if base_url.expose().as_str() == OPENAI)
    }

    /// The server, if all of it could be read.
    pub(super) fn endpoint(&self) -> Result<Endpoint, Faulty> {
        let base_url = self.base_url.clone()?;
        // A server of this host has nobody to share with: it takes what it can.
        let is_local = is_loopback(base_url.expose());
        let limit = |written: Option<NonZeroU32>, default| match written {
            Some(most) => RateLimit::PerMinute(most),
            None if is_local => RateLimit::Unlimited,
            None => RateLimit::PerMinute(count(default)),
        };
        Ok(Endpoint {
            base_url,
            api_key: self.api_key.clone()?,
            requests_per_minute: limit(self.requests_per_minute?, REQUESTS_PER_MINUTE),
            tokens_per_minute: limit(self.tokens_per_minute?, TOKENS_PER_MINUTE),
            timeout: self.timeout?,
        })
    }
}

/// `[openai]`, which is laid under each use.
pub(super) struct OpenAi<'a> {
    section: Section<'a>,
    server: Server,
}

impl<'a> OpenAi<'a> {
    /// Reads the section. Whether its key is missing is only known where a server is used.
    pub(super) fn read(section: Section<'a>) -> Self {
        let defaults = Server {
            base_url: HttpUrl::read(&Value::Text(OPENAI.to_owned())).map_err(|_| Faulty),
            api_key: Ok(None),
            requests_per_minute: Ok(None),
            tokens_per_minute: Ok(None),
            timeout: Ok(seconds(60)),
        };
        let own_key = section.or_variable("api_key", "OPENAI_API_KEY");
        let server = Server::over(&defaults, &section, own_key);
        section.finish();
        Self { section, server }
    }

    /// Reads the server of one use; what is left out is what the section above it says, or this one.
    pub(super) fn of_use(&self, section: &Section<'_>, above: Option<&Server>) -> Server {
        let below = above.unwrap_or(&self.server);
        let mut server = Server::over(below, section, section.optional("api_key"));
        if server.lacks_key() {
            server.api_key = Err(if below.lacks_key() {
                self.section.fault("api_key", "is required, here or as the environment's OPENAI_API_KEY")
            } else {
                let message = "is required, since this base_url is not the one that has a key";
                section.fault("api_key", message)
            });
        }
        server
    }

    /// The longest that one request may take.
    pub(super) fn timeout(&self) -> Result<Span, Faulty> {
        self.server.timeout
    }
}

/// Reads an embedding model and, in `[embedding.next]`, the one that is to take its place.
pub(super) fn embedding(section: &Section<'_>, openai: &OpenAi<'_>) -> Result<Embedding, Faulty> {
    let server = openai.of_use(section, None);
    let embedding = model(section, &server, None);
    let next = section.section("next");
    let is_written = !next.written_keys().is_empty();
    let next_model = is_written.then(|| {
        let server = openai.of_use(&next, Some(&server));
        let model = model(&next, &server, Some(embedding.as_ref().map_err(|faulty| *faulty)));
        next.finish();
        model
    });
    section.finish();
    let (embedding, next_model) = (embedding?, next_model.transpose()?);
    let is_same = |next: &Embedding| next.model == embedding.model && next.dimensions == embedding.dimensions;
    if next_model.as_ref().is_some_and(is_same) {
        return Err(next.fault("model", "is the model of [embedding], with the same dimensions"));
    }
    Ok(Embedding { next: next_model.map(Box::new), ..embedding })
}

/// Reads one model; what `[embedding.next]` leaves out is what `[embedding]`, above it, says, but for what belongs
/// to the model itself.
fn model(
    section: &Section<'_>,
    server: &Server,
    above: Option<Result<&Embedding, Faulty>>,
) -> Result<Embedding, Faulty> {
    let (model, dimensions) = match above {
        None => (
            section.get("model", "text-embedding-3-small".to_owned()),
            section.get("dimensions", count(1536)),
        ),
        Some(_) => (section.required("model"), section.required("dimensions")),
    };
    let max_input_tokens = section.get("max_input_tokens", count(8192));
    let max_inputs = section.or("max_inputs", left_out(above, count(2048), |above| above.max_inputs));
    let request = left_out(above, count(300_000), |above| above.max_request_tokens);
    let max_request_tokens = section.or("max_request_tokens", request);
    let tokenizer = tokenizer(section);
    let chunk_tokens = section.or("chunk_tokens", left_out(above, count(300), |above| above.chunk_tokens));
    let chunk_overlap = section.or("chunk_overlap", left_out(above, 50, |above| above.chunk_overlap));
    let cache_entries = match above {
        None => section.get("cache_entries", 1_000_000),
        Some(above) => above.map(|above| above.cache_entries),
    };
    let usd_per_million_tokens = section.get("usd_per_million_tokens", Amount(0.02));
    check_sizes(section, chunk_tokens, chunk_overlap, max_input_tokens, max_request_tokens);
    check_dimensions(section, dimensions);
    Ok(Embedding {
        endpoint: server.endpoint()?,
        model: model?,
        dimensions: dimensions?,
        max_input_tokens: max_input_tokens?,
        max_inputs: max_inputs?,
        max_request_tokens: max_request_tokens?,
        tokenizer: tokenizer?,
        chunk_tokens: chunk_tokens?,
        chunk_overlap: chunk_overlap?,
        cache_entries: cache_entries?,
        usd_per_million_tokens: usd_per_million_tokens?,
        next: None,
    })
}

/// What holds for a key that was left out: the default, or what the model above says.
fn left_out<T>(
    above: Option<Result<&Embedding, Faulty>>,
    default: T,
    of: impl Fn(&Embedding) -> T,
) -> Result<T, Faulty> {
    above.map_or(Ok(default), |above| above.map(of))
}

/// Holds that sizes fit into each other, as far as they could be read.
fn check_sizes(
    section: &Section<'_>,
    chunk: Result<NonZeroU32, Faulty>,
    overlap: Result<u32, Faulty>,
    input: Result<NonZeroU32, Faulty>,
    request: Result<NonZeroU32, Faulty>,
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

fn check_dimensions(section: &Section<'_>, dimensions: Result<NonZeroU32, Faulty>) {
    if let Ok(dimensions) = dimensions
        && dimensions.get() > MAX_INDEXED_DIMENSIONS
    {
        let message = format!(
            "must not exceed {MAX_INDEXED_DIMENSIONS}, the most that pgvector can index: not {dimensions}"
        );
        section.fault("dimensions", message);
    }
}

/// Here `{ file = … }` names the tokenizer itself, not a text that names one.
fn tokenizer(section: &Section<'_>) -> Result<TokenizerChoice, Faulty> {
    const KEY: &str = "tokenizer";
    if let Some(file) = section.file(KEY) {
        return file.map(|(file, json)| TokenizerChoice::File { file, json });
    }
    let name: String = section.get(KEY, "cl100k_base".to_owned())?;
    if name == "cl100k_base" {
        return Ok(TokenizerChoice::Cl100kBase);
    }
    let message = format!("must be \"cl100k_base\" or {{ file = \"tokenizer.json\" }}, not {name:?}");
    Err(section.fault(KEY, message))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::PathBuf};

    use crate::config::Config;

    /// The limits of `[embedding]`, `[embedding.next]` and `[answers]` as they are shown.
    fn limits(sections: &str) -> Vec<String> {
        let settings = format!(
            "[database]\nurl = \"postgres://u@h/ours\"\n[embedding.next]\nmodel = \"m\"\ndimensions = 7\n{sections}"
        );
        let environment = BTreeMap::from([("OPENAI_API_KEY".to_owned(), "sk-1".to_owned())]);
        let config = Config::parse(&settings, "jobs.toml", PathBuf::new(), &environment).unwrap();
        let shown: toml::Table = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        let (embedding, answers) = (&shown["embedding"], &shown["answers"]);
        let of = |section: &toml::Value| {
            format!("{} {}", section["requests_per_minute"], section["tokens_per_minute"])
        };
        vec![of(embedding), of(&embedding["next"]), of(answers)]
    }

    #[test]
    fn a_model_server_of_this_host_has_no_limits_unless_they_are_set() {
        const FREE: &str = "\"unlimited\" \"unlimited\"";
        const USUAL: &str = "3000 1000000";
        assert_eq!(limits(""), [USUAL; 3]);
        for host in ["localhost:11434", "127.0.0.1:11434", "127.1.2.3", "[::1]:80", "[::ffff:127.0.0.1]"] {
            assert_eq!(limits(&format!("[openai]\nbase_url = \"http://{host}/v1\"")), [FREE; 3], "{host}");
        }
        for host in ["192.168.0.7:11434", "localhost.example", "10.0.0.1"] {
            assert_eq!(limits(&format!("[openai]\nbase_url = \"http://{host}/v1\"")), [USUAL; 3], "{host}");
        }
        let local = "base_url = \"http://localhost/v1\"";
        assert_eq!(limits(&format!("[answers]\n{local}")), [USUAL, USUAL, FREE]);
        // What is set holds, wherever it was set.
        let inherited = format!("[openai]\nrequests_per_minute = 60\n[answers]\n{local}");
        assert_eq!(limits(&inherited), ["60 1000000", "60 1000000", "60 \"unlimited\""]);
        let own = format!("[openai]\n{local}\n[embedding]\ntokens_per_minute = 3000");
        assert_eq!(limits(&own), ["\"unlimited\" 3000", "\"unlimited\" 3000", FREE]);
    }
}
