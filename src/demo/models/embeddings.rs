//! `/v1/embeddings`: what is asked, and the answer's bytes.

use std::num::NonZeroU16;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::demo::models::{
    fault::Fault,
    refusal::{Refusal, parse},
    reply::Reply,
};

/// OpenAI's limit of inputs in one request.
const MAX_INPUTS: usize = 2048;

/// Vectors of one length, row by row, as the little-endian `f32` of the base64 format.
#[derive(Debug)]
pub(super) struct Vectors {
    dimensions: usize,
    bytes: Vec<u8>,
}

/// A request that can be served.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) inputs: Inputs,
    pub(super) dimensions: Option<NonZeroU16>,
    pub(super) form: Form,
}

/// What the answer looks like.
#[derive(Debug)]
pub(super) struct Form {
    model: String,
    format: Format,
}

/// What is to be embedded: at least one, none empty.
#[derive(Debug)]
pub(super) enum Inputs {
    Texts(Vec<String>),
    Tokens(Vec<Vec<u32>>),
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Float,
    Base64,
}

#[derive(Deserialize)]
struct RawQuestion {
    model: Option<String>,
    input: Option<Value>,
    encoding_format: Option<String>,
    dimensions: Option<i64>,
}

impl Vectors {
    /// Takes `n × dimensions` numbers of four bytes.
    pub(super) fn from_le_bytes(dimensions: usize, bytes: Vec<u8>) -> Self {
        Self { dimensions, bytes }
    }

    /// The rows, four bytes a number.
    fn rows(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        self.bytes.chunks_exact(self.dimensions * size_of::<f32>())
    }

    /// Puts one number in all places of a row.
    pub(super) fn fill(&mut self, row: usize, number: f32) {
        let width = self.dimensions * size_of::<f32>();
        let places = self.bytes[row * width..][..width].as_chunks_mut().0;
        places.fill(number.to_le_bytes());
    }

    #[cfg(test)]
    pub(super) fn row(&self, index: usize) -> Vec<f32> {
        self.rows().nth(index).unwrap().as_chunks().0.iter().map(|float| f32::from_le_bytes(*float)).collect()
    }
}

impl Question {
    /// Reads a request body, or says what is wrong with it.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let RawQuestion { model, input, encoding_format, dimensions } = parse(body)?;
        let model = model.ok_or_else(|| Refusal::invalid(None, "you must provide a model parameter"))?;
        let format = match encoding_format.as_deref() {
            None | Some("float") => Format::Float,
            Some("base64") => Format::Base64,
            Some(other) => {
                let message =
                    format!("Invalid value: '{other}'. Supported values are: 'float' and 'base64'.");
                return Err(Refusal::invalid("encoding_format", message));
            }
        };
        let dimensions = match dimensions {
            None => None,
            Some(number) => Some(u16::try_from(number).ok().and_then(NonZeroU16::new).ok_or_else(|| {
                Refusal::invalid(
                    "dimensions",
                    format!("Invalid value for 'dimensions': {number} (1 to {})", u16::MAX),
                )
            })?),
        };
        let inputs = Inputs::parse(input.unwrap_or_default())?;
        Ok(Self { inputs, dimensions, form: Form { model, format } })
    }
}

