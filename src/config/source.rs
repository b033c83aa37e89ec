//! `[[source]]`: where documents come from.

use std::time::Duration;

use super::{ReadError, Section, Setting, Shown, Table, defaults::at_most, table};
use crate::{catalogue::MassDelete, catalogue::render::Rendering, source::feed::Settings};

mod api;
mod feed;
mod mysql;
mod postgres;
mod rendering;

pub use api::ApiConnection;
pub use mysql::MySqlConnection;
pub use postgres::Connection;

/// The kinds of sources.
#[derive(Clone, Debug, strum::EnumDiscriminants)]
#[strum_discriminants(name(KindWord), vis(pub(super)), strum(serialize_all = "snake_case"))]
#[strum_discriminants(derive(strum::EnumString, strum::IntoStaticStr, strum::VariantNames))]
#[expect(missing_docs, reason = "the names say it")]
pub enum SourceKind {
    Postgres(Connection),
    #[strum_discriminants(strum(serialize = "mysql"))]
    MySql(MySqlConnection),
    Api(Box<ApiConnection>),
    Feed(Settings),
}

/// The keys that only PostgreSQL has.
const OF_POSTGRES: &[(&str, &[&str])] =
    &[("belongs to kind = \"postgres\": a MySQL has no triggers of ours", &["related"])];
/// The keys that only a database has, and why a feed has none of them.
const OF_DATABASES: &[(&str, &[&str])] = &[
    (
        "belongs to a database, and this is a feed",
        &["table", "where", "query", "related", "max_connections", "statement_timeout"],
    ),
    (
        "has no effect on a feed, which is read whole by each listing; leave it out, and say in a [[schedule]] how often",
        &["poll"],
    ),
    (
        "has no effect on a feed, which is read whole by each listing; leave it out",
        &["updated_at", "page_rows"],
    ),
    (
        "has no effect on a feed, which cannot be asked for single rows: answers quote the last listing; leave it out",
        &["live_metadata"],
    ),
];
/// The keys that an API has not.
const OF_API: &[(&str, &[&str])] = &[
    (
        "belongs to a database, and this is an API",
        &[
            "table",
            "where",
            "query",
            "related",
            "max_connections",
            "statement_timeout",
            "updated_at",
            "page_rows",
            "live_metadata",
        ],
    ),
    ("belongs to kind = \"feed\", and this is an API", &["path", "format", "encoding", "quoting", "escape"]),
];
/// The keys that only a feed has.
const OF_FEED: &[(&str, &[&str])] = &[(
    "belongs to kind = \"feed\", and this is a database",
    &["path", "format", "encoding", "quoting", "escape"],
)];

table! {
    /// One source of documents.
    pub struct Source, section {
        /// Unique; the filter that callers use.
        name: String = with(name),
        /// The shop system that the other keys have their defaults from.
        preset: Option<String> = get(None::<String>),
        /// What the names of the preset's tables begin with.
        table_prefix: Option<String> = get(None::<String>),
        /// Where its rows come from.
        kind: SourceKind = flat(),
        /// When a sync stops instead of removing documents.
        mass_delete_limit: MassDelete = table(),
        /// The share of rows, from 0 to 1, from which a listing is refused because they were set aside.
        set_aside_limit: f64 = with(|section, key| at_most(section, key, 0.05, 1.0)),
    }
}

impl SourceKind {
    /// How often a database is polled for changes; `None` for a feed, which is only listed.
    pub fn poll(&self) -> Option<Duration> {
        match self {
            Self::Postgres(connection) => Some(connection.poll),
            Self::MySql(connection) => Some(connection.poll),
            Self::Api(api) => Some(api.poll),
            Self::Feed(_) => None,
        }
    }

    /// How its documents are rendered.
    pub fn rendering(&self) -> &Rendering {
        match self {
            Self::Postgres(connection) => &connection.settings.rendering,
            Self::MySql(connection) => &connection.settings.rendering,
            Self::Api(api) => &api.rendering,
            Self::Feed(settings) => &settings.rendering,
        }
    }

    /// Whether answers read metadata from the shop.
    pub fn has_live_metadata(&self) -> bool {
        match self {
            Self::Postgres(connection) => connection.settings.live_metadata,
            Self::MySql(connection) => connection.settings.live_metadata,
            Self::Api(_) | Self::Feed(_) => false,
        }
    }
}

impl Table for SourceKind {
    fn read(section: &Section<'_>) -> Result<Self, ReadError> {
        match section.required("kind") {
            Ok(KindWord::Postgres) => {
                section.refuse(OF_FEED);
                Table::read(section).map(Self::Postgres)
            }
            Ok(KindWord::MySql) => {
                section.refuse(OF_FEED);
                section.refuse(OF_POSTGRES);
                Table::read(section).map(Self::MySql)
            }
            Ok(KindWord::Api) => {
                section.refuse(OF_API);
                Table::read(section).map(|api| Self::Api(Box::new(api)))
            }
            Ok(KindWord::Feed) => {
                section.refuse(OF_DATABASES);
                Table::read(section).map(Self::Feed)
            }
            Err(faulty) => {
                let own = OF_DATABASES.iter().chain(OF_FEED).flat_map(|(_, keys)| *keys).copied();
                section.pass_over(own.chain(["url"]));
                Rendering::read(section).and(Err(faulty))
            }
        }
    }

    fn show(&self, shown: &mut Shown) {
        shown.insert("kind".to_owned(), KindWord::from(self).show());
        match self {
            Self::Postgres(connection) => connection.show(shown),
            Self::MySql(connection) => connection.show(shown),
            Self::Api(api) => api.show(shown),
            Self::Feed(feed) => feed.show(shown),
        }
    }
}

table! {
    MassDelete, section {
        share: with(|section, key| at_most(section, key, 0.2, 1.0)),
        documents: get(50),
    }
}

/// A trigger's name contains it. PostgreSQL truncates names at 63 bytes, and then two sources would share a trigger.
const LONGEST_NAME: usize = 40;

/// A name is part of URLs and metric labels, so it is kept plain.
fn name(section: &Section<'_>, key: &str) -> Result<String, ReadError> {
    let name: String = section.required(key)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(is_plain) {
        return Ok(name);
    }
    let message = format!("must be 1 to {LONGEST_NAME} ASCII letters, digits, '-' or '_', not {name:?}");
    Err(section.fault(key, message))
}
