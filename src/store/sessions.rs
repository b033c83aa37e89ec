//! Conversations, and the erasure of customers' data.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Result, Store, answers::ClaimedQuestion, jobs::interval};
use crate::{
    answering::object::SessionOwner,
    model::{Message, Role},
};

mod listing;

pub use listing::SessionRow;

/// A conversation.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Session {
    pub id: String,
    pub customer_id: Option<String>,
    pub owner: String,
    pub created_at: DateTime<Utc>,
    pub active_at: DateTime<Utc>,
}

impl Store {
    /// Reads a session of this client, or the first one of any client.
    pub async fn session(&self, client: Option<&str>, id: &str) -> Result<Option<Session>> {
        let session = sqlx::query_as!(
            Session,
            "select id, customer_id, owner, created_at, active_at from shopkeeper.session
             where ($1::text is null or client = $1) and id = $2 order by client limit 1",
            client,
            id,
        );
        Ok(session.fetch_optional(&self.pool.by_values()).await?)
    }

    /// Sets who answers in a session of this client, or of any; returns false if there is no such session.
    pub async fn set_owner(&self, client: Option<&str>, session: &str, owner: SessionOwner) -> Result<bool> {
        let set = sqlx::query!(
            "update shopkeeper.session set owner = $3
             where ($1::text is null or client = $1) and id = $2",
            client,
            session,
            <&str>::from(owner),
        );
        Ok(set.execute(&self.pool.by_values()).await?.rows_affected() > 0)
    }

    /// Erases a session of this client, or of every client, with its questions; returns their number.
    pub async fn erase_session(&self, client: Option<&str>, session: &str) -> Result<u64> {
        let erased =
            sqlx::query_scalar!(r#"select shopkeeper.erase_session($1, $2) as "erased!""#, client, session);
        Ok(erased.fetch_one(&self.pool).await?.unsigned_abs())
    }

    /// Erases the questions of a customer of this client, or of every client; returns their number.
    pub async fn erase_customer(&self, client: Option<&str>, customer: &str) -> Result<u64> {
        let erased =
            sqlx::query_scalar!(r#"select shopkeeper.erase_customer($1, $2) as "erased!""#, client, customer);
        Ok(erased.fetch_one(&self.pool).await?.unsigned_abs())
    }

    /// Reads the last messages of a session before a question, oldest first.
    pub async fn history(&self, taken: &ClaimedQuestion, session: &str, limit: u32) -> Result<Vec<Message>> {
        let turns = sqlx::query!(
            r#"select question, answer ->> 'text' as text from shopkeeper.answer
               where client = $1 and session_id = $2 and seq < $3 order by seq desc limit $4"#,
            taken.client,
            session,
            taken.seq,
            i64::from(limit.div_ceil(2)),
        );
        let turns = turns.fetch_all(&self.pool).await?;
        let mut history = Vec::new();
        for turn in turns.into_iter().rev() {
            history.push(Message { role: Role::User, content: turn.question });
            history.extend(turn.text.map(|content| Message { role: Role::Assistant, content }));
        }
        history.drain(..history.len().saturating_sub(limit as usize));
        Ok(history)
    }

    /// Deletes one batch of sessions without questions that have been inactive for this long; returns their number.
    pub async fn prune_sessions(&self, older_than: Duration) -> Result<u64> {
        let pruned = sqlx::query!(
            "delete from shopkeeper.session where (client, id) in (
                 select session.client, session.id from shopkeeper.session as session
                 where active_at < now() - $1::interval and not exists (
                     select from shopkeeper.answer as answer
                     where answer.client = session.client and answer.session_id = session.id
                 )
                 limit 1000
             ) and active_at < now() - $1::interval",
            interval(older_than),
        );
        Ok(pruned.execute(&self.pool).await?.rows_affected())
    }
}
