//! Reads documents by their keys.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, FromRow, postgres::PgRow, types::Json};

use crate::{
    catalogue::{CatalogueResult, Document, Documents, RenderFault, render::Row},
    source::postgres::{PostgresSource, Statements, connection::is_bad_value},
};

/// The key, hash, template columns, SKU and metadata of a row.
type ReadRow = (String, i64, Json<Box<RawValue>>, Option<String>, Json<Box<RawValue>>);

impl PostgresSource {
    pub(super) async fn documents(&self, keys: &[String]) -> CatalogueResult<Documents> {
        let read = |statements: Arc<Statements>| async move {
            self.by_keys(&statements, &statements.read, keys).await
        };
        Ok(self.render(self.with_statements(read).await?))
    }

    /// Runs a statement whose `$1` is keys. A key may come from anywhere and be no value of the key's type: such keys
    /// are left out.
    pub(super) async fn by_keys<T>(
        &self,
        statements: &Statements,
        statement: &str,
        keys: &[String],
    ) -> CatalogueResult<Vec<T>>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let read = |keys| sqlx::query_as(AssertSqlSafe(statement)).bind(keys).fetch_all(&self.pool);
        let rows = match read(keys.to_vec()).await {
            Err(error) if is_bad_value(&error) => read(self.possible(statements, keys).await?).await,
            rows => rows,
        };
        rows.map_err(self.fail())
    }

    /// The keys that a row can have.
    async fn possible(&self, statements: &Statements, keys: &[String]) -> CatalogueResult<Vec<String>> {
        let (_, key_type) = self.columns().await?;
        if key_type != statements.key_type {
            // Rows with such keys exist, and must not count as removed.
            let (name, was) = (&self.settings.rendering.key, &statements.key_type);
            return Err(self.misfit(format!("its key `{name}` was {was} and is {key_type} now")));
        }
        let mut possible = Vec::new();
        for key in keys {
            let cast = sqlx::query(AssertSqlSafe(statements.cast.as_str())).bind(key);
            match cast.execute(&self.pool).await {
                Ok(_) => possible.push(key.clone()),
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
        for (key, row_hash, columns, sku, metadata) in rows {
            if !seen.insert(key.clone()) {
                let reason =
                    format!("source `{}` has more than one row with the key {key:?}", self.settings.name);
                documents.retain(|document: &Result<Document, RenderFault>| {
                    document.as_ref().map_or_else(|fault| &fault.key, |document| &document.key) != &key
                });
                documents.push(Err(RenderFault { key, reason }));
                continue;
            }
            let row = Row { key, columns: columns.0.get(), sku, metadata: metadata.0, row_hash };
            documents.push(self.templates.render(row));
        }
        documents
    }
}
