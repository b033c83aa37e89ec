//! Kinds of jobs: what their death entails, and whether they are paused.

use sqlx::PgConnection;

use super::{Result, Store};

/// What fails with a job that dies or is cancelled. The words name functions of our schema, given rows of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(prefix = "give_up_", serialize_all = "snake_case")]
pub enum OnDead {
    /// The answer, which is escalated to a human.
    Answers,
    /// The delivery.
    Deliveries,
    /// The document, in the index.
    Documents,
    /// The bulk action.
    BulkActions,
}

impl Store {
    /// Records what happens when jobs of these kinds die or are cancelled.
    pub async fn declare_kinds(&self, kinds: &[(&str, Option<OnDead>)]) -> Result<()> {
        let (names, functions): (Vec<_>, Vec<_>) =
            kinds.iter().map(|(kind, on_dead)| ((*kind).to_owned(), on_dead.map(<&str>::from))).unzip();
        let declared = sqlx::query!(
            "insert into shopkeeper.queue_kind (kind, on_dead)
             select kind, on_dead from unnest($1::text[], $2::text[]) as declared (kind, on_dead) order by kind
             on conflict (kind) do update set on_dead = excluded.on_dead
             where queue_kind.on_dead is distinct from excluded.on_dead",
            &names,
            &functions as &[Option<&str>],
        );
        Ok(declared.execute(&self.pool).await.map(drop)?)
    }

    /// Stops all daemons from claiming a kind; running jobs continue.
    pub async fn pause(&self, kind: &str) -> Result<()> {
        let query = sqlx::query!(
            "insert into shopkeeper.queue_kind (kind, paused_at) values ($1, now())
             on conflict (kind) do update set paused_at = coalesce(queue_kind.paused_at, excluded.paused_at)",
            kind,
        );
        Ok(query.execute(&self.pool).await.map(drop)?)
    }

    /// Lets a kind be claimed again.
    pub async fn resume(&self, kind: &str) -> Result<()> {
        let query = sqlx::query!(
            "with resumed as (update shopkeeper.queue_kind set paused_at = null where kind = $1)
             select pg_notify('shopkeeper_job', $1)",
            kind,
        );
        Ok(query.fetch_one(&self.pool).await.map(drop)?)
    }

    /// Returns those of these kinds that are paused.
    pub async fn paused_kinds(&self, kinds: &[&str]) -> Result<Vec<String>> {
        let paused = sqlx::query_scalar!(
            "select kind from shopkeeper.queue_kind where paused_at is not null and kind = any ($1) order by kind",
            kinds as &[&str],
        );
        Ok(paused.fetch_all(&self.pool).await?)
    }
}

/// Locks a kind's row until the transaction ends, after creating it if necessary.
pub(super) async fn lock_kind(connection: &mut PgConnection, kind: &str) -> Result<()> {
    loop {
        let locked = sqlx::query!("select kind from shopkeeper.queue_kind where kind = $1 for update", kind)
            .fetch_optional(&mut *connection)
            .await?;
        if locked.is_some() {
            return Ok(());
        }
        sqlx::query!("insert into shopkeeper.queue_kind (kind) values ($1) on conflict do nothing", kind)
            .execute(&mut *connection)
            .await?;
    }
}
