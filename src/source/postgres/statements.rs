//! The statements that list and read a source's rows.
//!
//! They are written once the shop's database was asked for the source's columns, so that a setting that names a missing
//! column is an error of its own and not one of the first listing.

use std::{collections::BTreeSet, sync::Arc};

use futures::TryFutureExt;
use sqlx::{AssertSqlSafe, Column, Connection, Executor, SqlSafeStr, postgres::PgColumn};

use crate::{
    catalogue::{CatalogueError, CatalogueResult, render::RowsAre},
    source::{
        check_columns,
        postgres::{PostgresSource, Settings, settings::as_row, sql::quote},
    },
};

/// The statements of a source whose columns exist.
#[derive(PartialEq)]
pub(super) struct Statements {
    pub list: String,
    /// Its parameters are arrays of the values of each column of the key.
    pub read: String,
    pub find: String,
    /// Fails when its parameters are not the values of a key.
    pub cast: String,
    /// The types of the columns of the key.
    pub key_types: Vec<String>,
    /// What a poll selects of a changed row: the key as text, and the row's hash unless there are groups of rows.
    pub polled: String,
}

impl Statements {
    fn new(settings: &Settings, columns: &BTreeSet<String>, key_types: Vec<String>, seed: i64) -> Self {
        let (relation, key) = (as_row(&settings.relation), settings.key_text());
        let picked: Vec<_> = columns.iter().map(|column| format!("row_.{}", quote(column))).collect();
        let picked = picked.join(", ");
        // Built in the server so that numbers keep their digits, and not in jsonb, which refuses some texts.
        let object = format!("(select row_to_json(picked) from (select {picked}) as picked)");
        let wanted = wanted(settings, &key_types);
        let cast = (1..).zip(&key_types).map(|(number, key_type)| format!("${number}::text::{key_type}"));
        let cast = format!("select {}", cast.collect::<Vec<_>>().join(", "));
        if settings.rendering.rows == RowsAre::Single {
            let row = format!("{key}, hashtextextended(row({picked})::text, {seed})");
            return Self {
                list: format!("select {row} from {relation} order by {key} collate \"C\""),
                read: format!("select {row}, {object} from {relation} where {wanted}"),
                find: format!("select {row} from {relation} where {wanted}"),
                cast,
                key_types,
                polled: row,
            };
        }
        // The rows are in the order in which the source has them, and the hash does not depend on it.
        let grouped = |more: &str, condition: &str| {
            format!(
                "select key, hashtextextended(string_agg(written, ',' order by written collate \"C\"), {seed}){more}
                 from (select {key} as key, row({picked})::text as written, {object} as object,
                         row_number() over () as number
                     from {relation}{condition}) as rows
                 group by key"
            )
        };
        let condition = format!(" where {wanted}");
        Self {
            list: format!("{} order by key collate \"C\"", grouped("", "")),
            read: grouped(", json_agg(object order by number)", &condition),
            find: grouped("", &condition),
            cast,
            key_types,
            polled: format!("{key}, 0::bigint"),
        }
    }
}

/// The condition that a row's key is among the parameters. Its values are compared in their own types, so that the shop's
/// index on them is used.
fn wanted(settings: &Settings, key_types: &[String]) -> String {
    let columns = settings.key_columns();
    let arrays = (1..).zip(key_types).map(|(number, key_type)| format!("${number}::text[]::{key_type}[]"));
    let arrays: Vec<_> = arrays.collect();
    match (&*columns, &*arrays) {
        ([column], [array]) => format!("{column} = any({array})"),
        _ => format!("({}) in (select * from unnest({}))", columns.join(", "), arrays.join(", ")),
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
        let (present, key_types) = self.columns().await?;
        let read = self.templates.columns();
        check_columns(&self.settings.rendering, &read, &present).map_err(|reason| self.misfit(reason))?;
        Ok(Statements::new(&self.settings, &read.of(&present), key_types, self.seed))
    }

    /// Asks the server for the relation's columns and the types of those of the key, without reading a row.
    pub(super) async fn columns(&self) -> CatalogueResult<(Vec<String>, Vec<String>)> {
        let columns = self.describe("*").await.map_err(self.fail())?;
        let mut key_types = Vec::new();
        for name in self.settings.rendering.key.columns() {
            let key = columns.iter().find(|column| column.name() == name);
            let oid = key.and_then(|column| column.type_info().oid());
            // -1 stands for any length: without one, `char` would be `char(1)`.
            let key_type = sqlx::query_scalar("select format_type($1, -1)").bind(oid).fetch_one(&self.pool);
            let key_type: Option<String> = key_type.map_err(self.fail()).await?;
            key_types.push(key_type.unwrap_or_else(|| "text".to_owned()));
        }
        Ok((columns.iter().map(|column| column.name().to_owned()).collect(), key_types))
    }

    /// The columns of a selection from the relation as they are now; the connection's prepared statements may be out of
    /// date.
    pub(super) async fn describe(&self, selection: &str) -> Result<Vec<PgColumn>, sqlx::Error> {
        let statement = format!("select {selection} from {} limit 0", as_row(&self.settings.relation));
        let mut connection = self.pool.acquire().await?;
        connection.clear_cached_statements().await?;
        Ok(connection.describe(AssertSqlSafe(statement).into_sql_str()).await?.columns().to_vec())
    }
}
