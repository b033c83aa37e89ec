//! `/v1/embeddings`: the request.

use std::{num::NonZeroU16, sync::Arc};

use async_openai::types::embeddings::EmbeddingInput;
use serde::Deserialize;
use serde_json::Value;

use super::reply::{Reply, parse};

mod answer;

/// OpenAI's limit of inputs per request.
const MAX_INPUTS: usize = 2048;

#[derive(Debug)]
pub(super) struct Question {
    pub(super) model: String,
    /// At least one text, none empty. Tokens become the words of a text.
    pub(super) inputs: Arc<[String]>,
    /// The number of tokens, if the request has tokens instead of texts.
    pub(super) tokens: Option<usize>,
    pub(super) dimensions: Option<NonZeroU16>,
    is_base64: bool,
}

#[derive(Deserialize)]
struct RawQuestion {
    model: Option<String>,
    #[serde(default)]
    input: Value,
    encoding_format: Option<String>,
    dimensions: Option<i64>,
}

impl Question {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Reply> {
        let RawQuestion { model, input, encoding_format, dimensions } = parse(body)?;
        let model = model.ok_or_else(|| Reply::invalid(None, "you must provide a model parameter"))?;
        let is_base64 = match encoding_format.as_deref() {
            None | Some("float") => false,
            Some("base64") => true,
            Some(other) => {
                let message =
                    format!("Invalid value: '{other}'. Supported values are: 'float' and 'base64'.");
                return Err(Reply::invalid("encoding_format", message));
            }
        };
        let dimensions = dimensions.map(|number| {
            u16::try_from(number).ok().and_then(NonZeroU16::new).ok_or_else(|| {
                let message = format!("Invalid value for 'dimensions': {number} (1 to {})", u16::MAX);
                Reply::invalid("dimensions", message)
            })
        });
        let dimensions = dimensions.transpose()?;
        let (inputs, tokens) = match serde_json::from_value(input) {
            Ok(EmbeddingInput::String(text)) => (vec![text], None),
            Ok(EmbeddingInput::StringArray(texts)) => (texts, None),
            Ok(EmbeddingInput::IntegerArray(tokens)) => write_tokens(&[tokens]),
            Ok(EmbeddingInput::ArrayOfIntegerArray(tokens)) => write_tokens(&tokens),
            Err(_) => {
                let message =
                    "'input' must be a string, or an array of strings, of tokens or of token arrays";
                return Err(Reply::invalid("input", message));
            }
        };
        if inputs.is_empty() {
            let message = "Invalid 'input': empty array. Expected at least one element.";
            return Err(Reply::invalid("input", message));
        }
        if inputs.len() > MAX_INPUTS {
            return Err(Reply::too_many_inputs(MAX_INPUTS, inputs.len()));
        }
        if inputs.iter().any(String::is_empty) {
            return Err(Reply::invalid("input", "Invalid 'input': input cannot be an empty string."));
        }
        Ok(Self { model, inputs: inputs.into(), tokens, dimensions, is_base64 })
    }
}

/// Writes arrays of tokens as texts, and counts the tokens.
fn write_tokens(arrays: &[Vec<u32>]) -> (Vec<String>, Option<usize>) {
    let text = |tokens: &Vec<u32>| tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    (arrays.iter().map(text).collect(), Some(arrays.iter().map(Vec::len).sum()))
}
