//! Whether a source's triggers are installed.

use crate::{
    catalogue::CatalogueResult,
    source::postgres::{PostgresSource, sql::table, triggers::definition::create_triggers},
};

/// The triggers of one table.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TriggerStatus {
    pub source: String,
    pub table: String,
    pub state: TriggerState,
    /// Notes of the source that were not read yet.
    pub waiting: i64,
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

impl PostgresSource {
    /// Whether each table has its triggers.
    pub async fn trigger_status(&self) -> CatalogueResult<Vec<TriggerStatus>> {
        let status = async {
            let waiting = self.count_notes().await.map_err(self.fail())?;
            let mut status = Vec::new();
            for (number, related) in self.triggered().await?.into_iter().enumerate() {
                let name = self.trigger_name(number);
                let comment: Option<Option<String>> = sqlx::query_scalar(
                    "select obj_description(oid, 'pg_trigger') from pg_trigger
                     where tgrelid = to_regclass($1) and tgname = $2 and tgenabled <> 'D'",
                )
                .bind(table(&related.table))
                .bind(format!("shopkeeper_{name}_truncate"))
                .fetch_optional(&self.pool)
                .await
                .map_err(self.fail())?;
                let sql = create_triggers(&self.settings.name, &name, &related);
                let state = match comment {
                    None => TriggerState::Missing,
                    Some(Some(comment)) if sql.contains(&comment) => TriggerState::Installed,
                    Some(_) => TriggerState::Outdated,
                };
                let source = self.settings.name.clone();
                status.push(TriggerStatus { source, table: related.table, state, waiting });
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
