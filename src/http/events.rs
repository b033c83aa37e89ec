//! `GET /v1/answers/{id}/events`: an answer in progress, as server-sent events.
//!
//! Every event has a number; a client that was disconnected sends the last one as `Last-Event-ID`, to any daemon, and
//! resumes after it. A disconnect cancels nothing. A slow client delays only itself: rows are read as it takes them.

use std::{convert::Infallible, pin::pin, time::Duration};

use async_stream::stream;
use axum::{
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event as Frame, KeepAlive},
    },
};
use futures::{Stream, StreamExt};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Api,
    answers::find_answer,
    auth::{Caller, Scope},
    extract::PathParams,
    problem::Problem,
    waiting::Change,
};
use crate::{
    answering::object::AnswerObject,
    store::{
        StoreError,
        answers::{Event, EventKind, Progress, RUN},
    },
};

const PAGE: u32 = 100;
/// How often a comment is sent, so that proxies keep an idle connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Numbers within a run: the sources are the first stored event; the last events are not stored but made from the answer.
const SOURCES: i64 = 1;
const RESET: i64 = 9997;
const REST: i64 = 9998;
const END: i64 = RUN - 1;

/// One event.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is written field by field")]
pub(super) struct AnswerEvent {
    /// `answer.started`, `answer.sources`, `answer.delta`, `answer.reset`, or an end.
    event: String,
    /// Its number: a later one is higher.
    id: String,
    /// JSON: the answer object at an end, `{"delta": "…"}`, `{"sources": […]}`.
    data: String,
}

/// Streams an answer
///
/// `answer.started`, `answer.sources`, `answer.delta` with pieces of the text, `answer.reset` when the pieces so far are
/// void, and finally `answer.completed`, `answer.incomplete`, `answer.failed`, `answer.cancelled` or `answer.expired`
/// with the answer object.
#[utoipa::path(
    get, path = "/v1/answers/{id}/events", tag = "answers",
    params(
        ("id" = String, Path),
        ("Last-Event-ID" = Option<i64>, Header, description = "The number of the last event received"),
    ),
    responses(
        (status = 200, description = "The events", body = AnswerEvent, content_type = "text/event-stream"),
        (status = 204, description = "The last event was received"),
    )
)]
pub(super) async fn stream(
    caller: Caller,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.may(Scope::AnswersRead)?;
    let after = match headers.get("last-event-id") {
        None => 0,
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| Problem::invalid("Last-Event-ID is not the number of an event"))?,
    };
    let answer = find_answer(&caller, &id).await?;
    // The last event of an earlier run was not the last one.
    if after % RUN == END
        && let Some(progress) = caller.api.store.progress(answer.id).await?
        && progress.is_settled
        && after >= progress.run + END
    {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let events = events(caller.api, answer.id, after);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

fn events(api: Api, id: Uuid, after: i64) -> impl Stream<Item = Result<Frame, Infallible>> {
    stream! {
        let mut received = ClientState { id, last: after };
        let mut changes = pin!(api.waiting.changes(id, Change::Any));
        while changes.next().await.is_some() {
            loop {
                match received.next(&api).await {
                    Ok(Some(Next { frames, is_last })) => {
                        let is_full = frames.len() >= PAGE as usize;
                        for frame in frames {
                            yield Ok(frame);
                        }
                        if is_last {
                            return;
                        }
                        if !is_full {
                            break;
                        }
                    }
                    // The answer was erased.
                    Ok(None) => return,
                    Err(error) => {
                        tracing::debug!(%error, "an answer cannot be read; trying again");
                        break;
                    }
                }
            }
        }
    }
}

/// The part of an answer that a client has received.
struct ClientState {
    id: Uuid,
    last: i64,
}

struct Next {
    frames: Vec<Frame>,
    is_last: bool,
}

impl ClientState {
    /// Reads the next events; `None` if the answer was erased.
    async fn next(&mut self, api: &Api) -> Result<Option<Next>, StoreError> {
        let mut frames = Vec::new();
        let Some(Progress { run, is_settled }) = api.store.progress(self.id).await? else { return Ok(None) };
        if run > self.last {
            // A later run voids the text of the one before.
            let name = if self.last == 0 { "answer.started" } else { "answer.reset" };
            frames.push(self.frame(name, run, &json!({ "id": self.id })));
        }
        let events = api.store.events(self.id, self.last, PAGE).await?;
        let is_all = events.len() < PAGE as usize;
        frames.extend(events.into_iter().filter(|event| event.n > run).map(|Event { n, kind, data }| {
            let name = match kind {
                EventKind::Sources => "answer.sources",
                EventKind::Delta => "answer.delta",
                EventKind::Reset => "answer.reset",
            };
            self.frame(name, n, &data)
        }));
        let is_last = is_settled && is_all;
        if is_last {
            let Some(answer) = api.store.answer(None, self.id).await? else { return Ok(None) };
            frames.extend(self.end(api, run, &answer).await?);
        }
        Ok(Some(Next { frames, is_last }))
    }

    /// Returns the rest of the text, and the end.
    async fn end(&mut self, api: &Api, run: i64, answer: &AnswerObject) -> Result<Vec<Frame>, StoreError> {
        let mut frames = Vec::new();
        if let Some(said) = &answer.answer
            && self.last < run + REST
        {
            let before = api.store.said(self.id, run).await?;
            let is_all = before.trim_end() == said.text;
            let rest = if is_all { Some("") } else { said.text.strip_prefix(&before) };
            // The events of a run are deleted an hour after its end.
            let is_forgotten = before.is_empty() && self.last > run + SOURCES;
            if (rest.is_none() || is_forgotten) && self.last < run + RESET {
                frames.push(self.frame("answer.reset", run + RESET, &json!({})));
            }
            let rest = rest.unwrap_or(&said.text);
            if !rest.is_empty() {
                frames.push(self.frame("answer.delta", run + REST, &json!({ "delta": rest })));
            }
        }
        let name = format!("answer.{}", answer.status);
        frames.push(self.frame(&name, run + END, answer));
        Ok(frames)
    }

    fn frame(&mut self, name: &str, n: i64, data: &impl Serialize) -> Frame {
        self.last = n;
        Frame::default().event(name).id(n.to_string()).data(serde_json::to_string(data).unwrap_or_default())
    }
}
