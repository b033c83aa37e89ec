//! An answer before it is on the wire, and the ways in which it can get there.

use std::io;
use std::time::Duration;

use async_stream::stream;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use tokio_util::sync::CancellationToken;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Status, headers and the body in the pieces in which it is sent.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pieces: Vec<Bytes>,
}

/// How a body is sent.
#[derive(Clone, Copy)]
pub(super) enum Delivery {
    Whole,
    /// The connection breaks after the first half.
    Cut,
    /// The second half comes this much later.
    Paused(Duration),
}

impl Reply {
    fn new(content_type: HeaderValue, pieces: Vec<Bytes>) -> Self {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)]);
        Self { status: StatusCode::OK, headers, pieces }
    }

    /// One JSON document.
    pub(super) fn json(body: impl Into<Bytes>) -> Self {
        Self::new(HeaderValue::from_static("application/json"), vec![body.into()])
    }

    /// Server-sent events, one by each text.
    pub(super) fn events(data: impl IntoIterator<Item = String>) -> Self {
        let pieces = data.into_iter().map(|data| Bytes::from(format!("data: {data}\n\n"))).collect();
        Self::new(EVENT_STREAM, pieces)
    }

    /// What a proxy says that should not have been asked.
    pub(super) fn nonsense() -> Self {
        let page = "<!doctype html><html><head><title>Welcome</title></head><body>It works!</body></html>";
        Self::new(HeaderValue::from_static("text/html"), vec![Bytes::from_static(page.as_bytes())])
    }

    /// The same with JSON that ends too early.
    pub(super) fn with_bad_json(self) -> Self {
        let pieces = if self.headers.get(header::CONTENT_TYPE) == Some(&EVENT_STREAM) {
            vec![Bytes::from_static(b"data: {\"id\":\n\n")]
        } else {
            self.halves().0
        };
        Self { pieces, ..self }
    }

    /// Puts it on the wire. A pause ends early when the server stops.
    pub(super) fn deliver(mut self, delivery: Delivery, stop: CancellationToken) -> Response {
        let (status, headers) = (self.status, std::mem::take(&mut self.headers));
        let body = match delivery {
            Delivery::Whole => whole(self.pieces),
            Delivery::Cut => {
                let (sent, _) = self.halves();
                broken(sent)
            }
            Delivery::Paused(pause) => {
                let (before, after) = self.halves();
                paused(before, pause, after, stop)
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    /// Splits the body in the middle of its bytes.
    fn halves(&self) -> (Vec<Bytes>, Vec<Bytes>) {
        let mut left = self.pieces.iter().map(Bytes::len).sum::<usize>() / 2;
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for piece in &self.pieces {
            let cut = left.min(piece.len());
            left -= cut;
            before.push(piece.slice(..cut));
            after.push(piece.slice(cut..));
        }
        before.retain(|piece| !piece.is_empty());
        after.retain(|piece| !piece.is_empty());
        (before, after)
    }
}

fn whole(mut pieces: Vec<Bytes>) -> Body {
    if pieces.len() == 1 {
        return Body::from(pieces.remove(0));
    }
    Body::from_stream(futures::stream::iter(pieces.into_iter().map(Ok::<_, io::Error>)))
}

/// An error in a body makes the server close the connection without the end that the client waits for.
fn broken(sent: Vec<Bytes>) -> Body {
    Body::from_stream(stream! {
        for piece in sent {
            yield Ok(piece);
        }
        // Lets what was sent so far leave before the error.
        tokio::task::yield_now().await;
        yield Err(io::Error::from(io::ErrorKind::ConnectionAborted));
    })
}

fn paused(before: Vec<Bytes>, pause: Duration, after: Vec<Bytes>, stop: CancellationToken) -> Body {
    Body::from_stream(stream! {
        for piece in before {
            yield Ok(piece);
        }
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            yield Err(io::Error::from(io::ErrorKind::ConnectionAborted));
        }
        for piece in after {
            yield Ok(piece);
        }
    })
}
