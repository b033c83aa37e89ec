//! Describes the tables of a shop that nobody has described.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    address::DatabaseUrl,
    catalogue::{
        CatalogueResult,
        discover::{Column, ColumnKind, Reference, Table, is_candidate},
        values,
    },
    source::postgres::{connection::failure, sql::table as quoted},
};

/// Rows that are looked at.
const SAMPLE: u32 = 50;

/// The columns of all tables and views that this role may read, with their keys and references. A name has its schema
/// unless that is the search path's.
const TABLES: &str = "select case when pg_table_is_visible(c.oid) then relname::text else nspname || '.' || relname end,
        array(select attname::text from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped order by attnum),
        array(select format_type(atttypid, -1) from pg_attribute
            where attrelid = c.oid and attnum > 0 and not attisdropped order by attnum),
        array(select attname::text from pg_index cross join unnest(indkey::int2[]) with ordinality as part (number, place)
            join pg_attribute on attrelid = indrelid and attnum = part.number
            where indrelid = c.oid and indisprimary order by place)
    from pg_class as c join pg_namespace as n on n.oid = relnamespace
    where relkind in ('r', 'p', 'v', 'm') and not relispartition and has_table_privilege(c.oid, 'select')
        and nspname not in ('pg_catalog', 'information_schema', 'shopkeeper', 'shopkeeper_change') order by 1";

const REFERENCES: &str = "select a.attname::text, case when pg_table_is_visible(o.oid) then o.relname::text
            else n.nspname || '.' || o.relname end, t.attname::text
    from pg_constraint join pg_attribute as a on a.attrelid = conrelid and a.attnum = conkey[1]
    join pg_class as o on o.oid = confrelid join pg_namespace as n on n.oid = o.relnamespace
    join pg_attribute as t on t.attrelid = confrelid and t.attnum = confkey[1]
    where contype = 'f' and cardinality(conkey) = 1 and conrelid = to_regclass($1) order by 1";

/// A table's name, columns, their types, and the columns of its key.
type Described = (String, Vec<String>, Vec<String>, Vec<String>);

/// Describes all tables and views, with some rows of those that may be sources.
pub async fn tables(url: &DatabaseUrl) -> CatalogueResult<Vec<Table>> {
    let fail = |error: sqlx::Error| failure("shop", &error);
    let mut connection = PgConnection::connect(url.expose()).await.map_err(fail)?;
    let described: Vec<Described> = sqlx::query_as(TABLES).fetch_all(&mut connection).await.map_err(fail)?;
    let mut tables = Vec::new();
    for (name, columns, types, key) in described {
        let columns = columns.into_iter().zip(types);
        let columns =
            columns.map(|(name, type_name)| Column { name, kind: ColumnKind::of_type(&type_name) }).collect();
        let (mut references, mut sample) = (Vec::new(), Vec::new());
        if is_candidate(&name) {
            let found: Vec<(String, String, String)> = sqlx::query_as(REFERENCES)
                .bind(quoted(&name))
                .fetch_all(&mut connection)
                .await
                .map_err(fail)?;
            references.extend(found.into_iter().map(|(column, table, target)| Reference {
                column,
                table,
                target,
            }));
            let rows = format!(
                "select row_to_json(t)::text from (select * from {} limit {SAMPLE}) as t",
                quoted(&name)
            );
            let rows: Vec<String> =
                sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut connection).await.map_err(fail)?;
            sample.extend(rows.iter().filter_map(|row| values::columns(row).ok()));
        }
        tables.push(Table { name, columns, key, references, sample });
    }
    connection.close().await.map_err(fail)?;
    Ok(tables)
}
