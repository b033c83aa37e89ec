//! How real servers are reached, and how they limit clients.

use axum::http::{StatusCode, header};
use serde_json::json;

use super::{Row, refusal};
use crate::demo::models::fault::Operation::Completions;
use crate::demo::models::quirk::embedding::rows;
use crate::demo::models::reply::Reply;

pub(super) const ROWS: &[Row] = rows! { Completions:
    "azure-key" => |request, reply| {
        let has_key = request.headers.get("api-key").is_some_and(|key| key == "azure-key");
        if has_key { reply } else { refusal(401, &json!({ "error": { "code": "401", "message": "Access denied" } })) }
    };
    "azure-version" => |request, reply| {
        let has_version = request.query == "api-version=2024-10-21";
        if has_version { reply } else { refusal(404, &json!({ "error": { "code": "404", "message": "Resource not found" } })) }
    };
    "gateway-header" => |request, reply| {
        let has_header = request.headers.get("x-team").is_some_and(|team| team == "shop");
        if has_header { reply } else { refusal(403, &json!({ "detail": "no team" })) }
    };
    "no-bearer" => |request, reply| {
        let has_bearer = request.headers.contains_key(header::AUTHORIZATION);
        if has_bearer { refusal(401, &json!({ "error": "an empty bearer token" })) } else { reply }
    };
    "quota-in-type" => |_, _| refusal(429, &json!({ "error": { "message": "You have no quota", "type": "insufficient_quota", "code": null } }));
    "payment-required" => |_, _| refusal(402, &json!({ "error": { "message": "Insufficient Balance" } }));
    "not-found" => |_, _| refusal(404, &json!({ "detail": "Not Found" }));
    "method-not-allowed" => |_, _| refusal(405, &json!({}));
    "redirect-301" => |_, _| redirect(StatusCode::MOVED_PERMANENTLY);
    "redirect-308" => |request, reply| {
        if request.is_redirected { reply } else { redirect(StatusCode::PERMANENT_REDIRECT) }
    };
    "gzip" => |_, mut reply| { reply.is_gzipped = true; reply };
    "retry-after-0" => |_, _| wait("0");
    "retry-after-fraction" => |_, _| wait("1.5");
    "retry-after-date" => |_, _| wait("Fri, 31 Dec 2100 23:59:59 GMT");
};

fn wait(text: &str) -> Reply {
    let mut reply = refusal(429, &json!({ "error": { "message": "slow down" } }));
    reply.headers.push(("retry-after", text.to_owned()));
    reply
}

fn redirect(status: StatusCode) -> Reply {
    let mut reply = Reply::with(status, String::new());
    reply.headers.push(("location", "/v1/elsewhere/chat/completions".to_owned()));
    reply
}