impl Inputs {
    fn parse(input: Value) -> Result<Self, Refusal> {
        let inputs = match input {
            Value::String(text) => Some(Self::Texts(vec![text])),
            Value::Array(items) if items.iter().all(Value::is_string) => {
                let text = |item| {
                    if let Value::String(text) = item { Some(text) } else { None }
                };
                items.into_iter().map(text).collect::<Option<_>>().map(Self::Texts)
            }
            Value::Array(items) if items.iter().all(Value::is_number) => {
                tokens(&items).map(|tokens| Self::Tokens(vec![tokens]))
            }
            Value::Array(items) => {
                items.iter().map(|item| tokens(item.as_array()?)).collect::<Option<_>>().map(Self::Tokens)
            }
            _ => None,
        };
        let inputs = inputs.ok_or_else(|| {
            Refusal::invalid(
                "input",
                "'input' must be a string, or an array of strings, of tokens or of token arrays",
            )
        })?;
        match inputs.len() {
            0 => {
                Err(Refusal::invalid("input", "Invalid 'input': empty array. Expected at least one element."))
            }
            length if length > MAX_INPUTS => Err(Refusal::too_many_inputs(MAX_INPUTS, length)),
            _ if inputs.any_is_empty() => {
                Err(Refusal::invalid("input", "Invalid 'input': input cannot be an empty string."))
            }
            _ => Ok(inputs),
        }
    }

    /// How many vectors are asked for.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Tokens(tokens) => tokens.len(),
        }
    }

    /// Which inputs have this text in them.
    pub(super) fn places_of(&self, text: &str) -> Vec<usize> {
        match self {
            Self::Texts(texts) => {
                let inputs = texts.iter().enumerate().filter(|(_, input)| input.contains(text));
                inputs.map(|(place, _)| place).collect()
            }
            Self::Tokens(_) => Vec::new(),
        }
    }

    fn any_is_empty(&self) -> bool {
        match self {
            Self::Texts(texts) => texts.iter().any(String::is_empty),
            Self::Tokens(tokens) => tokens.iter().any(Vec::is_empty),
        }
    }
}

fn tokens(items: &[Value]) -> Option<Vec<u32>> {
    items.iter().map(|item| u32::try_from(item.as_u64()?).ok()).collect()
}

impl Form {
    /// Writes the answer, with the fault if it is one of vectors. The body is put together by hand: numbers and base64
    /// need no escaping, and this is the path that the benchmarks measure others by.
    pub(super) fn answer(&self, vectors: &Vectors, tokens: usize, fault: Option<&Fault>) -> Reply {
        let count = vectors.rows().len() - usize::from(fault == Some(&Fault::WrongCount));
        let mut rows: Vec<_> = vectors.rows().enumerate().take(count).collect();
        if fault == Some(&Fault::WrongOrder) {
            rows.reverse();
        }
        let mut body = String::with_capacity(vectors.bytes.len() * 4 / 3 + 80 * rows.len() + 200);
        body.push_str(r#"{"object":"list","data":["#);
        for (place, (index, row)) in rows.into_iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            body.extend([comma, r#"{"object":"embedding","index":"#, &index.to_string(), r#","embedding":"#]);
            match fault {
                Some(Fault::WrongDimension) => self.write_row(&row[..row.len() - 4], &mut body),
                Some(Fault::NotFinite) if index == 0 => self.write_row(&with_nan(row), &mut body),
                _ => self.write_row(row, &mut body),
            }
            body.push('}');
        }
        let model = Value::from(self.model.as_str()).to_string();
        let usage = format!(r#"{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}"#);
        body.extend([r#"],"model":"#, &model, r#","usage":"#, &usage, "}"]);
        Reply::json(body)
    }

    fn write_row(&self, row: &[u8], body: &mut String) {
        match self.format {
            Format::Base64 => {
                body.push('"');
                STANDARD.encode_string(row, body);
                body.push('"');
            }
            Format::Float => {
                for (place, float) in row.as_chunks().0.iter().enumerate() {
                    body.push(if place > 0 { ',' } else { '[' });
                    let float = f32::from_le_bytes(*float);
                    // JSON has no NaN: `null` is what other servers write.
                    let written = if float.is_finite() { float.to_string() } else { "null".to_owned() };
                    body.push_str(&written);
                }
                body.push_str(if row.is_empty() { "[]" } else { "]" });
            }
        }
    }
}

fn with_nan(row: &[u8]) -> Vec<u8> {
    [&f32::NAN.to_le_bytes(), &row[4..]].concat()
}
