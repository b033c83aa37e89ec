//! Whether a source's triggers are installed.

use crate::{
    catalogue::CatalogueResult,
    source::postgres::{
        PostgresSource,
        sql::table,
        triggers::definition::{EVENTS, create_triggers},
    },
};

/// The triggers of one table.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TriggerStatus {
    pub source: String,
    pub table: String,
    pub state: TriggerState,
    /// Partitions, and tables that inherit from it, without triggers: what is written straight to them is not noted.
    pub uncovered: Vec<String>,
    /// Notes of the source that were not read yet.
    pub waiting: i64,
}

impl TriggerStatus {
    /// Says which tables of an installed one have no triggers, if there are any.
    pub fn uncovered(&self) -> Option<String> {
        let is_told = self.state == TriggerState::Installed && !self.uncovered.is_empty();
        is_told.then(|| {
            let (tables, table) = (self.uncovered.join(", "), &self.table);
            format!("{tables} of {table} without triggers: what is written straight to them is found by polls and listings")
        })
    }
}

/// The states of a table's triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TriggerState {
    /// They are as the settings say.
    Installed,
    /// The settings have changed since they were installed.
    Outdated,
    /// The table has none.
    Missing,
}

/// A table, its partitions and the tables that inherit from it, each with the number of its triggers that are enabled, and
/// the comment on one of them.
const TRIGGERS: &str = "with recursive tree (relid) as (
        select to_regclass($1)::oid
        union select inhrelid from pg_inherits join tree on inhparent = relid
    )
    select relid::regclass::text, relid = to_regclass($1), count(pg_trigger.oid) filter (where tgenabled in ('A', 'O')),
        max(obj_description(pg_trigger.oid, 'pg_trigger'))
    from tree join pg_class on pg_class.oid = relid
    left join pg_trigger on tgrelid = relid and tgname = any ($2)
    where relpersistence <> 't'
    group by relid";

impl PostgresSource {
    /// Whether each table has its triggers.
    pub async fn trigger_status(&self) -> CatalogueResult<Vec<TriggerStatus>> {
        let status = async {
            let waiting = self.count_notes().await.map_err(self.fail())?;
            let mut status = Vec::new();
            for (number, triggered) in self.triggered().await?.into_iter().enumerate() {
                let related = &triggered.related;
                let name = self.trigger_name(number);
                let names = EVENTS.map(|(event, _)| format!("shopkeeper_{name}_{event}"));
                let found = sqlx::query_as(TRIGGERS).bind(table(&related.table)).bind(names.as_slice());
                let found: Vec<(String, bool, i64, Option<String>)> =
                    found.fetch_all(&self.pool).await.map_err(self.fail())?;
                let sql = create_triggers(&self.settings.name, &name, &triggered, &[]);
                let is_complete = |count: i64| usize::try_from(count) == Ok(EVENTS.len());
                let state = match found.iter().find(|(_, is_root, ..)| *is_root) {
                    Some((_, _, count, Some(comment))) if is_complete(*count) && sql.contains(comment) => {
                        TriggerState::Installed
                    }
                    Some((_, _, count, _)) if *count > 0 => TriggerState::Outdated,
                    _ => TriggerState::Missing,
                };
                let uncovered =
                    found.iter().filter(|(_, is_root, count, _)| !is_root && !is_complete(*count));
                let uncovered = uncovered.map(|(relation, ..)| relation.clone()).collect();
                let source = self.settings.name.clone();
                status.push(TriggerStatus {
                    source,
                    table: related.table.clone(),
                    state,
                    uncovered,
                    waiting,
                });
            }
            Ok(status)
        };
        self.in_time(status).await
    }

    async fn count_notes(&self) -> Result<i64, sqlx::Error> {
        let exists = "select to_regclass('shopkeeper_change.note') is not null";
        if !sqlx::query_scalar::<_, bool>(exists).fetch_one(&self.pool).await? {
            return Ok(0);
        }
        let count = "select count(*) from shopkeeper_change.note where source = $1";
        sqlx::query_scalar(count).bind(&self.settings.name).fetch_one(&self.pool).await
    }
}
