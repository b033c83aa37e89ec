//! Pages and their errors as responses, and the inputs of pages.

use std::any::Any;

use axum::{
    Extension,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};
use serde::{Deserialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{assets, parts::again};
use crate::store::StoreError;

/// A page, or why there is none.
pub(super) type PageResult = Result<Html<String>, PageError>;

/// Why there is no page.
#[derive(Debug)]
pub(super) enum PageError {
    /// The thing, as in `document`, does not exist.
    NotFound(&'static str),
    /// The request is wrong: what, and what would be right.
    Invalid(String),
    /// The visitor may not.
    Forbidden(String),
    /// The request is addressed to another host.
    WrongHost(String),
    /// It took too long.
    Slow,
    /// The server can only be read.
    ReadOnly,
    /// The database failed.
    Store(StoreError),
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooSlow(_) => Self::Slow,
            StoreError::SessionBusy(detail)
            | StoreError::IdempotencyMismatch(detail)
            | StoreError::UnknownName(detail) => Self::Invalid(detail),
            error => Self::Store(error),
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let is_slow = matches!(self, Self::Slow);
        let (status, title, detail) = match self {
            Self::NotFound(thing) => {
                (StatusCode::NOT_FOUND, "Not found", format!("There is no such {thing}. It may have been deleted."))
            }
            Self::Invalid(detail) => (StatusCode::BAD_REQUEST, "This request cannot be carried out", detail),
            Self::Forbidden(detail) => (StatusCode::FORBIDDEN, "Not permitted", detail),
            Self::WrongHost(detail) => (StatusCode::MISDIRECTED_REQUEST, "Unknown host", detail),
            Self::Slow => (
                StatusCode::SERVICE_UNAVAILABLE,
                "This took too long",
                "The statement of this page was stopped, so that it does not slow down the database. Narrow the filter, \
                 or try again."
                    .to_owned(),
            ),
            Self::ReadOnly => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Nothing can be changed now",
                "The database server can only be read: it is a standby, or its disk is full. Pages are shown; actions are \
                 possible again once the daemon reaches a server that can be written."
                    .to_owned(),
            ),
            Self::Store(StoreError::Unsuitable(detail)) => (StatusCode::CONFLICT, "This request cannot be carried out", detail),
            Self::Store(error) => {
                tracing::error!(%error, "a page of the console failed: {error}");
                let detail = "The database cannot be reached at the moment, or refuses. The log of the daemon says why.";
                (StatusCode::SERVICE_UNAVAILABLE, "The database does not answer", detail.to_owned())
            }
        };
        let mut response = Fault { title, detail, is_slow }.response(status);
        if is_slow {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// What a page says of its failure. The guard puts it into the frame of all pages.
#[derive(Clone)]
pub(super) struct Fault {
    pub(super) title: &'static str,
    detail: String,
    is_slow: bool,
}

impl Fault {
    pub(super) fn body(&self, is_change: bool) -> Markup {
        html! {
            h1 { (self.title) }
            p.banner.warn role="alert" { (self.detail) }
            @if self.is_slow && !is_change { p { (again()) } }
            p { a href="/" { "To the overview" } }
        }
    }

    /// A page without navigation.
    fn response(self, status: StatusCode) -> Response {
        let page = Html(bare(self.title, &self.body(true)).into_string());
        (status, Extension(self), page).into_response()
    }
}

/// The frame of a page without navigation.
pub(super) fn bare(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · shopkeeper" }
                link rel="stylesheet" href=(assets::STYLE.path());
            }
            body.bare { main id="main" { (body) } }
        }
    }
}

pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a page of the console ended in a panic");
    let detail = "The page failed for a reason that the log of the daemon names.";
    Fault { title: "This failed", detail: detail.to_owned(), is_slow: false }
        .response(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The parameters of a page.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(value)| Self(value)).map_err(|error| PageError::Invalid(error.body_text()))
    }
}

/// The fields of a form.
pub(super) struct Fields<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Fields<T> {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &S) -> Result<Self, PageError> {
        let form = axum::Form::<T>::from_request(request, state).await;
        form.map(|axum::Form(value)| Self(value)).map_err(|error| PageError::Invalid(error.body_text()))
    }
}

/// The form of an action on one thing that cannot be undone.
#[derive(Deserialize)]
pub(super) struct Confirmed {
    pub(super) id: String,
    /// In production, the name of the instance.
    #[serde(default)]
    pub(super) confirm: String,
}

/// The rows of a page's list; empty, and slow, if the statement was stopped.
pub(super) fn or_slow<T: Default>(read: Result<T, StoreError>) -> Result<(T, bool), PageError> {
    match read {
        Ok(rows) => Ok((rows, false)),
        Err(StoreError::TooSlow(_)) => Ok((T::default(), true)),
        Err(error) => Err(error.into()),
    }
}

/// Parses an id; an invalid one is not found.
pub(super) fn id_of(thing: &'static str, id: &str) -> Result<Uuid, PageError> {
    id.parse().map_err(|_| PageError::NotFound(thing))
}

/// A field that was left empty is not given.
pub(super) fn given(field: Option<&String>) -> Option<&str> {
    field.map(|field| field.trim()).filter(|field| !field.is_empty())
}

/// Refuses what the database cannot store.
pub(super) fn check_text(field: &str, text: &str, most: usize) -> Result<(), PageError> {
    if text.contains('\0') {
        return Err(PageError::Invalid(format!("{field} holds a NUL character.")));
    }
    let length = text.chars().count();
    if length > most {
        return Err(PageError::Invalid(format!("{field} has {length} characters; the most is {most}.")));
    }
    Ok(())
}
