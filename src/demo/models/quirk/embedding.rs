//! Embeddings of real servers.

use axum::http::StatusCode;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::{
    Request, Row,
    edits::{edit, entries, with, without},
    is_poison, refusal,
};
use crate::demo::models::fault::Operation::Embeddings;
use crate::demo::models::reply::Reply;

macro_rules! rows {
    ($operation:ident: $($name:literal => $change:expr;)+) => {
        &[$(Row { name: $name, operation: $operation, change: $change }),+]
    };
}
pub(super) use rows;

pub(super) const ROWS: &[Row] = rows! { Embeddings:
    // Vectors.
    "llamacpp-zeros" => |_, reply| vectors(reply, |vector| vector.fill(json!(0)));
    "llamacpp-null" => |request, reply| poisoned(request, reply, |vector| vector[0] = Value::Null);
    "null-vector" => |request, reply| {
        let inputs: Vec<_> = request.inputs().iter().map(|input| is_poison(input)).collect();
        entries(reply, |place, entry| if inputs[place] { entry.insert("embedding".to_owned(), Value::Null); })
    };
    "missing-vector" => |request, reply| {
        let inputs: Vec<_> = request.inputs().iter().map(|input| is_poison(input)).collect();
        entries(reply, |place, entry| if inputs[place] { entry.remove("embedding"); })
    };
    "empty-vector" => |request, reply| poisoned(request, reply, Vec::clear);
    "scaled" => |_, reply| vectors(reply, |vector| {
        for number in vector {
            *number = json!(number.as_f64().unwrap_or_default() * 900.0);
        }
    });
    "unsorted" => |_, reply| edit(reply, |body| {
        body.get_mut("data").and_then(Value::as_array_mut).into_iter().for_each(|data| data.reverse());
    });
    "always-base64" => |_, reply| edit(reply, base64);
    "always-floats" => |_, reply| edit(reply, floats);
    // Fields.
    "gemini-no-usage" => |_, reply| {
        let reply = without(reply, &["usage"]);
        entries(reply, |place, entry| if place == 0 { entry.remove("index"); })
    };
    "tei-no-object" => |_, reply| entries(without(reply, &["object"]), |_, entry| drop(entry.remove("object")));
    "opea-nulls" => |_, reply| with(with(reply, "usage", &Value::Null), "model", &Value::Null);
    "no-index" => |_, reply| entries(reply, |_, entry| drop(entry.remove("index")));
    "index-from-1" => |_, reply| entries(reply, |place, entry| _ = entry.insert("index".to_owned(), json!(place + 1)));
    "index-as-text" => |_, reply| {
        entries(reply, |place, entry| _ = entry.insert("index".to_owned(), json!(place.to_string())))
    };
    "index-null" => |_, reply| entries(reply, |_, entry| _ = entry.insert("index".to_owned(), Value::Null));
    "index-all-0" => |_, reply| entries(reply, |_, entry| _ = entry.insert("index".to_owned(), json!(0)));
    "usage-as-text" => |_, reply| with(reply, "usage", &json!({ "total_tokens": "7" }));
    "usage-prompt-only" => |_, reply| with(reply, "usage", &json!({ "prompt_tokens": 7 }));
    "usage-empty" => |_, reply| with(reply, "usage", &json!({}));
    "data-only" => |_, reply| without(reply, &["object", "model", "usage"]);
    "extra-fields" => |_, reply| with(with(reply, "created", &json!(1.5)), "id", &json!(7));
    "error-null" => |_, reply| with(reply, "error", &Value::Null);
    // Parameters.
    "voyage-no-float" => |request, reply| {
        let reply = with(reply, "usage", &json!({ "total_tokens": 7 }));
        if request.body["encoding_format"] == "float" {
            return refusal(400, &json!({ "detail": "Value 'float' supplied for argument 'encoding_format' is not valid" }));
        }
        reply
    };
    "no-encoding-format" => |request, reply| if request.has("encoding_format") {
        let detail = json!([{ "type": "extra_forbidden", "loc": ["body", "encoding_format"], "msg": "Extra inputs are not permitted" }]);
        refusal(422, &json!({ "detail": detail }))
    } else { reply };
    "openrouter-empty" => |request, reply| if is_base64(request.body) { with(reply, "data", &json!([])) } else { reply };
    "base64-null-data" => |request, reply| if is_base64(request.body) { with(reply, "data", &Value::Null) } else { reply };
    "base64-500" => |request, reply| if is_base64(request.body) { refusal(500, &json!({})) } else { reply };
    "base64-error-200" => |request, reply| {
        if is_base64(request.body) { refusal(200, &json!({ "error": "not implemented" })) } else { reply }
    };
    "base64-garbage" => |request, reply| if is_base64(request.body) {
        entries(reply, |_, entry| _ = entry.insert("embedding".to_owned(), json!("%%%")))
    } else { reply };
    "base64-400-unnamed" => |request, reply| {
        if is_base64(request.body) { refusal(400, &json!({ "message": "bad request" })) } else { reply }
    };
    "mrl-full-length" => |request, reply| if request.has("dimensions") { reply } else {
        vectors(reply, |vector| vector.extend(vec![json!(0.1); 64]))
    };
    "mrl-refuses-dimensions" => |request, reply| if request.has("dimensions") {
        refusal(400, &json!({ "object": "error", "message": "Model does not support matryoshka representation, changing output dimensions will lead to poor results.", "type": "BadRequestError", "param": null, "code": 400 }))
    } else { reply };
    "cohere-input-type" => |request, reply| if request.has("input_type") { reply } else {
        refusal(400, &json!({ "message": "invalid request: valid input_type must be provided with the provided model" }))
    };
    // Limits.
    "tei-32-inputs" => |request, reply| at_most(request, 32, reply, |sent, most| refusal(422, &json!({
        "error": format!("batch size {sent} > maximum allowed batch size {most}"), "error_type": "Validation" })));
    "unnamed-20-inputs" => |request, reply| at_most(request, 20, reply, |_, _| refusal(400, &json!({ "detail": "too much" })));
    "cohere-96-inputs" => |request, reply| at_most(request, 96, reply, |_, most| refusal(400, &json!({
        "message": format!("invalid request: valid number of texts is at most {most}") })));
    "one-input" => |request, reply| at_most(request, 1, reply, |_, _| refusal(422, &json!({ "detail": "only one input" })));
    // Inputs that cannot be embedded.
    "tei-too-long" => |request, reply| poison(request, reply, || refusal(422, &json!({
        "error": "Input validation error: `inputs` must have less than 512 tokens. Given: 700", "error_type": "Validation" })));
    "poison-400" => |request, reply| poison(request, reply, || refusal(400, &json!({ "error": { "message": "cannot embed this", "code": "7" } })));
    "poison-413" => |request, reply| poison(request, reply, || refusal(413, &json!({ "message": "cannot embed this" })));
    "ollama-nan-500" => |request, reply| poison(request, reply, || refusal(500, &json!({
        "error": { "message": "failed to encode response: json: unsupported value: NaN", "type": "api_error" } })));
    "poison-502-html" => |request, reply| poison(request, reply, || {
        Reply::with(StatusCode::BAD_GATEWAY, "<html><body>cannot embed this</body></html>".to_owned())
    });
    "poison-503" => |request, reply| poison(request, reply, || refusal(503, &json!({ "detail": "cannot embed this" })));
    "poison-408" => |request, reply| poison(request, reply, || refusal(408, &json!({ "detail": "cannot embed this" })));
    "poison-error-200" => |request, reply| {
        poison(request, reply, || refusal(200, &json!({ "error": { "message": "cannot embed this", "code": 502 } })))
    };
    "poison-short" => |request, reply| if request.is_poisoned() {
        edit(reply, |body| {
            body.get_mut("data").and_then(Value::as_array_mut).into_iter().for_each(|data| drop(data.pop()));
        })
    } else { reply };
    "poison-no-json" => |request, reply| {
        poison(request, reply, || Reply::with(StatusCode::OK, "cannot embed this".to_owned()))
    };
};

