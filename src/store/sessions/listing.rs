//! Sessions as operators see them.

use chrono::{DateTime, Utc};

use crate::{
    answering::object::SessionOwner,
    store::{Result, Store},
};

/// A conversation in a list.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SessionRow {
    pub client: String,
    pub id: String,
    pub customer_id: Option<String>,
    pub owner: SessionOwner,
    pub created_at: DateTime<Utc>,
    pub active_at: DateTime<Utc>,
}

impl Store {
    /// Lists sessions, the last active first, before a place in this order.
    pub async fn session_rows(
        &self,
        before: Option<(DateTime<Utc>, &str, &str)>,
        limit: u32,
    ) -> Result<Vec<SessionRow>> {
        let rows = sqlx::query_as!(
            SessionRow,
            r#"select client, id, customer_id, owner as "owner: SessionOwner", created_at, active_at
               from shopkeeper.session
               where $1::timestamptz is null or active_at <= $1 and (active_at, client, id) < ($1, $2::text, $3::text)
               order by active_at desc, client desc, id desc limit $4"#,
            before.map(|(at, ..)| at),
            before.map(|(_, client, _)| client),
            before.map(|(.., id)| id),
            i64::from(limit),
        );
        Ok(rows.fetch_all(&self.pool.by_values()).await?)
    }

    /// Finds sessions of these clients by their id or their customer.
    pub async fn find_sessions(&self, clients: &[String], name: &str, limit: u32) -> Result<Vec<SessionRow>> {
        let rows = sqlx::query_as!(
            SessionRow,
            r#"select client as "client!", id as "id!", customer_id, owner as "owner!: SessionOwner",
                   created_at as "created_at!", active_at as "active_at!"
               from (
                   select * from shopkeeper.session where id = $1
                   union select * from shopkeeper.session where customer_id = $1 and client = any ($3)
               ) as found
               order by active_at desc limit $2"#,
            name,
            i64::from(limit),
            clients,
        );
        Ok(rows.fetch_all(&self.pool.by_values()).await?)
    }

    /// Reads one session.
    pub async fn session_row(&self, client: &str, id: &str) -> Result<Option<SessionRow>> {
        let row = sqlx::query_as!(
            SessionRow,
            r#"select client, id, customer_id, owner as "owner: SessionOwner", created_at, active_at
               from shopkeeper.session where client = $1 and id = $2"#,
            client,
            id,
        );
        Ok(row.fetch_optional(&self.pool.by_values()).await?)
    }

    /// Lists sessions that humans have and in which customers wrote since, the longest wait first.
    pub async fn waiting_sessions(&self, limit: u32) -> Result<Vec<SessionRow>> {
        let rows = sqlx::query_as!(
            SessionRow,
            r#"select session.client, session.id, session.customer_id, owner as "owner: SessionOwner", session.created_at,
                   active_at
               from shopkeeper.session as session
               cross join lateral (
                   select outcome from shopkeeper.answer as turn
                   where turn.client = session.client and turn.session_id = session.id order by seq desc limit 1
               ) as last
               where owner = 'human' and last.outcome = 'human_owned'
               order by active_at limit $1"#,
            i64::from(limit),
        );
        Ok(rows.fetch_all(&self.pool.by_values()).await?)
    }
}
