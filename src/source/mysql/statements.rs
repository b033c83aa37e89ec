//! The statements that list and read a source's rows, written once the shop's database was asked for the source's columns.

use std::{collections::BTreeMap, sync::Arc};

use sqlx::{AssertSqlSafe, Column, Executor, Row as _, SqlSafeStr, TypeInfo, mysql::MySqlRow};

use crate::{
    catalogue::{CatalogueResult, Key},
    source::{
        Relation, check_columns, filter,
        mysql::{
            MySqlSource, Settings,
            column::{ColumnKind, may_be_bytes},
            object,
        },
    },
};

/// Stands in statements for the condition that a row's key is among some.
pub(super) const WANTED: &str = "/* wanted */";

/// The statements of a source whose columns exist.
#[derive(Debug, PartialEq)]
pub(super) struct Statements {
    pub list: String,
    pub read: String,
    pub find: String,
    /// Selects keys in any order.
    pub some: String,
    /// What a poll selects of a changed row.
    pub row: String,
    /// The columns that are read, in the order in which they are selected.
    columns: Vec<(String, ColumnKind)>,
    /// The columns of the key.
    key: Vec<(String, ColumnKind)>,
    /// The type of `updated_at`.
    pub updated_at: Option<String>,
}

/// Quotes an identifier.
pub(super) fn quote(identifier: &str) -> String {
    format!("`{}`", identifier.replace('`', "``"))
}

/// The relation as an item of a `from` clause: `… as row_`.
pub(super) fn as_row(relation: &Relation) -> String {
    match relation {
        Relation::Table { name, condition } => {
            let name: Vec<_> = name.split('.').map(|part| quote(part.trim_matches('`'))).collect();
            format!("(select * from {}{}) as row_", name.join("."), filter(condition.as_deref()))
        }
        Relation::Query(query) => format!("({query}\n) as row_"),
    }
}

fn text((name, kind): &(String, ColumnKind)) -> String {
    kind.as_text(&format!("row_.{}", quote(name)))
}

impl Statements {
    fn new(
        settings: &Settings,
        columns: Vec<(String, ColumnKind)>,
        key: Vec<(String, ColumnKind)>,
        seed: i64,
    ) -> Self {
        let relation = as_row(&settings.relation);
        let texts: Vec<_> = columns.iter().map(text).collect();
        // The lengths tell a null from every text, and where each text ends. `concat_ws` passes over nulls.
        let lengths = columns.iter().map(|(name, kind)| kind.length(&format!("row_.{}", quote(name))));
        let parts: Vec<_> =
            lengths.map(|length| format!("ifnull({length}, 'n')")).chain(texts.clone()).collect();
        let hash = format!("md5(concat_ws(',', '{seed}', {}))", parts.join(", "));
        let key_text = match &*key {
            [column] => text(column),
            columns => {
                let encoded = columns
                    .iter()
                    .map(|column| format!("replace(replace({}, '%', '%25'), '/', '%2F')", text(column)));
                format!("concat({})", encoded.collect::<Vec<_>>().join(", '/', "))
            }
        };
        let row = format!("{key_text}, {hash}");
        let some = format!("from {relation} where {WANTED}");
        Self {
            list: format!("select {row} from {relation} order by cast({key_text} as binary)"),
            read: format!("select {row}, {} {some}", texts.join(", ")),
            find: format!("select {row} {some}"),
            some: format!("select {key_text} from {relation}"),
            row,
            columns,
            key,
            updated_at: None,
        }
    }

    /// The literals of a key's values; `None` if no row can have it.
    pub(super) fn key_values(&self, key: &Key, wanted: &str) -> Option<Vec<String>> {
        let values = key.split(wanted)?;
        values.iter().zip(&self.key).map(|(value, (_, kind))| kind.literal(value)).collect()
    }