fn is_base64(body: &Value) -> bool {
    body["encoding_format"] == "base64"
}

fn poison(request: &Request<'_>, reply: Reply, refused: impl Fn() -> Reply) -> Reply {
    if request.is_poisoned() { refused() } else { reply }
}

fn at_most(
    request: &Request<'_>,
    most: usize,
    reply: Reply,
    refused: impl Fn(usize, usize) -> Reply,
) -> Reply {
    let sent = request.inputs().len();
    if sent > most { refused(sent, most) } else { reply }
}

/// Changes each vector, sent as floats.
fn vectors(reply: Reply, change: impl Fn(&mut Vec<Value>)) -> Reply {
    let reply = edit(reply, floats);
    entries(reply, |_, entry| {
        entry.get_mut("embedding").and_then(Value::as_array_mut).into_iter().for_each(&change);
    })
}

/// Changes the vectors of texts that cannot be embedded.
fn poisoned(request: &Request<'_>, reply: Reply, change: impl Fn(&mut Vec<Value>)) -> Reply {
    let inputs: Vec<_> = request.inputs().iter().map(|input| is_poison(input)).collect();
    let reply = edit(reply, floats);
    entries(reply, |place, entry| {
        if inputs[place] {
            entry.get_mut("embedding").and_then(Value::as_array_mut).into_iter().for_each(&change);
        }
    })
}

fn floats(body: &mut Map<String, Value>) {
    convert(body, |vector| {
        let bytes = STANDARD.decode(vector.as_str()?).ok()?;
        let (floats, _) = bytes.as_chunks();
        Some(floats.iter().map(|float| json!(f32::from_le_bytes(*float))).collect())
    });
}

fn base64(body: &mut Map<String, Value>) {
    convert(body, |vector| {
        #[expect(clippy::cast_possible_truncation, reason = "a vector holds f32")]
        let bytes = vector
            .as_array()?
            .iter()
            .flat_map(|number| (number.as_f64().unwrap_or_default() as f32).to_le_bytes());
        Some(STANDARD.encode(bytes.collect::<Vec<_>>()).into())
    });
}

fn convert(body: &mut Map<String, Value>, convert: impl Fn(&Value) -> Option<Value>) {
    for entry in body.get_mut("data").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(vector) = convert(&entry["embedding"]) {
            entry["embedding"] = vector;
        }
    }
}
