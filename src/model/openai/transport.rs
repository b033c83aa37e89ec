//! Sends requests, and turns what is no JSON of the expected shape into what async-openai can read: redirects, refusals,
//! and whole replies where a stream was asked for.

use std::cell::Cell;

use async_openai::{error::OpenAIError, middleware::HttpRequestFactory};
use futures::{StreamExt, stream};
use reqwest::{
    Body, Response, StatusCode, Url,
    header::{CONTENT_TYPE, LOCATION},
};
use serde_json::value::RawValue;

use super::{
    failure::ResponseHints,
    refusal::{Refusal, is_page},
};

tokio::task_local! {
    /// The headers of the response to the task's request.
    pub(super) static HINTS: Cell<ResponseHints>;
}

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// Sends a request. A response without success becomes a [`Refusal`]; the reply to a chat always becomes events.
pub(super) async fn send(
    http: reqwest::Client,
    request: HttpRequestFactory,
) -> Result<Response, OpenAIError> {
    let response = follow(&http, &request).await?;
    HINTS.with(|hints| hints.set(ResponseHints::new(response.status(), response.headers())));
    let status = response.status();
    if !status.is_success() {
        let server = response.url().host_str().unwrap_or_default().to_owned();
        let body = response.bytes().await.unwrap_or_default();
        tracing::trace!(server, %status, body = %String::from_utf8_lossy(&body), "a model server refuses");
        return Err(boxed(Refusal::parse(status, &body)));
    }
    if response.url().path().ends_with("/chat/completions") { events(response).await } else { Ok(response) }
}

fn boxed(refusal: Refusal) -> OpenAIError {
    OpenAIError::Boxed(Box::new(refusal))
}

/// Follows 307 and 308 with the body. A server of another origin gets neither the key nor the headers of the settings.
/// Other redirects turn a request into another one, and are refused by name.
async fn follow(http: &reqwest::Client, request: &HttpRequestFactory) -> Result<Response, OpenAIError> {
    let mut next = request.build().await?;
    let origin = next.url().origin();
    for _ in 0..=MAX_REDIRECTS {
        let from = next.url().clone();
        let response = http.execute(next).await?;
        let status = response.status();
        if !status.is_redirection() {
            return Ok(response);
        }
        let target = target(&from, &response);
        let is_followed = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        let Some(target) = target.clone().filter(|_| is_followed) else {
            let place = target.map_or_else(|| "nowhere".to_owned(), |url| shown(&url));
            let words = format!("it redirects to {place}: correct base_url");
            return Err(boxed(Refusal::new(status, words)));
        };
        next = request.build().await?;
        if target.origin() != origin {
            let content_type = next.headers_mut().remove(CONTENT_TYPE);
            next.headers_mut().clear();
            next.headers_mut().extend(content_type.map(|value| (CONTENT_TYPE, value)));
        }
        *next.url_mut() = target;
    }
    Err(boxed(Refusal::new(StatusCode::LOOP_DETECTED, "it redirects in circles")))
}

fn target(from: &Url, response: &Response) -> Option<Url> {
    from.join(response.headers().get(LOCATION)?.to_str().ok()?).ok()
}

/// An address without its query, which may hold a secret.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    let _ = (url.set_password(None), url.set_username(""));
    url.into()
}

/// Makes events of a whole reply; leaves a stream as it is. Not every server names the type of what it sends.
async fn events(mut response: Response) -> Result<Response, OpenAIError> {
    let mut begun = Vec::new();
    let first = loop {
        if let Some(first) = significant(&begun) {
            break first;
        }
        match response.chunk().await? {
            Some(bytes) => begun.extend_from_slice(&bytes),
            None => break b' ',
        }
    };
    let status = response.status();
    match first {
        b'{' | b'[' => {
            while let Some(bytes) = response.chunk().await? {
                begun.extend_from_slice(&bytes);
            }
            Ok(with_body(status, whole(&begun)))
        }
        _ if is_page(&begun) => Err(boxed(Refusal::parse(status, &begun))),
        _ => {
            let rest = stream::once(async { Ok(begun.into()) }).chain(response.bytes_stream());
            Ok(with_body(status, Body::wrap_stream(rest)))
        }
    }
}

/// The first byte that is neither white space nor a byte order mark.
fn significant(bytes: &[u8]) -> Option<u8> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

/// Writes JSON values, each as an event.
fn whole(body: &[u8]) -> String {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut events = String::new();
    let mut write = |text: &str| {
        events.push_str("data: ");
        events.extend(text.chars().map(|character| if character.is_control() { ' ' } else { character }));
        events.push_str("\n\n");
    };
    for value in serde_json::Deserializer::from_slice(body).into_iter::<Box<RawValue>>() {
        match value {
            Ok(value) => write(value.get()),
            // The error is told where the event is read.
            Err(_) => write("{"),
        }
    }
    events
}

fn with_body(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = http::Response::new(body.into());
    *response.status_mut() = status;
    response.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_of_a_whole_reply_becomes_one_line() {
        assert_eq!(whole(b"\xef\xbb\xbf{\n  \"a\": 1\n}\n"), "data: {   \"a\": 1 }\n\n");
        assert_eq!(whole(b"{\"a\":1}\n{\"b\":2}"), "data: {\"a\":1}\n\ndata: {\"b\":2}\n\n");
        assert_eq!(whole(b"{\"a\":"), "data: {\n\n");
    }

    #[test]
    fn a_redirect_is_told_without_secrets() {
        let url = "https://u:p@host/v1/chat?key=s".parse().unwrap();
        assert_eq!(shown(&url), "https://host/v1/chat");
    }
}
