//! `kind = "feed"`: a file or a download.

use encoding_rs::Encoding;
use serde_json::Value as Json;

use crate::config::value::wrong;
use crate::config::{ReadError, Section, Setting, Shown, Table, Value, table};
use crate::source::feed::{self, Dialect, Place};
use crate::{address::HttpUrl, config::source::name};

table! { feed::Settings, section { name: hidden(name), place: flat(), dialect: flat(), rendering: flat() } }

table! {
    Dialect, section {
        format: required(),
        encoding: get(None),
        quoting: get(None),
        escape: get(None),
    }
}

/// An encoding by one of its names in the Encoding standard.
impl Setting for Option<&'static Encoding> {
    fn read(value: &Value) -> Result<Self, String> {
        let expected = "the name of an encoding such as \"windows-1252\", \"iso-8859-15\" or \"utf-16le\"";
        let Value::Text(name) = value else { return wrong(expected, value) };
        Encoding::for_label(name.as_bytes())
            .map_or_else(|| wrong(expected, value), |encoding| Ok(Some(encoding)))
    }

    fn show(&self) -> Json {
        self.map(|encoding| encoding.name().to_lowercase()).into()
    }
}

impl Table for Place {
    fn read(section: &Section<'_>) -> Result<Self, ReadError> {
        let in_folder = |path: String| Self::Path(section.folder().join(path));
        section.one_of(["path", "url"], in_folder, Self::Url)
    }

    fn show(&self, shown: &mut Shown) {
        match self {
            Self::Path(path) => shown.insert("path".to_owned(), path.to_string_lossy().into()),
            Self::Url(url) => shown.insert("url".to_owned(), HttpUrl::show(url)),
            Self::Api(api) => shown.insert("url".to_owned(), HttpUrl::show(&api.url)),
        };
    }
}
