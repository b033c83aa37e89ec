//! Tokens of the HTTP API, stored only as hashes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::Serialize;
use strum::{Display, EnumString, IntoStaticStr, VariantNames};
use uuid::Uuid;

use super::{Result, Store};

/// The permissions of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantNames)]
pub enum Scope {
    /// Ask, cancel, rate, hand over.
    #[strum(serialize = "answers:write")]
    AnswersWrite,
    /// Read answers, sessions and escalations, search.
    #[strum(serialize = "answers:read")]
    AnswersRead,
    /// Erase sessions and customers.
    #[strum(serialize = "sessions:erase")]
    SessionsErase,
    /// See the console, without what customers wrote.
    #[strum(serialize = "console:read")]
    ConsoleRead,
    /// See all of the console, and operate the daemon with it.
    #[strum(serialize = "console:operate")]
    ConsoleOperate,
    /// Everything, for every client, and the operation of the daemon.
    #[strum(serialize = "admin")]
    Admin,
}

/// Makes a token and its hash, which is stored.
pub fn new_token() -> (String, [u8; 32]) {
    let token = format!("skt_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
    let hash = hash(&token);
    (token, hash)
}

/// Hashes a token without a salt: it is as long as the hash, and as random.
pub fn hash(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}

/// What a token permits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Grant {
    pub client: String,
    pub scopes: Vec<String>,
    /// The sources to search; `None` is all.
    pub sources: Option<Vec<String>>,
    /// The only session, if the token is for one.
    pub session_id: Option<String>,
    /// The customer of every question asked with the token.
    pub customer_id: Option<String>,
}

impl Grant {
    /// Whether it permits this, by itself or as `admin`.
    pub fn has(&self, scope: Scope) -> bool {
        let has = |scope: Scope| self.scopes.iter().any(|word| word == <&str>::from(scope));
        has(scope) || has(Scope::Admin)
    }
}

/// A listed token.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TokenRow {
    pub id: Uuid,
    pub client: String,
    pub scopes: Vec<String>,
    pub sources: Option<Vec<String>>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Stores a token's hash and what it permits until it expires.
    pub async fn add_token(&self, hash: &[u8], grant: &Grant, expiry: Option<DateTime<Utc>>) -> Result<Uuid> {
        let id = sqlx::query_scalar!(
            "insert into shopkeeper.token (hash, client, scopes, sources, session_id, customer_id, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7) returning id",
            hash,
            grant.client,
            &grant.scopes,
            grant.sources.as_deref(),
            grant.session_id,
            grant.customer_id,
            expiry,
        );
        Ok(id.fetch_one(&self.pool).await?)
    }

    /// Returns what the token with this hash permits, unless it is revoked or expired.
    pub async fn grant(&self, hash: &[u8]) -> Result<Option<Grant>> {
        let grant = sqlx::query_as!(
            Grant,
            "select client, scopes, sources, session_id, customer_id from shopkeeper.token
             where hash = $1 and revoked_at is null and (expires_at is null or expires_at > now())",
            hash
        );
        Ok(grant.fetch_optional(&self.pool).await?)
    }

    /// Lists the tokens of services, newest first.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>> {
        let tokens = sqlx::query_as!(
            TokenRow,
            "select id, client, scopes, sources, created_at, expires_at, revoked_at
             from shopkeeper.token where session_id is null order by created_at desc, id"
        );
        Ok(tokens.fetch_all(&self.pool).await?)
    }

    /// Revokes a token; returns false if there is no such token.
    pub async fn revoke_token(&self, id: Uuid) -> Result<bool> {
        let revoked = sqlx::query!(
            "update shopkeeper.token set revoked_at = coalesce(revoked_at, now()) where id = $1",
            id
        );
        Ok(revoked.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Deletes one batch of expired tokens; returns their number.
    pub async fn prune_tokens(&self) -> Result<u64> {
        let pruned = sqlx::query!(
            "delete from shopkeeper.token where id in (
                 select id from shopkeeper.token where expires_at < now() - interval '1 day' limit 10000
             )"
        );
        Ok(pruned.execute(&self.pool).await?.rows_affected())
    }
}
