//! `[[source]]`: where documents come from, and how one is rendered.

use std::{collections::BTreeMap, time::Duration};

use super::{
    answers::at_most,
    reader::{ReadError, Reader, Section},
    sections::{at_least_one, database_url, seconds},
    table::{Shown, Table, table},
    tree::{Node, Value},
    value::Setting,
};
use crate::{
    address::HttpUrl,
    catalogue::{MassDelete, render::Rendering},
    source::{
        feed::{self, Place},
        postgres::{self, RelatedTable, Relation},
    },
};

/// The kinds of sources.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named for the words")]
pub enum SourceKind {
    Postgres(Connection),
    Feed(feed::Settings),
}

#[derive(Clone, Copy, Debug, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub(super) enum KindWord {
    Postgres,
    Feed,
}

/// The keys that only a database has, and why a feed has none of them.
const OF_POSTGRES: &[(&str, &[&str])] = &[
    (
        "belongs to kind = \"postgres\", and this is a feed",
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
/// The keys that only a feed has.
const OF_FEED: &[(&str, &[&str])] =
    &[("belongs to kind = \"feed\", and this is a database", &["path", "format"])];

table! {
    /// One source of documents.
    pub struct Source, section {
        /// Unique; the filter that callers use.
        name: String = with(name),
        /// Where its rows come from.
        kind: SourceKind = flat(),
        /// When a sync stops instead of removing.
        mass_delete_limit: MassDelete = table(),
    }
}

impl Table for SourceKind {
    fn read(section: &Section<'_>) -> Result<Self, ReadError> {
        match section.required("kind") {
            Ok(KindWord::Postgres) => {
                section.refuse(OF_FEED);
                Table::read(section).map(Self::Postgres)
            }
            Ok(KindWord::Feed) => {
                section.refuse(OF_POSTGRES);
                Table::read(section).map(Self::Feed)
            }
            Err(faulty) => {
                let own = OF_POSTGRES.iter().chain(OF_FEED).flat_map(|(_, keys)| *keys).copied();
                section.pass_over(own.chain(["url"]));
                Rendering::read(section).and(Err(faulty))
            }
        }
    }

    fn show(&self, shown: &mut Shown) {
        let (kind, table): (_, &dyn Fn(&mut Shown)) = match self {
            Self::Postgres(connection) => (KindWord::Postgres, &|shown| connection.show(shown)),
            Self::Feed(feed) => (KindWord::Feed, &|shown| feed.show(shown)),
        };
        shown.insert("kind".to_owned(), kind.show());
        table(shown);
    }
}

table! {
    /// A shop's database, and how often it is polled for changes; zero is never.
    pub struct Connection, section {
        settings: postgres::Settings = flat(),
        poll: Duration = get(seconds(60)),
    }
}

table! {
    postgres::Settings, section {
        name: hidden(name),
        url: with(database_url),
        relation: flat(),
        rendering: flat(),
        updated_at: get(None::<String>),
        live_metadata: get(true),
        related: list(),
        page_rows: with(|section, key| at_least_one(section, key, 5000)),
        max_connections: with(|section, key| at_least_one(section, key, 2)),
        statement_timeout: get(seconds(30)),
    }
}

table! { feed::Settings, section { name: hidden(name), place: flat(), format: required(), rendering: flat() } }

table! {
    Rendering, section {
        key: required(),
        title: with(required_template),
        text: with(required_template),
        link: with(template),
        metadata: get(Vec::new()),
        sku: get(None::<String>),
    }
}

table! {
    MassDelete, section {
        share: with(|section, key| at_most(section, key, 0.2, 1.0)),
        documents: get(50),
    }
}

table! { RelatedTable, section { table: required(), columns: get(Vec::new()), keys: with(keys) } }

fn keys(section: &Section<'_>, key: &str) -> Result<String, ReadError> {
    section.required(key).map(|query: String| without_end(&query))
}

fn without_end(query: &str) -> String {
    query.trim().trim_end_matches(';').to_owned()
}

impl Table for Relation {
    fn read(section: &Section<'_>) -> Result<Self, ReadError> {
        let condition = section.get("where", None);
        let relation = section.one_of(
            ["table", "query"],
            |name| Self::Table { name, condition: None },
            |query: String| Self::Query(without_end(&query)),
        );
        match (relation?, condition?) {
            (Self::Table { name, .. }, condition) => Ok(Self::Table { name, condition }),
            (Self::Query(_), Some(_)) => {
                Err(section.fault("where", "goes with `table`; write it into the query"))
            }
            (query, None) => Ok(query),
        }
    }

    fn show(&self, shown: &mut Shown) {
        match self {
            Self::Table { name, condition } => {
                shown.insert("table".to_owned(), name.show());
                shown.extend(condition.as_ref().map(|condition| ("where".to_owned(), condition.show())));
            }
            Self::Query(query) => _ = shown.insert("query".to_owned(), query.show()),
        }
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
        };
    }
}

/// With what is put around it, it is the name of a trigger: PostgreSQL cuts these at 63 bytes, and two sources would share one.
const LONGEST_NAME: usize = 40;

/// A name is part of addresses and metric labels, so it is kept plain.
fn name(section: &Section<'_>, key: &str) -> Result<String, ReadError> {
    let name: String = section.required(key)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(is_plain) {
        return Ok(name);
    }
    let message = format!("must be 1 to {LONGEST_NAME} ASCII letters, digits, '-' or '_', not {name:?}");
    Err(section.fault(key, message))
}

/// Templates are checked here for their syntax; their columns are checked against the source.
fn template(section: &Section<'_>, key: &str) -> Result<Option<String>, ReadError> {
    section.checked(key, None, |text: &Option<String>| {
        let text = text.as_deref().unwrap_or_default();
        match minijinja::Environment::new().template_from_str(text) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("is not a template: {error}")),
        }
    })
}

fn required_template(section: &Section<'_>, key: &str) -> Result<String, ReadError> {
    template(section, key)?.ok_or_else(|| section.fault(key, "is required"))
}

/// The databases that were given no address are at `$DATABASE_URL`, if that is set.
pub(super) fn default_addresses(tree: &mut BTreeMap<String, Node>, reader: &Reader<'_>) {
    const VARIABLE: &str = "DATABASE_URL";
    if matches!(reader.variable(VARIABLE), Ok(None)) {
        return;
    }
    let mut fill = |entries: &mut BTreeMap<String, Node>| {
        entries.entry("url".to_owned()).or_insert_with(|| Node::variable(VARIABLE));
    };
    super::tree::table(tree, "database").map(&mut fill);
    let Some(Node { value: Value::List(sources), .. }) = tree.get_mut("source") else { return };
    for source in sources {
        let Value::Table(entries) = &mut source.value else { continue };
        if matches!(entries.get("kind"), Some(Node { value: Value::Text(kind), .. }) if kind == "postgres") {
            fill(entries);
        }
    }
}
