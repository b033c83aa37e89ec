//! Events of an answer while it is being generated.

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ClaimedQuestion, RUN, Result, Store, without_nul};
use crate::words::words;

/// An event of an answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Event {
    /// Increases from event to event and from run to run.
    pub n: i64,
    pub kind: EventKind,
    pub data: Value,
}

words! {
    /// The kinds of events.
    pub enum EventKind {
        /// The passages that the answer is based on.
        Sources,
        /// A piece of the text.
        Delta,
        /// Discards the pieces so far.
        Reset,
    }
}

/// How far an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The number before the first event of the present run; zero before the first run.
    pub run: i64,
    /// Whether no more events will follow.
    pub is_settled: bool,
}

impl Store {
    /// Adds events of a run, if the answer still belongs to it, and notifies watchers.
    pub async fn add_events(&self, taken: &ClaimedQuestion, events: &[Event]) -> Result<()> {
        let query = sqlx::query!(
            "with wanted as (
                 -- As an expression the state is no reason to walk through the index of what is open.
                 select id from shopkeeper.answer where id = $1 and status || '' = 'in_progress' and fence = $2
                 for key share
             ), added as (
                 insert into shopkeeper.answer_event (answer_id, n, kind, data)
                 select wanted.id, event.n, event.kind, event.data
                 from wanted, jsonb_to_recordset($3) as event (n bigint, kind text, data jsonb)
             )
             select pg_notify('shopkeeper_answer_event', id::text) from wanted",
            taken.id,
            taken.lease.fence,
            without_nul(json!(events)),
        );
        query.fetch_optional(&self.pool).await?;
        Ok(())
    }

    /// Returns how far an answer is, or `None` if there is no such answer.
    pub async fn progress(&self, id: Uuid) -> Result<Option<Progress>> {
        let row = sqlx::query!(
            r#"select fence, status not in ('queued', 'in_progress') as "is_settled!"
               from shopkeeper.answer where id = $1"#,
            id
        );
        let row = row.fetch_optional(&self.pool).await?;
        Ok(row.map(|row| Progress { run: row.fence * RUN, is_settled: row.is_settled }))
    }

    /// Reads the events after a number, in order.
    pub async fn events(&self, id: Uuid, after: i64, limit: u32) -> Result<Vec<Event>> {
        let events = sqlx::query_as!(
            Event,
            r#"select n, kind as "kind: EventKind", data
               from shopkeeper.answer_event where answer_id = $1 and n > $2 order by n limit $3"#,
            id,
            after,
            i64::from(limit),
        );
        Ok(events.fetch_all(&self.pool).await?)
    }

    /// Returns the text that a run has generated since its last reset.
    pub async fn said(&self, id: Uuid, run: i64) -> Result<String> {
        let said = sqlx::query_scalar!(
            r#"select coalesce(string_agg(data ->> 'delta', '' order by n), '') as "said!"
               from shopkeeper.answer_event
               where answer_id = $1 and kind = 'delta' and n > coalesce(
                   (select max(n) from shopkeeper.answer_event where answer_id = $1 and kind = 'reset' and n > $2), $2
               )"#,
            id,
            run,
        );
        Ok(said.fetch_one(&self.pool).await?)
    }

    /// Deletes one batch of events of answers that were settled over an hour ago; returns their number.
    pub async fn prune_events(&self) -> Result<u64> {
        let pruned = sqlx::query!(
            "delete from shopkeeper.answer_event where (answer_id, n) in (
                 select event.answer_id, event.n from shopkeeper.answer_event as event
                 join shopkeeper.answer as answer on answer.id = event.answer_id
                 where answer.completed_at < now() - interval '1 hour' limit 10000
             )"
        );
        Ok(pruned.execute(&self.pool).await?.rows_affected())
    }
}
