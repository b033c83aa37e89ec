//! The tables that get triggers, and the columns whose changes matter.

use sqlx::AssertSqlSafe;

use crate::{
    catalogue::CatalogueResult,
    source::postgres::{PostgresSource, RelatedTable, Relation, sql::table},
};

impl PostgresSource {
    /// The tables that get triggers.
    pub(super) async fn triggered(&self) -> CatalogueResult<Vec<RelatedTable>> {
        let mut tables = self.settings.related.clone();
        if let Relation::Table { name, condition } = &self.settings.relation {
            let settings = &self.settings;
            let mut columns = self.templates.columns();
            columns.extend([&settings.rendering.key].into_iter().chain(&settings.rendering.sku).cloned());
            if !settings.live_metadata {
                columns.extend(settings.rendering.metadata.iter().cloned());
            }
            if let Some(condition) = condition {
                columns.extend(self.columns_of(name, condition).await?);
            }
            let keys = format!("select {}", settings.key());
            let columns = columns.into_iter().collect();
            tables.insert(0, RelatedTable { table: name.clone(), columns, keys });
        }
        if tables.is_empty() {
            let reason = "it reads a query: name the tables that it reads in [[source.related]], each with the keys that a \
                          changed row concerns";
            return Err(self.misfit(reason.to_owned()));
        }
        Ok(tables)
    }

    /// The columns that a condition reads, by the server's dependencies of a temporary view.
    async fn columns_of(&self, name: &str, condition: &str) -> CatalogueResult<Vec<String>> {
        let mut borrowed = self.borrow().await?;
        let mut transaction = borrowed.begin_with("begin").await.map_err(self.fail())?;
        let view = format!(
            "create temporary view shopkeeper_condition as select 1 as one from {} where ({condition}\n)",
            table(name)
        );
        sqlx::query(AssertSqlSafe(view)).execute(&mut *transaction).await.map_err(self.fail())?;
        let columns = "select distinct attname::text from pg_depend
             join pg_rewrite on pg_rewrite.oid = pg_depend.objid
             join pg_attribute on attrelid = refobjid and attnum = refobjsubid
             where ev_class = 'pg_temp.shopkeeper_condition'::regclass and refobjid = to_regclass($1) and attnum > 0";
        let columns = sqlx::query_scalar(columns).bind(table(name)).fetch_all(&mut *transaction).await;
        transaction.rollback().await.map_err(self.fail())?;
        columns.map_err(self.fail())
    }
}
