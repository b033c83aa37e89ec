//! Reads documents by their keys.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, FromRow, postgres::PgRow, types::Json};

use crate::{
    catalogue::{
        CatalogueResult, Document, Documents, RenderFault,
        render::{Row, RowsAre},
    },
    source::postgres::{
        PostgresSource, Statements,
        connection::{is_bad_text, is_bad_value},
        settings::as_row,
    },
};

/// The key and hash of a document, and its row or rows.
type ReadRow = (String, i64, Json<Box<RawValue>>);

impl PostgresSource {
    pub(super) async fn documents(&self, keys: &[String]) -> CatalogueResult<Documents> {
        let read = |statements: Arc<Statements>| async move {
            match (self.by_keys(&statements, &statements.read, keys).await?, keys) {
                (Ok(rows), _) => Ok(self.render(rows)),
                // What reading this row meets is its own fault, unless it comes of other rows.
                (Err(error), [key]) => {
                    let (reason, is_final) = (error.to_string(), is_bad_text(&error));
                    Ok(vec![Err(RenderFault { key: key.clone(), reason, is_final })])
                }
                (Err(error), _) => Err(self.fail()(error)),
            }
        };
        self.with_statements(read).await
    }

    /// The keys of some rows.
    pub(super) async fn some_keys(&self, limit: u32) -> CatalogueResult<Vec<String>> {
        self.statements().await?;
        let (key, relation) = (self.settings.key_text(), as_row(&self.settings.relation));
        let statement = format!("select {key} from {relation} where {key} is not null limit {limit}");
        let keys: Result<Vec<String>, _> =
            sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&self.pool).await;
        let mut keys = keys.map_err(self.fail())?;
        keys.dedup();
        Ok(keys)
    }

    /// Runs a statement whose parameters are keys. A key may come from anywhere and be no value of the key's type: such
    /// keys are left out. The inner error is that of a row with an invalid value.
    pub(super) async fn by_keys<T>(
        &self,
        statements: &Statements,
        statement: &str,
        keys: &[String],
    ) -> CatalogueResult<Result<Vec<T>, sqlx::Error>>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let key = &self.settings.rendering.key;
        let values: Vec<_> = keys.iter().filter_map(|wanted| key.split(wanted)).collect();
        let rows = match self.by_values(statement, &values).await {
            Err(error) if is_bad_value(&error) => {
                self.by_values(statement, &self.possible(statements, values).await?).await
            }
            rows => rows,
        };
        match rows {
            Err(error) if is_bad_value(&error) => Ok(Err(error)),
            rows => rows.map(Ok).map_err(self.fail()),
        }
    }

    async fn by_values<T>(&self, statement: &str, values: &[Vec<String>]) -> Result<Vec<T>, sqlx::Error>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let mut query = sqlx::query_as(AssertSqlSafe(statement));
        for column in 0..self.settings.rendering.key.columns().len() {
            query = query.bind(values.iter().map(|values| values[column].clone()).collect::<Vec<_>>());
        }
        query.fetch_all(&self.pool).await
    }

    /// The keys that a row can have.
    async fn possible(
        &self,
        statements: &Statements,
        keys: Vec<Vec<String>>,
    ) -> CatalogueResult<Vec<Vec<String>>> {
        let (_, key_types) = self.columns().await?;
        if key_types != statements.key_types {
            // Rows with such keys exist, and must not count as removed.
            let (name, was, is) =
                (&self.settings.rendering.key, statements.key_types.join(", "), key_types.join(", "));
            return Err(self.misfit(format!("its key `{name}` was {was} and is {is} now")));
        }
        let mut possible = Vec::new();
        for key in keys {
            let cast = sqlx::query(AssertSqlSafe(statements.cast.as_str()));
            let cast = key.iter().fold(cast, |cast, value| cast.bind(value.clone()));
            match cast.execute(&self.pool).await {
                Ok(_) => possible.push(key),
                Err(error) if is_bad_value(&error) => {}
                // Other errors do not depend on the key.
                Err(error) => return Err(self.fail()(error)),
            }
        }
        Ok(possible)
    }

    /// Renders rows; a key that more than one row has is a fault of its document.
    fn render(&self, rows: Vec<ReadRow>) -> Documents {
        let mut documents = Vec::with_capacity(rows.len());
        let mut seen = BTreeSet::new();
        for (key, row_hash, read) in rows {
            if !seen.insert(key.clone()) {
                let reason =
                    format!("source `{}` has more than one row with the key {key:?}", self.settings.name);
                documents.retain(|document: &Result<Document, RenderFault>| {
                    document.as_ref().map_or_else(|fault| &fault.key, |document| &document.key) != &key
                });
                documents.push(Err(RenderFault { key, reason, is_final: false }));
                continue;
            }
            let json = read.0.get();
            let rows = match self.settings.rendering.rows {
                RowsAre::Single => Ok(vec![json]),
                RowsAre::Group => serde_json::from_str::<Vec<&RawValue>>(json)
                    .map(|rows| rows.into_iter().map(RawValue::get).collect()),
            };
            documents.push(match rows {
                Ok(rows) => self.templates.render(Row { key, rows, row_hash }),
                Err(error) => Err(RenderFault { key, reason: error.to_string(), is_final: true }),
            });
        }
        documents
    }
}
