//! `kind = "feed"`: a file or a download.

use crate::config::{ReadError, Section, Setting, Shown, Table, table};
use crate::{address::HttpUrl, config::source::name, source::feed, source::feed::Place};

table! { feed::Settings, section { name: hidden(name), place: flat(), format: required(), rendering: flat() } }

impl Table for Place {
    fn read(section: &Section<'_>) -> Result<Self, ReadError> {
        let in_folder = |path: String| Self::Path(section.folder().join(path));
        section.one_of(["path", "url"], in_folder, Self::Url)
    }

    fn show(&self, shown: &mut Shown) {
        match self {
            Self::Path(path) => shown.insert("path".to_owned(), path.to_string_lossy().into()),
            Self::Url(url) => shown.insert("url".to_owned(), HttpUrl::show(url)),
        };
    }
}
