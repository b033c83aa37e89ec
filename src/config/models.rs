//! `[openai]`, `[embedding]` and `[embedding.next]`: model servers, and how texts become vectors.

use url::Url;

use super::{
    Amount, Embedding, Endpoint, Secret, TokenizerChoice,
    reader::{Faulty, Section},
    sections::{count, seconds},
};

/// pgvector's own bound for an HNSW index on `halfvec`.
const MAX_INDEXED_DIMENSIONS: u32 = 4000;

pub(super) fn openai(section: &Section<'_>) -> Result<Endpoint, Faulty> {
    let endpoint = endpoint(section, None);
    section.finish();
    endpoint
}

/// Reads an endpoint; what it leaves out is what the one below it says. A key goes with its server: no other gets it.
pub(super) fn endpoint(section: &Section<'_>, below: Option<&Endpoint>) -> Result<Endpoint, Faulty> {
    const OPENAI: &str = "https://api.openai.com/v1";
    let own_url: Option<Url> = section.optional("base_url")?;
    let own_key: Result<Option<Secret>, _> = match below {
        None => section.or_variable("api_key", "OPENAI_API_KEY"),
        Some(_) => section.optional("api_key"),
    };
    let requests =
        section.get("requests_per_minute", below.map_or(count(3000), |below| below.requests_per_minute));
    let tokens =
        section.get("tokens_per_minute", below.map_or(count(1_000_000), |below| below.tokens_per_minute));
    let timeout = section.get("timeout", below.map_or(seconds(60), |below| below.timeout));
    let own_key = own_key?;
    let base_url = match (&own_url, below) {
        (Some(url), _) => url.clone(),
        (None, Some(below)) => below.base_url.clone(),
        (None, None) => Url::parse(OPENAI).map_err(|_| Faulty)?,
    };
    let same_server = below.filter(|below| below.base_url == base_url);
    let api_key = own_key.or_else(|| same_server.and_then(|below| below.api_key.clone()));
    if api_key.is_none() && base_url.as_str() == OPENAI {
        let message = match below {
            None => "is required, here or as the environment's OPENAI_API_KEY",
            Some(_) => "is required, since this base_url is not the one that has a key",
        };
        return Err(section.fault("api_key", message));
    }
    Ok(Endpoint {
        base_url,
        api_key,
        requests_per_minute: requests?,
        tokens_per_minute: tokens?,
        timeout: timeout?,
    })
}

/// Reads an embedding model; what `[embedding.next]` leaves out is what `[embedding]` says, but for what
/// belongs to the model itself.
pub(super) fn embedding(
    section: &Section<'_>,
    openai: Option<&Endpoint>,
    above: Option<&Embedding>,
) -> Result<Embedding, Faulty> {
    let below = above.map(|above| &above.endpoint).or(openai);
    let endpoint = below.ok_or(Faulty).and_then(|below| endpoint(section, Some(below)));
    let model = match above {
        None => section.get("model", "text-embedding-3-small".to_owned()),
        Some(_) => section.required("model"),
    };
    let dimensions = match above {
        None => section.get("dimensions", count(1536)),
        Some(_) => section.required("dimensions"),
    };
    let max_input_tokens = section.get("max_input_tokens", count(8192));
    let max_inputs = section.get("max_inputs", above.map_or(count(2048), |above| above.max_inputs));
    let max_request_tokens =
        section.get("max_request_tokens", above.map_or(count(300_000), |above| above.max_request_tokens));
    let tokenizer = tokenizer(section);
    let chunk_tokens = section.get("chunk_tokens", above.map_or(count(300), |above| above.chunk_tokens));
    let chunk_overlap = section.get("chunk_overlap", above.map_or(50, |above| above.chunk_overlap));
    let cache_entries = match above {
        None => section.get("cache_entries", 1_000_000),
        Some(above) => Ok(above.cache_entries),
    };
    let usd_per_million_tokens = section.get("usd_per_million_tokens", Amount(0.02));
    if let (Ok(chunk), Ok(overlap)) = (&chunk_tokens, &chunk_overlap)
        && overlap >= &chunk.get()
    {
        let message = format!("must be smaller than chunk_tokens: {overlap} is not below {chunk}");
        section.fault("chunk_overlap", message);
    }
    if let (Ok(chunk), Ok(input)) = (&chunk_tokens, &max_input_tokens)
        && chunk > input
    {
        let message = format!("must not exceed max_input_tokens: {chunk} is above {input}");
        section.fault("chunk_tokens", message);
    }
    if let (Ok(input), Ok(request)) = (&max_input_tokens, &max_request_tokens)
        && input > request
    {
        let message = format!("must not be below max_input_tokens: {request} is below {input}");
        section.fault("max_request_tokens", message);
    }
    if let Ok(dimensions) = &dimensions
        && dimensions.get() > MAX_INDEXED_DIMENSIONS
    {
        let message = format!(
            "must not exceed {MAX_INDEXED_DIMENSIONS}, the most that pgvector can index: not {dimensions}"
        );
        section.fault("dimensions", message);
    }
    let embedding = (|| {
        Ok(Embedding {
            endpoint: endpoint?,
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
    })();
    let next =
        (above.is_none()).then(|| section.section("next")).filter(|next| !next.written_keys().is_empty());
    let next = match (next, &embedding) {
        (Some(next), Ok(above)) => Some(self::embedding(&next, openai, Some(above))),
        (Some(_), Err(_)) | (None, _) => None,
    };
    section.finish();
    let (embedding, next) = (embedding?, next.transpose()?);
    if next
        .as_ref()
        .is_some_and(|next| next.model == embedding.model && next.dimensions == embedding.dimensions)
    {
        return Err(section
            .section("next")
            .fault("model", "is the model of [embedding], with the same dimensions"));
    }
    Ok(Embedding { next: next.map(Box::new), ..embedding })
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
