//! What the settings say of a shop's database.

use std::time::Duration;

use crate::{
    address::DatabaseUrl,
    catalogue::render::Rendering,
    source::postgres::sql::{quote, table},
};

/// Where a source is and how one of its documents is rendered.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Settings {
    pub name: String,
    /// The shop's database.
    pub url: DatabaseUrl,
    pub relation: Relation,
    pub rendering: Rendering,
    /// The column with the time of a row's last change.
    pub updated_at: Option<String>,
    /// Whether answers read metadata from the shop. If so, a stored copy may be an hour old.
    pub live_metadata: bool,
    /// Tables besides the relation that get triggers.
    pub related: Vec<RelatedTable>,
    /// Rows fetched at once.
    pub page_rows: u32,
    pub max_connections: u32,
    /// Time limit of a statement; zero for none.
    pub statement_timeout: Duration,
}

/// What is read of the shop's database.
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

/// A table whose changes concern documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelatedTable {
    /// `table`, or `schema.table`.
    pub table: String,
    /// The columns that documents depend on; empty for all of them.
    pub columns: Vec<String>,
    /// A query for the keys of the documents that a changed row, `row_`, concerns.
    pub keys: String,
}

impl Relation {
    /// The relation as an item of a `from` clause: `… as row_`.
    pub(super) fn as_row(&self) -> String {
        match self {
            Self::Table { name, condition } => {
                format!("(select * from {}{}) as row_", table(name), filter(condition.as_deref()))
            }
            Self::Query(query) => format!("({query}\n) as row_"),
        }
    }
}

impl Settings {
    /// The key column of a row.
    pub(super) fn key(&self) -> String {
        format!("row_.{}", quote(&self.rendering.key))
    }
}

/// A `where` clause. The line break ends a comment in the condition.
pub(super) fn filter(condition: Option<&str>) -> String {
    condition.map(|condition| format!(" where ({condition}\n)")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables_and_columns_are_quoted() {
        let table = Relation::Table { name: "my shop.It\"ems".into(), condition: Some("live -- yes".into()) };
        assert_eq!(table.as_row(), "(select * from \"my shop\".\"It\"\"ems\" where (live -- yes\n)) as row_");
    }
}
