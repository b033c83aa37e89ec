//! Chats of real servers.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    Request, Row,
    edits::{choices, content, edit, finish, prepend, with, without},
    embedding::rows,
    refusal,
};
use crate::demo::models::fault::Operation::Completions;
use crate::demo::models::reply::Reply;

/// Thoughts with a number that no passage has.
const THOUGHT: &str = "The customer may pay 7777.77 for it";

pub(super) const ROWS: &[Row] = rows! { Completions:
    // Parameters.
    "mistral-max-tokens" => |request, reply| unknown(request, reply, "max_completion_tokens", 422);
    "gpt5-max-tokens" => |request, reply| refused(request, reply, "max_tokens", "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.");
    "gpt5-temperature" => |request, reply| if request.body["temperature"] == 1 { reply } else {
        refused(request, reply, "temperature", "Unsupported value: 'temperature' does not support 0.3 with this model. Only the default (1) value is supported.")
    };
    "gpt5-both" => |request, reply| {
        let reply = refused(request, reply, "max_tokens", "'max_tokens' is not supported with this model.");
        if reply.is_refusal() { reply } else { refused(request, reply, "temperature", "'temperature' is not supported.") }
    };
    "vllm-stream-options" => |request, reply| if request.has("stream_options") {
        refusal(400, &json!({ "object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options')}]", "type": "BadRequestError", "param": null, "code": 400 }))
    } else { reply };
    "azure-stream-options" => |request, reply| unknown(request, reply, "stream_options", 400);
    "no-stream" => |request, reply| if request.streams() {
        refusal(400, &json!({ "error": { "message": "streaming is not supported", "code": 7 } }))
    } else { reply };
    "no-stream-unnamed" => |request, reply| {
        if request.streams() { refusal(422, &json!({ "detail": "not possible" })) } else { reply }
    };
    "only-stream" => |request, reply| if request.streams() { reply } else {
        refusal(400, &json!({ "error": { "message": "This model only support stream mode, please enable the stream parameter" } }))
    };
    "gemma-no-system" => |request, reply| if has_role(request, "system") {
        refusal(400, &json!({ "object": "error", "message": "System role not supported", "code": 400 }))
    } else { reply };
    "llamacpp-no-system" => |request, reply| if has_role(request, "system") {
        refusal(500, &json!({ "error": { "code": 500, "message": "Jinja Exception: System role not supported", "type": "server_error" } }))
    } else { reply };
    "o1-no-system" => |request, reply| if has_role(request, "system") {
        refusal(400, &json!({ "error": { "message": "Unsupported value: 'messages[0].role' does not support 'system' with this model.", "param": "messages[0].role" } }))
    } else { reply };
    "alternating-roles" => |request, reply| {
        let roles: Vec<_> = request.body["messages"].as_array().into_iter().flatten().map(|message| &message["role"]).collect();
        if roles.windows(2).all(|pair| pair[0] != pair[1]) && roles.first().is_some_and(|role| *role == "user") { reply } else {
            refusal(400, &json!({ "message": "Conversation roles must alternate user/assistant/user/assistant/..." }))
        }
    };
    // Ends.
    "finish-eos" => |_, reply| finish(reply, &json!("eos"));
    "finish-end" => |_, reply| finish(reply, &json!("end"));
    "finish-empty" => |_, reply| finish(reply, &json!(""));
    "finish-null" => |_, reply| finish(reply, &Value::Null);
    "finish-missing" => |_, reply| choices(reply, |choice| drop(choice.remove("finish_reason")));
    "finish-number" => |_, reply| finish(reply, &json!(0));
    "finish-end-turn" => |_, reply| finish(reply, &json!("end_turn"));
    "finish-upper" => |_, reply| finish(reply, &json!("STOP"));
    "finish-max-tokens" => |_, reply| finish(reply, &json!("max_tokens"));
    "finish-length" => |_, reply| finish(reply, &json!("LENGTH"));
    "finish-safety" => |_, reply| finish(reply, &json!("SAFETY"));
    "no-done" => |_, mut reply| { reply.body = reply.body.replace("data: [DONE]\n\n", ""); reply };
    // Thoughts.
    "qwen-think" => |_, reply| prepend(reply, &format!("<think>\n{THOUGHT}\n</think>\n\n"));
    "qwen-think-unopened" => |_, reply| prepend(reply, &format!("{THOUGHT}\n</think>\n\n"));
    "think-unclosed" => |_, reply| prepend(reply, &format!("<think>{THOUGHT}"));
    "thinking-tag" => |_, reply| prepend(reply, &format!("<thinking>{THOUGHT}</thinking>"));
    "reasoning-tag" => |_, reply| prepend(reply, &format!("<reasoning>{THOUGHT}</reasoning>"));
    "upper-think" => |_, reply| prepend(reply, &format!("<THINK>{THOUGHT}</THINK>"));
    "magistral-tags" => |_, reply| prepend(reply, &format!("[THINK]{THOUGHT}[/THINK]"));
    "gptoss-harmony" => |_, reply| prepend(reply, &format!("<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>"));
    "gptoss-bare-harmony" => |_, reply| prepend(reply, &format!("analysis{THOUGHT}assistantfinal"));
    "deepseek-reasoning" => |_, reply| choices(reply, |choice| {
        for key in ["message", "delta"] {
            if let Some(message) = choice.get_mut(key).and_then(Value::as_object_mut) {
                message.insert("reasoning_content".to_owned(), json!(THOUGHT));
            }
        }
    });
    "magistral-parts" => |_, reply| content(reply, |text| json!([
        { "type": "thinking", "thinking": [{ "type": "text", "text": THOUGHT }] }, { "type": "text", "text": text }
    ]));
    "text-parts" => |_, reply| content(reply, |text| json!([{ "type": "text", "text": text }]));
    "leaked-end-token" => |_, reply| content(reply, |text| json!(text.replace("[1]", "[1]<|im_end|>")));
    "spent-on-thinking" => |_, reply| finish(content(reply, |_| json!("")), &json!("length"));
    // Limits.
    "ollama-no-limit" => |_, reply| with(prepend(reply, &"The kettle holds two litres. ".repeat(455)), "usage", &json!({ "prompt_tokens": 7, "completion_tokens": 3300, "total_tokens": 3307 }));
    "no-limit-no-usage" => |_, reply| without(prepend(reply, &"The kettle holds two litres. ".repeat(455)), &["usage"]);
    // Fields.
    "groq-service-tier" => |_, reply| with(reply, "service_tier", &json!("on_demand"));
    "no-id" => |_, reply| without(reply, &["id", "created", "object", "model"]);
    "created-fraction" => |_, reply| with(reply, "created", &json!(1_755_000_000.5));
    "no-usage" => |_, reply| without(reply, &["usage"]);
    "usage-null" => |_, reply| with(reply, "usage", &Value::Null);
    "chat-usage-as-text" => |_, reply| with(reply, "usage", &json!("none"));
    "usage-total-only" => |_, reply| with(reply, "usage", &json!({ "total_tokens": 90 }));
    "no-role" => |_, reply| choices(reply, |choice| {
        for key in ["message", "delta"] {
            choice.get_mut(key).and_then(Value::as_object_mut).into_iter().for_each(|message| drop(message.remove("role")));
        }
    });
    "no-choice-index" => |_, reply| choices(reply, |choice| drop(choice.remove("index")));
    "odd-logprobs" => |_, reply| choices(reply, |choice| _ = choice.insert("logprobs".to_owned(), json!([])));
    "chat-error-null" => |_, reply| with(reply, "error", &Value::Null);
    "message-in-stream" => |request, reply| if request.streams() { choices(reply, |choice| {
        if let Some(delta) = choice.remove("delta") {
            choice.insert("message".to_owned(), delta);
        }
    }) } else { reply };
    // Streams.
    "whole-for-stream" => |request, reply| if request.streams() { whole(&reply) } else { reply };
    "sse-crlf" => |_, mut reply| { reply.body = reply.body.replace('\n', "\r\n"); reply };
    "sse-comments" => |_, mut reply| { reply.body = reply.body.replace("data: ", ": ping\n\ndata: "); reply };
    "sse-empty-data" => |request, mut reply| {
        if request.streams() { reply.body = format!("data:\n\n{}", reply.body.replace("\n\n", "\n\ndata: \n\n")); }
        reply
    };
    "sse-named" => |_, mut reply| { reply.body = reply.body.replace("data: ", "event: message\nid: 7\ndata: "); reply };
    "sse-ping" => |request, mut reply| {
        if request.streams() { reply.body = format!("event: ping\ndata: ping\n\n{}", reply.body); }
        reply
    };
    "sse-no-space" => |_, mut reply| { reply.body = reply.body.replace("data: ", "data:"); reply };
    "sse-as-json-type" => |_, mut reply| { reply.content_type = "application/json"; reply };
    "sse-without-type" => |_, mut reply| { reply.content_type = "application/octet-stream"; reply };
    "json-with-bom" => |request, mut reply| {
        if !request.streams() { reply.body.insert(0, '\u{feff}'); }
        reply
    };
    // Errors.
    "litellm-error-200" => |_, _| refusal(200, &json!({ "error": { "message": "upstream is overloaded", "code": 503 } }));
    "error-in-stream" => |request, mut reply| {
        if request.streams() {
            let half = reply.body.find("\n\n").map_or(0, |end| end + 2);
            reply.body.truncate(half);
            reply.body.push_str("data: {\"error\": {\"message\": \"upstream broke\", \"code\": 502}}\n\n");
            return reply;
        }
        refusal(502, &json!({}))
    };
    "proxy-html-200" => |_, _| Reply::nonsense();
    "proxy-html-502" => |_, _| Reply::with(StatusCode::BAD_GATEWAY, "<html>Bad gateway</html>".to_owned());
    "no-choices" => |_, reply| with(reply, "choices", &json!([]));
    "text-for-json" => |_, _| Reply::with(StatusCode::OK, "{\"choices\": [".to_owned());
};

