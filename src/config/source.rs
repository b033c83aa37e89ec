//! `[[source]]`: where documents come from and how one is rendered.

use std::{num::NonZeroU32, path::PathBuf};

use serde::Serialize;

use super::{
    Amount, DatabaseUrl, HttpUrl, Span,
    database::database_url,
    reader::{Faulty, Section},
    sections::{count, seconds},
    settings::words,
};

/// One source of documents.
#[derive(Clone, Debug, Serialize)]
pub struct Source {
    /// Unique; the filter that callers use.
    pub name: String,
    /// Where its rows come from.
    #[serde(flatten)]
    pub kind: SourceKind,
    /// The column that tells documents apart.
    pub key: String,
    /// The template of the title.
    pub title: String,
    /// The template of the text that is embedded.
    pub text: String,
    /// The template of the document's address in the shop.
    pub link: Option<String>,
    /// The columns that are kept beside the vectors.
    pub metadata: Vec<String>,
    /// The column of the stock keeping unit.
    pub sku: Option<String>,
    /// When a sync stops instead of removing.
    pub mass_delete_limit: MassDeleteLimit,
}

/// The two kinds of sources.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum SourceKind {
    /// A table or a query.
    Postgres(Connection),
    /// A file.
    Feed(Feed),
}

/// A shop's database and what is read there.
#[derive(Clone, Debug, Serialize)]
pub struct Connection {
    /// May be another server than ours; SELECT is enough.
    pub url: DatabaseUrl,
    /// What is read.
    #[serde(flatten)]
    pub relation: Relation,
    /// The column that says when a row was changed.
    pub updated_at: Option<String>,
    /// Whether answers read metadata from the shop at answer time.
    pub live_metadata: bool,
    /// How often changes are looked for; zero is never.
    pub poll: Span,
    /// Rows read at once.
    pub page_rows: NonZeroU32,
    /// Connections of this daemon.
    pub max_connections: NonZeroU32,
    /// The longest that one statement may take; zero is no limit.
    pub statement_timeout: Span,
    /// Tables whose changes concern documents, for the triggers.
    pub related: Vec<Related>,
}

/// A table whose changes concern documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Related {
    /// `table`, or `schema.table`.
    pub table: String,
    /// The columns that matter; none is all of them.
    pub columns: Vec<String>,
    /// A query for the keys that a changed row, `row_`, concerns.
    pub keys: String,
}

/// What is read of a shop's database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Relation {
    /// A table or a view.
    Table {
        /// `table`, or `schema.table`.
        table: String,
        /// A condition in SQL.
        #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
        condition: Option<String>,
    },
    /// A query with one row for each document.
    Query {
        /// The query in SQL.
        query: String,
    },
}

/// A product feed.
#[derive(Clone, Debug, Serialize)]
pub struct Feed {
    /// Where it is.
    #[serde(flatten)]
    pub place: FeedPlace,
    /// How it is written.
    pub format: FeedFormat,
}

/// Where a feed is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum FeedPlace {
    Path(PathBuf),
    Url(HttpUrl),
}

words! {
    /// How a feed is written.
    pub FeedFormat {
        /// Comma separated values with a header.
        Csv = "csv",
        /// A JSON object a line.
        Jsonl = "jsonl",
        /// Google Merchant's XML or TSV.
        GoogleMerchant = "google-merchant",
    }
}

/// A sync stops when it would remove more than both of these.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MassDeleteLimit {
    /// Of the documents that the source has, 0 to 1.
    pub share: Amount,
    /// Documents.
    pub documents: u32,
}

words! {
    /// The word that is written for a kind.
    pub(super) KindWord {
        /// A table or a query.
        Postgres = "postgres",
        /// A file.
        Feed = "feed",
    }
}

/// The keys that only a database has, and why a feed has none of them.
const OF_POSTGRES: &[(&str, &str)] = &[
    ("table", "belongs to kind = \"postgres\", and this is a feed"),
    ("where", "belongs to kind = \"postgres\", and this is a feed"),
    ("query", "belongs to kind = \"postgres\", and this is a feed"),
    ("related", "belongs to kind = \"postgres\", and this is a feed"),
    ("max_connections", "belongs to kind = \"postgres\", and this is a feed"),
    ("statement_timeout", "belongs to kind = \"postgres\", and this is a feed"),
    (
        "poll",
        "has no effect on a feed, which is read whole by each listing; leave it out, and say in a [[schedule]] how often",
    ),
    ("updated_at", "has no effect on a feed, which is read whole by each listing; leave it out"),
    ("page_rows", "has no effect on a feed, which is read whole by each listing; leave it out"),
    (
        "live_metadata",
        "has no effect on a feed, which cannot be asked for single rows: answers quote the last listing; leave it out",
    ),
];
/// The keys that only a feed has.
const OF_FEED: &[(&str, &str)] = &[
    ("path", "belongs to kind = \"feed\", and this is a database"),
    ("format", "belongs to kind = \"feed\", and this is a database"),
];

