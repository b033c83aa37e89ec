//! `/v1/embeddings`: the request, and the answer's bytes.

use std::num::NonZeroU16;
use std::sync::Arc;

use async_openai::types::embeddings::EmbeddingInput;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::demo::models::{
    fault::Fault,
    reply::{Reply, parse},
};

/// OpenAI's limit of inputs in one request.
const MAX_INPUTS: usize = 2048;
/// Bytes of one number.
pub(super) const WIDTH: usize = size_of::<f32>();

/// A vector as the little-endian `f32` of the base64 format.
pub(super) type Vector = Vec<u8>;

/// A request that can be served.
#[derive(Debug)]
pub(super) struct Question {
    model: String,
    /// At least one text, none empty. Tokens are written as the words of a text.
    pub(super) inputs: Arc<[String]>,
    /// How many tokens were given in place of texts.
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
    /// Reads a request body, or refuses it.
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
            return Err(Reply::invalid(
                "input",
                "Invalid 'input': empty array. Expected at least one element.",
            ));
        }
        if inputs.len() > MAX_INPUTS {
            return Err(Reply::too_many_inputs(MAX_INPUTS, inputs.len()));
        }
        if inputs.iter().any(String::is_empty) {
            return Err(Reply::invalid("input", "Invalid 'input': input cannot be an empty string."));
        }
        Ok(Self { model, inputs: inputs.into(), tokens, dimensions, is_base64 })
    }

    /// Writes the answer, with the fault if it is one of vectors. The body is put together by hand: numbers and base64
    /// need no escaping, and this is the path that the benchmarks measure others by.
    pub(super) fn answer(&self, vectors: Vec<Vector>, tokens: usize, fault: Option<&Fault>) -> Reply {
        let mut rows: Vec<_> = vectors.into_iter().enumerate().collect();
        if let Some(fault) = fault {
            self.damage(&mut rows, fault);
        }
        let row = |(index, vector): &(usize, Vector)| {
            let vector = self.write(vector);
            format!(r#"{{"object":"embedding","index":{index},"embedding":{vector}}}"#)
        };
        let data = rows.iter().map(row).collect::<Vec<_>>().join(",");
        let model = Value::from(self.model.as_str());
        let usage = format!(r#"{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}"#);
        Reply::json(format!(r#"{{"object":"list","data":[{data}],"model":{model},"usage":{usage}}}"#))
    }

    fn damage(&self, rows: &mut Vec<(usize, Vector)>, fault: &Fault) {
        match fault {
            Fault::WrongCount => rows.truncate(rows.len() - 1),
            Fault::WrongOrder => rows.reverse(),
            Fault::WrongDimension => {
                for (_, vector) in rows {
                    vector.truncate(vector.len() - WIDTH);
                }
            }
            Fault::NotFinite => fill(&mut rows[0].1[..WIDTH], f32::NAN),
            Fault::Zeros(text) | Fault::Nan(text) => {
                let number = if matches!(fault, Fault::Nan(_)) { f32::NAN } else { 0.0 };
                for (index, vector) in rows {
                    if self.inputs[*index].contains(text) {
                        fill(vector, number);
                    }
                }
            }
            _ => {}
        }
    }

    fn write(&self, vector: &[u8]) -> String {
        if self.is_base64 {
            return format!("\"{}\"", STANDARD.encode(vector));
        }
        // JSON has no NaN: `null` is what other servers write.
        let write = |float: f32| if float.is_finite() { float.to_string() } else { "null".to_owned() };
        format!("[{}]", floats(vector).map(write).collect::<Vec<_>>().join(","))
    }
}

/// Returns the numbers of a vector.
pub(super) fn floats(vector: &[u8]) -> impl Iterator<Item = f32> {
    vector.as_chunks().0.iter().map(|float| f32::from_le_bytes(*float))
}

fn fill(vector: &mut [u8], number: f32) {
    vector.as_chunks_mut().0.fill(number.to_le_bytes());
}

/// Writes arrays of tokens as texts, and counts the tokens.
fn write_tokens(arrays: &[Vec<u32>]) -> (Vec<String>, Option<usize>) {
    let text = |tokens: &Vec<u32>| tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    (arrays.iter().map(text).collect(), Some(arrays.iter().map(Vec::len).sum()))
}
