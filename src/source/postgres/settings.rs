//! What the settings say of a shop's database.

use std::time::Duration;

use crate::{
    address::DatabaseUrl,
    catalogue::render::Rendering,
    source::{
        Relation, filter,
        postgres::sql::{quote, table},
    },
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

/// The relation as an item of a `from` clause: `… as row_`.
pub(super) fn as_row(relation: &Relation) -> String {
    match relation {
        Relation::Table { name, condition } => {
            format!("(select * from {}{}) as row_", table(name), filter(condition.as_deref()))
        }
        Relation::Query(query) => format!("({query}\n) as row_"),
    }
}

impl Settings {
    /// The columns of a row's key.
    pub(super) fn key_columns(&self) -> Vec<String> {
        self.rendering.key.columns().iter().map(|column| format!("row_.{}", quote(column))).collect()
    }

    /// A row's key as text.
    pub(super) fn key_text(&self) -> String {
        match &*self.key_columns() {
            [column] => format!("{column}::text"),
            columns => {
                let encoded = columns
                    .iter()
                    .map(|column| format!("replace(replace({column}::text, '%', '%25'), '/', '%2F')"));
                encoded.collect::<Vec<_>>().join(" || '/' || ")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables_and_columns_are_quoted() {
        let table = Relation::Table { name: "my shop.It\"ems".into(), condition: Some("live -- yes".into()) };
        assert_eq!(as_row(&table), "(select * from \"my shop\".\"It\"\"ems\" where (live -- yes\n)) as row_");
    }
}
