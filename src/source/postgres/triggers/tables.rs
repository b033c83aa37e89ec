//! The tables that get triggers, and the columns whose changes matter.

use sqlx::AssertSqlSafe;

use crate::{
    catalogue::CatalogueResult,
    source::{
        Relation,
        postgres::{
            PostgresSource, RelatedTable,
            sql::{quote, table},
        },
    },
};

/// A table that gets triggers.
pub(super) struct TriggeredTable {
    pub related: RelatedTable,
    /// What is hashed of a row, the key among it, to find out that an update changes nothing of it; may be unknown.
    pub hashed: Option<Vec<String>>,
    /// The columns of the source's key.
    pub key_columns: usize,
}

/// The columns of a table whose values are equal only if they are written equally, on servers that can hash rows.
const EXACT: &str = "select attname::text from pg_attribute
    where attrelid = to_regclass($1) and attnum > 0 and not attisdropped
        and current_setting('server_version_num')::integer >= 140000
        and atttypid = any (
            '{bool, int2, int4, int8, oid, date, time, timestamp, timestamptz, uuid, text, varchar, bpchar, bytea}'::regtype[]
        )
        and not exists (select from pg_collation where oid = attcollation and not collisdeterministic)";

impl PostgresSource {
    /// The tables that get triggers.
    pub(super) async fn triggered(&self) -> CatalogueResult<Vec<TriggeredTable>> {
        let key_columns = self.settings.rendering.key.columns().len();
        let unhashed =
            |related: &RelatedTable| TriggeredTable { related: related.clone(), hashed: None, key_columns };
        let mut tables: Vec<_> = self.settings.related.iter().map(unhashed).collect();
        if let Relation::Table { name, condition } = &self.settings.relation {
            let settings = &self.settings;
            let read = self.templates.columns();
            let mut columns = if read.all { read.of(&self.columns().await?.0) } else { read.in_templates };
            let rendering = &settings.rendering;
            let named = rendering.key.columns().iter().chain(&rendering.sku).chain(&rendering.group);
            columns.extend(named.cloned());
            if !settings.live_metadata {
                columns.extend(settings.rendering.metadata.iter().cloned());
            }
            if let Some(condition) = condition {
                columns.extend(self.columns_of(name, condition).await?);
            }
            let keys = format!("select {}", settings.key_columns().join(", "));
            let columns: Vec<_> = columns.into_iter().collect();
            let hashed = self.hashed(name, &columns).await?;
            let related = RelatedTable { table: name.clone(), columns, keys };
            tables.insert(0, TriggeredTable { related, hashed, key_columns });
        }
        if tables.is_empty() {
            let reason = "it reads a query: name the tables that it reads in [[source.related]], each with the keys that a \
                          changed row concerns";
            return Err(self.misfit(reason.to_owned()));
        }
        Ok(tables)
    }

    async fn hashed(&self, name: &str, columns: &[String]) -> CatalogueResult<Option<Vec<String>>> {
        let exact = sqlx::query_scalar(EXACT).bind(table(name)).fetch_all(&self.pool).await;
        let exact: Vec<String> = exact.map_err(self.fail())?;
        let hashed = columns.iter().map(|name| {
            let column = format!("row_.{}", quote(name));
            if exact.contains(name) {
                column
            } else {
                // A text by the type's output function, as a cast may be the table owner's.
                format!("case when {column} is null then null else pg_catalog.concat({column}) end")
            }
        });
        Ok((!exact.is_empty()).then(|| hashed.collect()))
    }

    /// The partitions of a table and the tables that inherit from it, as far as they can have triggers.
    pub(super) async fn descendants(&self, name: &str) -> CatalogueResult<Vec<String>> {
        let descendants = "with recursive tree (relid) as (
                 select to_regclass($1)::oid
                 union select inhrelid from pg_inherits join tree on inhparent = relid
             )
             select relid::regclass::text from tree join pg_class on pg_class.oid = relid
             where relid <> to_regclass($1) and relkind in ('r', 'p') and relpersistence <> 't' order by 1";
        sqlx::query_scalar(descendants).bind(table(name)).fetch_all(&self.pool).await.map_err(self.fail())
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
