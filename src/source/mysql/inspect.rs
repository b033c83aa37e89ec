//! Describes the tables of a shop that nobody has described.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Connection, MySqlConnection, Row as _};

use crate::{
    address::MySqlUrl,
    catalogue::{
        CatalogueResult,
        discover::{Column, ColumnKind as Holds, Reference, Table, is_candidate},
        values::{self, Columns},
    },
    source::mysql::{
        column::ColumnKind,
        connection::{connect, failure},
        statements::quote,
    },
};

/// Rows that are looked at.
const SAMPLE: u32 = 50;

const COLUMNS: &str = "select convert(table_name using utf8mb4), convert(column_name using utf8mb4),
        convert(data_type using utf8mb4), convert(column_type using utf8mb4), convert(character_set_name using utf8mb4),
        column_key = 'PRI'
    from information_schema.columns where table_schema = database() order by table_name, ordinal_position";
const REFERENCES: &str = "select convert(table_name using utf8mb4), convert(column_name using utf8mb4),
        convert(referenced_table_name using utf8mb4), convert(referenced_column_name using utf8mb4)
    from information_schema.key_column_usage
    where table_schema = database() and referenced_table_schema = database() order by 1, 2";

/// A column, and how its values are read.
type Described = (String, String, String, String, Option<String>, i64);

/// Describes all tables and views, with some rows of those that may be sources.
pub async fn tables(url: &MySqlUrl) -> CatalogueResult<Vec<Table>> {
    let fail = |error: sqlx::Error| failure("shop", &error);
    let mut connection = connect(url).await.map_err(fail)?;
    let described: Vec<Described> = sqlx::query_as(COLUMNS).fetch_all(&mut connection).await.map_err(fail)?;
    let references: Vec<(String, String, String, String)> =
        sqlx::query_as(REFERENCES).fetch_all(&mut connection).await.map_err(fail)?;
    let (mut tables, mut kinds) =
        (BTreeMap::<String, Table>::new(), BTreeMap::<String, Vec<ColumnKind>>::new());
    for (name, column, data_type, column_type, charset, is_key) in described {
        let table =
            tables.entry(name.clone()).or_insert_with(|| Table { name: name.clone(), ..Table::default() });
        if is_key == 1 {
            table.key.push(column.clone());
        }
        let holds = if column_type == "tinyint(1)" { Holds::Boolean } else { Holds::of_type(&data_type) };
        table.columns.push(Column { name: column, kind: holds });
        kinds.entry(name).or_default().push(ColumnKind::new(&data_type.to_uppercase(), charset.as_deref()));
    }
    for (table, column, other, target) in references {
        if let Some(table) = tables.get_mut(&table) {
            table.references.push(Reference { column, table: other, target });
        }
    }
    for (name, table) in tables.iter_mut().filter(|(name, _)| is_candidate(name)) {
        let kinds = &kinds[name];
        table.sample = sample(&mut connection, table, kinds).await.map_err(fail)?;
    }
    connection.close().await.map_err(fail)?;
    Ok(tables.into_values().collect())
}

async fn sample(
    connection: &mut MySqlConnection,
    table: &Table,
    kinds: &[ColumnKind],
) -> Result<Vec<Columns>, sqlx::Error> {
    let texts: Vec<_> =
        table.columns.iter().zip(kinds).map(|(column, kind)| kind.as_text(&quote(&column.name))).collect();
    let statement = format!("select {} from {} limit {SAMPLE}", texts.join(", "), quote(&table.name));
    let rows = sqlx::query(AssertSqlSafe(statement)).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let columns = table.columns.iter().zip(kinds).enumerate().map(|(place, (column, kind))| {
                let text: Option<String> = row.try_get(place)?;
                Ok((column.name.clone(), text.map_or_else(values::null, |text| kind.json(&text))))
            });
            columns.collect()
        })
        .collect()
}
