//! Triggers in the shop's database that note which documents may have changed.
//!
//! They append to `shopkeeper_change.note` and do nothing else: no queue, no unique key, no network, so that a
//! shop's transaction neither waits nor fails because of them. They fire once for a statement, catch whatever fails, and do
//! not depend on a column, so that the shop can alter its tables. An update notes a document only if a column changed that
//! decides its text: a change of price alone costs no more than the comparison.
//!
//! The functions are `security definer`, because a shop's own roles cannot write notes. So that no other role gains
//! the installer's rights, each function
//! - is in a schema where only its owner may create objects, and no other role may execute it;
//! - does nothing for any table but its own;
//! - resolves names in the installer's schemas, with temporary tables last: those belong to the writing session;
//! - casts no value of the table, because the table's owner may have defined the cast. A type's output function is
//!   safe, because only a superuser can define one.

use sqlx::AssertSqlSafe;

use crate::{
    catalogue::CatalogueResult,
    source::postgres::{PostgresSource, sql::literal},
};

mod definition;
mod function;
mod notes_table;
mod status;
mod tables;

use definition::{create_triggers, drop_triggers};
pub use status::{TriggerState, TriggerStatus};

impl PostgresSource {
    /// The statements that install the source's triggers.
    pub async fn trigger_sql(&self) -> CatalogueResult<String> {
        self.in_time(self.create_statements()).await
    }

    async fn create_statements(&self) -> CatalogueResult<String> {
        let mut sql = notes_table::CREATE_TABLE.to_owned();
        for (number, triggered) in self.triggered().await?.iter().enumerate() {
            let name = self.trigger_name(number);
            let descendants = self.descendants(&triggered.related.table).await?;
            sql.push_str(&drop_triggers(&name));
            sql.push_str(&create_triggers(&self.settings.name, &name, triggered, &descendants));
        }
        Ok(sql)
    }

    /// Installs the triggers, all or none.
    pub async fn install_triggers(&self) -> CatalogueResult<()> {
        let install = async {
            self.statements().await?;
            self.run(&self.create_statements().await?).await
        };
        self.in_time(install).await
    }

    /// Removes the triggers and their notes.
    pub async fn remove_triggers(&self) -> CatalogueResult<()> {
        let remove = async {
            let mut sql = String::new();
            for number in 0..self.triggered().await?.len() {
                sql.push_str(&drop_triggers(&self.trigger_name(number)));
            }
            let source = literal(&self.settings.name);
            sql.extend([format!(
                "do $$ begin if to_regclass('shopkeeper_change.note') is not null then
                     delete from shopkeeper_change.note where source = {source};
                 end if; end $$;\n"
            )]);
            self.run(&sql).await
        };
        self.in_time(remove).await
    }

    async fn run(&self, sql: &str) -> CatalogueResult<()> {
        let mut borrowed = self.borrow().await?;
        let mut transaction = borrowed.begin_with("begin").await.map_err(self.fail())?;
        // Writes of the shop wait behind a lock that waits.
        sqlx::raw_sql("set local lock_timeout = '1s'")
            .execute(&mut *transaction)
            .await
            .map_err(self.fail())?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await.map_err(self.fail())?;
        transaction.commit().await.map_err(self.fail())
    }

    /// What tells the triggers of one table apart from those of the source's other tables.
    fn trigger_name(&self, number: usize) -> String {
        format!("{}_{number}", self.settings.name)
    }
}
