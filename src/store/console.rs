//! Logins to the console, and the audit of what was done in it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Result, Store, jobs::interval, listen::CONSOLE, tokens::Grant};

/// What was done in the console.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AuditRow {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub actor: String,
    pub action: String,
    pub target: String,
    pub number: i64,
}

/// What each page shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct InboxState {
    /// The server is a standby, or read-only for another reason.
    pub is_read_only: bool,
    /// Escalations that wait for a human.
    pub open_escalations: i64,
}

/// How long a statement of a page may take.
const PAGE_LIMIT: &str = "; set local statement_timeout = '1s'";

impl Store {
    /// Returns a store for the statements of a page, which only read and are stopped after a second.
    #[must_use]
    pub fn for_pages(&self) -> Self {
        Self { pool: self.pages.by_values().set_local(PAGE_LIMIT), ..self.clone() }
    }

    /// Returns a store for figures, which only read.
    #[must_use]
    pub fn for_figures(&self) -> Self {
        Self { pool: self.pages.clone(), ..self.clone() }
    }

    /// Returns the key that forms are signed with.
    pub async fn console_key(&self) -> Result<Vec<u8>> {
        let key = async || {
            sqlx::query_scalar!("select key from shopkeeper.console_key").fetch_optional(&self.pages).await
        };
        if let Some(key) = key().await? {
            return Ok(key);
        }
        sqlx::query!("insert into shopkeeper.console_key default values on conflict do nothing")
            .execute(&self.pool)
            .await?;
        Ok(key().await?.unwrap_or_default())
    }

    /// Counts the escalations that wait for a human, at most up to `most`.
    pub async fn inbox_state(&self, most: u32) -> Result<InboxState> {
        let state = sqlx::query_as!(
            InboxState,
            r#"select current_setting('transaction_read_only') = 'on' as "is_read_only!", count(*) as "open_escalations!"
               from (select from shopkeeper.escalation where status = 'open' limit $1) as open"#,
            i64::from(most),
        );
        Ok(state.fetch_one(&self.pool).await?)
    }

    /// Stores a login with a token; returns false if there is no such token with a scope for the console.
    pub async fn log_in(&self, token: &[u8], cookie: &[u8], length: Duration) -> Result<bool> {
        let added = sqlx::query!(
            "with known as materialized (select * from shopkeeper.token where hash = $1)
             insert into shopkeeper.console_session (hash, token, expires_at)
             select $2, id, least(now() + $3::interval, expires_at) from known
             where session_id is null and scopes && array['console:read', 'console:operate', 'admin']
                 and revoked_at is null and (expires_at is null or expires_at > now())",
            token,
            cookie,
            interval(length),
        );
        Ok(added.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Returns what the token of a login permits, unless one of them is over.
    pub async fn logged_in(&self, cookie: &[u8]) -> Result<Option<Grant>> {
        let grant = sqlx::query_as!(
            Grant,
            "select token.client, token.scopes, token.sources, token.session_id, token.customer_id
             from shopkeeper.console_session as login join shopkeeper.token as token on token.id = login.token
             where login.hash = $1 and login.expires_at > now() and token.revoked_at is null
                 and (token.expires_at is null or token.expires_at > now())",
            cookie,
        );
        Ok(grant.fetch_optional(&self.pool).await?)
    }

    /// Ends a login, and deletes those that are over.
    pub async fn log_out(&self, cookie: &[u8]) -> Result<()> {
        let gone = sqlx::query!(
            "delete from shopkeeper.console_session where hash = $1 or expires_at < now()",
            cookie
        );
        Ok(gone.execute(&self.pool).await.map(drop)?)
    }

    /// Records what was done in the console, and tells the pages of all daemons.
    pub async fn note_action(&self, actor: &str, action: &str, target: &str, number: u64) -> Result<()> {
        let noted = sqlx::query!(
            "with noted as (insert into shopkeeper.audit (actor, action, target, number) values ($1, $2, $3, $4))
             select pg_notify($5, '')",
            actor,
            action,
            target.replace('\0', "\u{fffd}"),
            i64::try_from(number).unwrap_or(i64::MAX),
            CONSOLE,
        );
        Ok(noted.fetch_one(&self.pool).await.map(drop)?)
    }

    /// Reads a page of the audit, newest first.
    pub async fn audit(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditRow>> {
        let rows = sqlx::query_as!(
            AuditRow,
            "select id, at, actor, action, target, number from shopkeeper.audit
             where $1::bigint is null or id < $1 order by id desc limit $2",
            before,
            i64::from(limit),
        );
        Ok(rows.fetch_all(&self.pool).await?)
    }

    /// Deletes one batch of what the console recorded longer ago than this, and of logins that are over; returns their
    /// number.
    pub async fn prune_console(&self, older_than: Duration) -> Result<u64> {
        let pruned = sqlx::query!(
            "with logins as (
                 delete from shopkeeper.console_session where hash in (
                     select hash from shopkeeper.console_session where expires_at < now() limit 10000
                 )
             ), actions as (
                 delete from shopkeeper.bulk_action where state <> 'running' and created_at < now() - $1::interval
             )
             delete from shopkeeper.audit where id in (
                 select id from shopkeeper.audit where at < now() - $1::interval order by at limit 10000
             )",
            interval(older_than),
        );
        Ok(pruned.execute(&self.pool).await?.rows_affected())
    }
}
