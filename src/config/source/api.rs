//! `kind = "api"`: a JSON API, page by page.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::address::HttpUrl;
use crate::catalogue::render::Rendering;
use crate::config::access::{NamedValues, named_values};
use crate::config::defaults::seconds;
use crate::config::fault::did_you_mean;
use crate::config::tree::Entries;
use crate::config::value::wrong;
use crate::config::{ReadError, Section, Setting, Value, source::name, table};
use crate::source::api::{Api, Next, TimeFormat, UpdatedSince};
use crate::source::feed::{Dialect, Format, Place, Settings};

table! {
    /// An API, and how often it is asked for changes; zero disables polling.
    pub struct ApiConnection, section {
        name: String = hidden(name),
        url: HttpUrl = required(),
        items: String = with(pointer),
        next: Option<Next> = get(None),
        headers: NamedValues = with(named_values),
        body: Option<String> = with(body),
        updated_since: Option<UpdatedSince> = get(None),
        requests_per_minute: Option<u32> = get(None),
        rendering: Rendering = flat(),
        poll: Duration = get(seconds(60)),
    }
}

impl ApiConnection {
    /// The API as a feed of JSON lines.
    pub fn settings(&self) -> Settings {
        let api = Api {
            url: self.url.clone(),
            items: self.items.clone(),
            next: self.next.clone(),
            headers: self.headers.pairs(),
            body: self.body.clone(),
            updated_since: self.updated_since.clone(),
            requests_per_minute: self.requests_per_minute,
        };
        Settings {
            name: self.name.clone(),
            place: Place::Api(Box::new(api)),
            dialect: Dialect { format: Format::Jsonl, encoding: None, quoting: None, escape: None },
            rendering: self.rendering.clone(),
        }
    }
}

fn pointer(section: &Section<'_>, key: &str) -> Result<String, ReadError> {
    section.checked(key, String::new(), |pointer: &String| {
        if pointer.is_empty() || pointer.starts_with('/') {
            return Ok(());
        }
        Err(format!(
            "must be a JSON pointer such as \"/products\", or \"\" for the page itself, not {pointer:?}"
        ))
    })
}

fn body(section: &Section<'_>, key: &str) -> Result<Option<String>, ReadError> {
    section.checked(key, None, |text: &Option<String>| {
        let text = text.as_deref().unwrap_or_default();
        let parsed = minijinja::Environment::new().template_from_str(text).map(drop);
        parsed.map_err(|error| format!("is not a template: {error}"))
    })
}

const NEXT: &str = "\"link-header\", { cursor = \"/next\", parameter = \"cursor\" }, { page = \"page\" } or \
                    { offset = \"offset\" }";

/// A text of a table.
fn text(entries: &Entries, key: &str) -> Option<String> {
    match &entries.get(key)?.value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// Whether a table has only texts, under these keys.
fn has_only(entries: &Entries, keys: &[&str]) -> bool {
    entries.iter().all(|(key, node)| keys.contains(&key.as_str()) && matches!(node.value, Value::Text(_)))
}

/// The keys of all ways of paging.
const NEXT_KEYS: &[&str] = &["cursor", "parameter", "more", "page", "until", "offset"];

impl Setting for Option<Next> {
    fn read(value: &Value) -> Result<Self, String> {
        if let Value::Table(entries) = value
            && let Some(key) = entries.keys().find(|key| !NEXT_KEYS.contains(&key.as_str()))
        {
            let hint = did_you_mean(key, NEXT_KEYS.iter().copied());
            return Err(format!("has no key {key:?}{hint}; it is {NEXT}"));
        }
        let next = match value {
            Value::Text(text) if text == "link-header" => Some(Next::LinkHeader),
            Value::Table(entries) if has_only(entries, &["cursor", "parameter", "more"]) => {
                text(entries, "cursor").map(|pointer| Next::Cursor {
                    pointer,
                    parameter: text(entries, "parameter"),
                    more: text(entries, "more"),
                })
            }
            Value::Table(entries) if has_only(entries, &["page", "until"]) => {
                let until = text(entries, "until");
                let page = text(entries, "page").filter(|_| until.is_none_or(|until| until == "empty"));
                page.map(|parameter| Next::Page { parameter })
            }
            Value::Table(entries) if has_only(entries, &["offset", "until"]) => {
                text(entries, "offset").map(|parameter| Next::Offset { parameter })
            }
            _ => None,
        };
        next.map_or_else(|| wrong(NEXT, value), |next| Ok(Some(next)))
    }

    fn show(&self) -> Json {
        match self {
            None => Json::Null,
            Some(Next::LinkHeader) => "link-header".into(),
            Some(Next::Cursor { pointer, parameter, more }) => {
                let mut shown = json!({ "cursor": pointer });
                for (key, value) in [("parameter", parameter), ("more", more)] {
                    if let Some(value) = value {
                        shown[key] = value.as_str().into();
                    }
                }
                shown
            }
            Some(Next::Page { parameter }) => json!({ "page": parameter, "until": "empty" }),
            Some(Next::Offset { parameter }) => json!({ "offset": parameter }),
        }
    }
}

impl Setting for Option<UpdatedSince> {
    fn read(value: &Value) -> Result<Self, String> {
        let expected = "{ parameter = \"updated_at_min\", format = \"rfc3339\" or \"unix\" }";
        let Value::Table(entries) = value else { return wrong(expected, value) };
        let format = match text(entries, "format") {
            None => Some(TimeFormat::Rfc3339),
            Some(format) => format.parse().ok(),
        };
        let by =
            text(entries, "parameter").zip(format).filter(|_| has_only(entries, &["parameter", "format"]));
        by.map_or_else(
            || wrong(expected, value),
            |(parameter, format)| Ok(Some(UpdatedSince { parameter, format })),
        )
    }

    fn show(&self) -> Json {
        self.as_ref()
            .map_or(Json::Null, |by| json!({ "parameter": by.parameter, "format": <&str>::from(by.format) }))
    }
}
