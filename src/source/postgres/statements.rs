//! The statements that list and read a source's rows.
//!
//! They are written once the shop's database was asked for the source's columns, so that a setting that names a missing
//! column is an error of its own and not one of the first listing.

use std::{collections::BTreeSet, sync::Arc};

use futures::TryFutureExt;
use sqlx::{AssertSqlSafe, Column, Connection, Executor, SqlSafeStr, postgres::PgColumn};

use crate::{
    catalogue::{CatalogueError, CatalogueResult, render::Rendering},
    source::postgres::{
        PostgresSource, Settings,
        sql::{literal, quote},
    },
};

/// The statements of a source whose columns exist.
#[derive(PartialEq)]
pub(super) struct Statements {
    pub list: String,
    pub read: String,
    pub find: String,
    /// Fails when `$1` is not a key.
    pub cast: String,
    pub key_type: String,
    /// What is listed of a row: the key as text, and the row's hash.
    pub row: String,
}

impl Statements {
    fn new(settings: &Settings, columns: &BTreeSet<String>, key_type: String, seed: i64) -> Self {
        let (relation, key) = (settings.relation.as_row(), settings.key());
        let Rendering { metadata, sku, .. } = &settings.rendering;
        let hashed: BTreeSet<_> = columns.iter().chain(metadata).chain(sku).collect();
        let hashed: Vec<_> = hashed.into_iter().map(|column| format!("row_.{}", quote(column))).collect();
        let row = format!("{key}::text, hashtextextended(row({})::text, {seed})", hashed.join(", "));
        let sku = sku.as_ref().map_or("null".to_owned(), |sku| format!("row_.{}", quote(sku)));
        // Keys are compared in their own type, so that the shop's index on them is used.
        let some = format!("from {relation} where {key} = any($1::text[]::{key_type}[])");
        Self {
            list: format!("select {row} from {relation} order by {key}::text collate \"C\""),
            read: format!("select {row}, {}, {sku}::text, {} {some}", object(columns), object(metadata)),
            find: format!("select {row} {some}"),
            cast: format!("select $1::text::{key_type}"),
            key_type,
            row,
        }
    }
}

impl PostgresSource {
    /// The statements; the shop's database is asked for the columns when they are first needed.
    pub(super) async fn statements(&self) -> CatalogueResult<Arc<Statements>> {
        let mut known = self.statements.lock().await;
        if let Some(statements) = &*known {
            return Ok(statements.clone());
        }
        Ok(known.insert(Arc::new(self.write_statements().await?)).clone())
    }

    /// Does work with the statements; if that fails because the shop has altered its tables, again with new statements.
    pub(super) async fn with_statements<T, F: Future<Output = CatalogueResult<T>>>(
        &self,
        work: impl Fn(Arc<Statements>) -> F,
    ) -> CatalogueResult<T> {
        let statements = self.in_time(self.statements()).await?;
        let failed = match work(statements.clone()).await {
            Err(error @ CatalogueError::Misfit { .. }) => error,
            done => return done,
        };
        let new = self.in_time(self.write_statements()).await?;
        if new == *statements {
            return Err(failed);
        }
        let new = Arc::new(new);
        *self.statements.lock().await = Some(new.clone());
        work(new).await
    }

    async fn write_statements(&self) -> CatalogueResult<Statements> {
        let (present, key_type) = self.columns().await?;
        let columns = self.templates.columns();
        check_columns(&self.settings, &columns, &present).map_err(|reason| self.misfit(reason))?;
        Ok(Statements::new(&self.settings, &columns, key_type, self.seed))
    }

    /// Asks the server for the relation's columns and the key's type, without reading a row.
    pub(super) async fn columns(&self) -> CatalogueResult<(Vec<String>, String)> {
        let columns = self.describe("*").await.map_err(self.fail())?;
        let key = columns.iter().find(|column| column.name() == self.settings.rendering.key);
        let oid = key.and_then(|column| column.type_info().oid());
        // -1 stands for any length: without one, `char` would be `char(1)`.
        let key_type = sqlx::query_scalar("select format_type($1, -1)").bind(oid).fetch_one(&self.pool);
        let key_type: Option<String> = key_type.map_err(self.fail()).await?;
        let names = columns.iter().map(|column| column.name().to_owned()).collect();
        Ok((names, key_type.unwrap_or_else(|| "text".to_owned())))
    }

    /// The columns of a selection from the relation as they are now; the connection's prepared statements may be out of
    /// date.
    pub(super) async fn describe(&self, selection: &str) -> Result<Vec<PgColumn>, sqlx::Error> {
        let statement = format!("select {selection} from {} limit 0", self.settings.relation.as_row());
        let mut connection = self.pool.acquire().await?;
        connection.clear_cached_statements().await?;
        Ok(connection.describe(AssertSqlSafe(statement).into_sql_str()).await?.columns().to_vec())
    }
}

/// Fails with the settings that name a column that the source does not have.
fn check_columns(
    settings: &Settings,
    in_templates: &BTreeSet<String>,
    present: &[String],
) -> Result<(), String> {
    let Rendering { key, sku, metadata, .. } = &settings.rendering;
    let named = [("key", key)]
        .into_iter()
        .chain(sku.iter().map(|column| ("sku", column)))
        .chain(metadata.iter().map(|column| ("metadata", column)))
        .chain(in_templates.iter().map(|column| ("a template", column)));
    let faults: Vec<_> = named
        .filter(|(_, column)| !present.contains(column))
        .map(|(setting, column)| format!("{setting} names the column `{column}`"))
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(format!("{}, but the source's columns are: {}", faults.join("; "), present.join(", ")))
}

/// A JSON object of columns, built in the server so that numbers keep their digits. Built in slices, because a function
/// takes at most 100 arguments.
fn object<'a>(columns: impl IntoIterator<Item = &'a String>) -> String {
    let columns: Vec<_> = columns.into_iter().collect();
    let slices = columns.chunks(50).map(|slice| {
        let pairs = slice.iter().map(|column| format!("{}, row_.{}", literal(column), quote(column)));
        format!("jsonb_build_object({})", pairs.collect::<Vec<_>>().join(", "))
    });
    let objects: Vec<_> = slices.collect();
    if objects.is_empty() { "'{}'::jsonb".to_owned() } else { objects.join(" || ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_columns_are_built_in_slices() {
        let columns: Vec<_> = (0..120).map(|n| format!("c{n}")).collect();
        assert_eq!(object(&columns).matches("jsonb_build_object").count(), 3);
        assert_eq!(object([]), "'{}'::jsonb");
        assert_eq!(object(&["it's".to_owned()]), r#"jsonb_build_object('it''s', row_."it's")"#);
    }
}