pub(crate) fn source(section: &Section<'_>) -> Result<Source, Faulty> {
    let name = name(section);
    let kind = match section.required("kind") {
        Ok(KindWord::Postgres) => connection(section).map(SourceKind::Postgres),
        Ok(KindWord::Feed) => feed(section).map(SourceKind::Feed),
        Err(faulty) => {
            let own = OF_POSTGRES.iter().chain(OF_FEED).map(|(key, _)| *key);
            section.pass_over(own.chain(["url"]));
            Err(faulty)
        }
    };
    let key = section.required("key");
    let title = template(section, "title").and_then(|title| required(section, "title", title));
    let text = template(section, "text").and_then(|text| required(section, "text", text));
    let link = template(section, "link");
    let metadata = section.get("metadata", Vec::new());
    let sku = section.optional("sku");
    let mass_delete_limit = mass_delete_limit(&section.section("mass_delete_limit"));
    Ok(Source {
        name: name?,
        kind: kind?,
        key: key?,
        title: title?,
        text: text?,
        link: link?,
        metadata: metadata?,
        sku: sku?,
        mass_delete_limit: mass_delete_limit?,
    })
}

/// With what is put around it, the name of a trigger: PostgreSQL cuts those at 63 bytes, and two sources' would be one.
const LONGEST_NAME: usize = 40;

/// A name is part of addresses and metric labels, so it is kept plain.
fn name(section: &Section<'_>) -> Result<String, Faulty> {
    let name: String = section.required("name")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(plain) {
        return Ok(name);
    }
    let message = format!("must be 1 to {LONGEST_NAME} ASCII letters, digits, '-' or '_', not {name:?}");
    Err(section.fault("name", message))
}

fn connection(section: &Section<'_>) -> Result<Connection, Faulty> {
    let url = database_url(section, "url");
    let relation = relation(section);
    let updated_at = section.optional("updated_at");
    let live_metadata = section.get("live_metadata", true);
    let poll = section.get("poll", seconds(60));
    let page_rows = section.get("page_rows", count(5000));
    let max_connections = section.get("max_connections", count(2));
    let statement_timeout = section.get("statement_timeout", seconds(30));
    let tables: Vec<_> = section.sections("related").iter().map(related).collect();
    let related: Result<Vec<_>, _> = tables.into_iter().collect();
    section.refuse(OF_FEED);
    Ok(Connection {
        url: url?,
        relation: relation?,
        updated_at: updated_at?,
        live_metadata: live_metadata?,
        poll: poll?,
        page_rows: page_rows?,
        max_connections: max_connections?,
        statement_timeout: statement_timeout?,
        related: related?,
    })
}

fn relation(section: &Section<'_>) -> Result<Relation, Faulty> {
    let condition: Result<Option<String>, _> = section.optional("where");
    let relation = section.one_of(
        ["table", "query"],
        |table| Relation::Table { table, condition: None },
        |query: String| Relation::Query { query: query.trim().trim_end_matches(';').to_owned() },
    );
    match (relation?, condition?) {
        (Relation::Table { table, .. }, condition) => Ok(Relation::Table { table, condition }),
        (Relation::Query { .. }, Some(_)) => {
            Err(section.fault("where", "goes with `table`; write it into the query"))
        }
        (query, None) => Ok(query),
    }
}

fn related(section: &Section<'_>) -> Result<Related, Faulty> {
    let table = section.required("table");
    let columns = section.get("columns", Vec::new());
    let keys: Result<String, _> = section.required("keys");
    section.finish();
    Ok(Related { table: table?, columns: columns?, keys: keys?.trim().trim_end_matches(';').to_owned() })
}

fn feed(section: &Section<'_>) -> Result<Feed, Faulty> {
    let format = section.required("format");
    let in_folder = |path: String| FeedPlace::Path(section.folder().join(path));
    let place = section.one_of(["path", "url"], in_folder, FeedPlace::Url);
    section.refuse(OF_POSTGRES);
    Ok(Feed { place: place?, format: format? })
}

/// Templates are checked here for their syntax; their columns are checked against the source.
fn template(section: &Section<'_>, key: &str) -> Result<Option<String>, Faulty> {
    let Some(text) = section.optional::<String>(key)? else { return Ok(None) };
    match minijinja::Environment::new().template_from_str(&text) {
        Ok(_) => Ok(Some(text)),
        Err(error) => Err(section.fault(key, format!("is not a template: {error}"))),
    }
}

fn required(section: &Section<'_>, key: &str, text: Option<String>) -> Result<String, Faulty> {
    text.ok_or_else(|| section.fault(key, "is required"))
}

fn mass_delete_limit(section: &Section<'_>) -> Result<MassDeleteLimit, Faulty> {
    let share = section.get("share", Amount(0.2));
    let documents = section.get("documents", 50);
    section.finish();
    let share = share?;
    if share.0 > 1.0 {
        return Err(section.fault("share", format!("must be from 0 to 1, not {}", share.0)));
    }
    Ok(MassDeleteLimit { share, documents: documents? })
}
