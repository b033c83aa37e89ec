//! A response before it is sent.

use std::{io, io::Write, time::Duration};

use async_stream::stream;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio_util::sync::CancellationToken;

mod error;

pub(super) use error::parse;

fn gzip(body: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(body.as_bytes());
    encoder.finish().unwrap_or_default()
}

const EVENT_STREAM: &str = "text/event-stream";

/// A whole response. Functions that refuse a request return it as their error.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    pub(super) content_type: &'static str,
    /// Headers besides the content type.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    pub(super) is_gzipped: bool,
}

impl Reply {
    fn new(status: StatusCode, content_type: &'static str, body: String) -> Self {
        Self { status, content_type, headers: Vec::new(), body, is_gzipped: false }
    }

    pub(super) fn with(status: StatusCode, body: String) -> Self {
        Self::new(status, "application/json", body)
    }

    pub(super) fn is_stream(&self) -> bool {
        self.content_type == EVENT_STREAM
    }

    pub(super) fn is_refusal(&self) -> bool {
        !self.status.is_success()
    }

    pub(super) fn json(body: String) -> Self {
        Self::new(StatusCode::OK, "application/json", body)
    }

    /// Server-sent events, one per text.
    pub(super) fn events(data: impl IntoIterator<Item = String>) -> Self {
        let body = data.into_iter().flat_map(|data| ["data: ".to_owned(), data, "\n\n".to_owned()]);
        Self::new(StatusCode::OK, EVENT_STREAM, body.collect())
    }

    /// The page of a proxy that was asked by mistake.
    pub(super) fn nonsense() -> Self {
        let page = "<!doctype html><html><head><title>Welcome</title></head><body>It works!</body></html>";
        Self::new(StatusCode::OK, "text/html", page.to_owned())
    }

    pub(super) fn break_json(&mut self) {
        if self.content_type == EVENT_STREAM {
            self.body = String::from("data: {\"id\":\n\n");
        } else {
            let half = self.body.floor_char_boundary(self.body.len() / 2);
            self.body.truncate(half);
        }
    }

    pub(super) fn send(self) -> Response {
        let Self { status, content_type, mut headers, body, is_gzipped } = self;
        let body = if is_gzipped {
            headers.push(("content-encoding", "gzip".to_owned()));
            Body::from(gzip(&body))
        } else if content_type == EVENT_STREAM {
            Body::from_stream(futures::stream::iter([Ok::<_, io::Error>(body)]))
        } else {
            Body::from(body)
        };
        let mut response = (status, [(header::CONTENT_TYPE, content_type)], body).into_response();
        response.headers_mut().extend(headers.into_iter().filter_map(|(name, value)| {
            Some((header::HeaderName::from_static(name), header::HeaderValue::try_from(value).ok()?))
        }));
        response
    }

    /// Sends half of the body, and the rest after a pause. Without a pause, or if the server stops, the connection
    /// breaks: an error in a body closes it before the end that the client expects.
    pub(super) fn send_in_halves(mut self, pause: Option<Duration>, stop: CancellationToken) -> Response {
        let mut first = Bytes::from(std::mem::take(&mut self.body));
        let rest = first.split_off(first.len() / 2);
        self.send().map(|_| {
            Body::from_stream(stream! {
                yield Ok(first);
                let is_over = if let Some(pause) = pause {
                    stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
                } else {
                    // Sends the first half before the error.
                    tokio::task::yield_now().await;
                    false
                };
                yield if is_over { Ok(rest) } else { Err(io::Error::from(io::ErrorKind::ConnectionAborted)) };
            })
        })
    }
}
