//! Adapters: a shop becomes a [`Catalogue`](crate::catalogue::Catalogue).

use crate::catalogue::render::{ColumnsRead, Rendering};

pub mod api;
pub mod feed;
mod listed;
pub mod mysql;
pub mod postgres;
mod spool;

/// What is read of a shop's database.
#[derive(Clone, Debug)]
pub enum Relation {
    /// A table or a view.
    Table {
        /// `table`, or `schema.table`.
        name: String,
        /// A condition in SQL; other rows are ignored.
        condition: Option<String>,
    },
    /// A query.
    Query(String),
}

/// A `where` clause. The line break ends a comment in the condition.
fn filter(condition: Option<&str>) -> String {
    condition.map(|condition| format!(" where ({condition}\n)")).unwrap_or_default()
}

/// Fails with the settings that name a column that the source does not have.
fn check_columns(rendering: &Rendering, read: &ColumnsRead, present: &[String]) -> Result<(), String> {
    let Rendering { key, sku, group, metadata, .. } = rendering;
    let named = key.columns().iter().map(|column| ("key", column));
    let named = named
        .chain(sku.iter().map(|column| ("sku", column)))
        .chain(group.iter().map(|column| ("group", column)))
        .chain(metadata.iter().map(|column| ("metadata", column)))
        .chain(read.in_templates.iter().map(|column| ("a template", column)));
    let faults: Vec<_> = named
        .filter(|(_, column)| !present.contains(column))
        .map(|(setting, column)| format!("{setting} names the column `{column}`"))
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(format!("{}, but the source's columns are: {}", faults.join("; "), present.join(", ")))
}