    /// The condition that a row's key is among these.
    ///
    /// They are compared in the columns' own types, so that the shop's index on them is used, unless the character set of
    /// a column may lack characters of a key.
    pub(super) fn wanted(&self, keys: &[Vec<String>], converts: bool) -> String {
        let column = |column: &(String, ColumnKind)| match column {
            (name, kind) if !converts || *kind != ColumnKind::Text => format!("row_.{}", quote(name)),
            column => text(column),
        };
        let columns: Vec<_> = self.key.iter().map(column).collect();
        let keys: Vec<_> = keys.iter().map(|values| format!("({})", values.join(", "))).collect();
        format!("({}) in ({})", columns.join(", "), keys.join(", "))
    }

    /// The columns of a row that was read, as a JSON object.
    pub(super) fn object(&self, row: &MySqlRow) -> Result<String, sqlx::Error> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for (place, (name, kind)) in (2..).zip(&self.columns) {
            let text: Option<String> = row.try_get(place)?;
            columns.push((name, text.map_or_else(crate::catalogue::values::null, |text| kind.json(&text))));
        }
        Ok(object(columns.into_iter()))
    }
}

impl MySqlSource {
    /// The statements; the shop's database is asked for the columns when they are first needed.
    pub(super) async fn statements(&self) -> CatalogueResult<Arc<Statements>> {
        let mut known = self.statements.lock().await;
        if let Some(statements) = &*known {
            return Ok(statements.clone());
        }
        Ok(known.insert(Arc::new(self.write_statements().await?)).clone())
    }

    /// The statements for the source as it is now.
    pub(super) async fn describe_again(&self) -> CatalogueResult<Arc<Statements>> {
        let mut known = self.statements.lock().await;
        Ok(known.insert(Arc::new(self.write_statements().await?)).clone())
    }

    async fn write_statements(&self) -> CatalogueResult<Statements> {
        let statement = format!("select * from {} limit 0", as_row(&self.settings.relation));
        let described =
            self.pool.describe(AssertSqlSafe(statement).into_sql_str()).await.map_err(self.fail())?;
        let present: Vec<_> = described
            .columns()
            .iter()
            .map(|column| (column.name().to_owned(), column.type_info().name().to_owned()))
            .collect();
        let names: Vec<_> = present.iter().map(|(name, _)| name.clone()).collect();
        let read = self.templates.columns();
        check_columns(&self.settings.rendering, &read, &names).map_err(|reason| self.misfit(reason))?;
        let type_of = |wanted: &str| {
            present.iter().find(|(name, _)| name == wanted).map(|(_, type_name)| type_name.as_str())
        };
        let charsets = self.charsets(&present).await?;
        let with_kind = |name: &String| {
            let charset = charsets.get(name).map(String::as_str);
            (name.clone(), ColumnKind::new(type_of(name).unwrap_or_default(), charset))
        };
        let columns = read.of(&names).iter().map(with_kind).collect();
        let key = self.settings.rendering.key.columns().iter().map(with_kind).collect();
        let updated_at = match &self.settings.updated_at {
            None => None,
            Some(column) => Some(type_of(column).map(str::to_owned).ok_or_else(|| {
                self.misfit(format!(
                    "updated_at names the column `{column}`, but the source's columns are: {}",
                    names.join(", ")
                ))
            })?),
        };
        Ok(Statements { updated_at, ..Statements::new(&self.settings, columns, key, self.seed) })
    }

    /// The character sets of columns that may hold bytes or texts.
    async fn charsets(&self, present: &[(String, String)]) -> CatalogueResult<BTreeMap<String, String>> {
        let doubtful: Vec<_> = present
            .iter()
            .filter(|(_, type_name)| may_be_bytes(type_name))
            .map(|(name, _)| name.clone())
            .collect();
        if doubtful.is_empty() {
            return Ok(BTreeMap::new());
        }
        let charsets: Vec<_> = doubtful.iter().map(|name| format!("charset(max({}))", quote(name))).collect();
        let statement = format!(
            "select {} from (select * from {} limit 1) as one",
            charsets.join(", "),
            as_row(&self.settings.relation)
        );
        let row = sqlx::query(AssertSqlSafe(statement)).fetch_one(&self.pool).await.map_err(self.fail())?;
        let charsets = doubtful.into_iter().enumerate().map(|(place, name)| Ok((name, row.try_get(place)?)));
        charsets.collect::<Result<_, sqlx::Error>>().map_err(self.fail())
    }
}