/// Refuses a parameter as pydantic does.
fn unknown(request: &Request<'_>, reply: Reply, key: &str, status: u16) -> Reply {
    if !request.has(key) {
        return reply;
    }
    let detail =
        json!([{ "type": "extra_forbidden", "loc": ["body", key], "msg": "Extra inputs are not permitted" }]);
    refusal(
        status,
        &json!({ "object": "error", "message": { "detail": detail }, "type": "invalid_request_error", "param": null, "code": null }),
    )
}

/// Refuses a parameter as `OpenAI` does.
fn refused(request: &Request<'_>, reply: Reply, key: &str, message: &str) -> Reply {
    if !request.has(key) {
        return reply;
    }
    let error = json!({ "message": message, "type": "invalid_request_error", "param": key, "code": "unsupported_parameter" });
    refusal(400, &json!({ "error": error }))
}

fn has_role(request: &Request<'_>, role: &str) -> bool {
    request.body["messages"].as_array().into_iter().flatten().any(|message| message["role"] == role)
}

/// A stream as one reply.
fn whole(reply: &Reply) -> Reply {
    let (mut text, mut last) = (String::new(), Map::new());
    for event in reply.body.split_terminator("\n\n").map(|event| event.trim_start_matches("data: ")) {
        let Ok(Value::Object(event)) = serde_json::from_str(event) else { continue };
        text.push_str(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
        last = event;
    }
    let message = json!({ "role": "assistant", "content": text });
    last.insert("choices".to_owned(), json!([{ "index": 0, "message": message, "finish_reason": "stop" }]));
    edit(Reply::json(Value::Object(last).to_string()), |_| {})
}
