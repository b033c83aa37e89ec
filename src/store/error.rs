//! Why a statement failed, by what the caller can do about it.

use super::pool;
use crate::pg_connection;

/// The result of a statement.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why a call of the store failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer; the same call may succeed later.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// A statement timed out; it may succeed later, or never.
    #[error("the database timed out: {0}")]
    TooSlow(String),
    /// The role lacks a privilege that an administrator must grant.
    #[error("the database role lacks a privilege: {0}")]
    Forbidden(String),
    /// The database is not what this program needs; the message holds the remedy.
    #[error("{0}")]
    Unsuitable(String),
    /// Another worker has this job; nothing was written.
    #[error("the lease of job {0} was lost; nothing was written")]
    LeaseLost(i64),
    /// Another job wrote a document after this one loaded it; it must load it again.
    #[error("another job wrote the document meanwhile; nothing was written")]
    Overtaken,
    /// A question of the session is still open, and the client rejects a second one.
    #[error("{0}")]
    SessionBusy(String),
    /// The idempotency key was used for another question.
    #[error("{0}")]
    IdempotencyMismatch(String),
    /// A question names a source or a webhook that does not exist.
    #[error("{0}")]
    UnknownName(String),
    /// A request that a client wrote by SQL is malformed.
    #[error("the request cannot be read: {0}")]
    Undecodable(String),
    /// A statement failed, and repeating it does not help.
    #[error("the database refuses a statement: {0}")]
    Failed(String),
}

impl StoreError {
    pub(super) fn unreachable(error: impl std::fmt::Display) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::BeginFailed => {
                Self::unreachable(error)
            }
            E::Database(database) => match database.code().as_deref().unwrap_or_default() {
                "42501" => Self::Forbidden(database.message().to_owned()),
                // Raised by shopkeeper.accept_question.
                "SK001" => Self::SessionBusy(without_code(database.message())),
                "SK002" => Self::IdempotencyMismatch(without_code(database.message())),
                "SK003" => Self::UnknownName(without_code(database.message())),
                // A wrong password, or a missing database or role.
                code if code.starts_with("28") || code == "3D000" => Self::unreachable(database.message()),
                // The transaction was idle for too long: this process was stopped, or the network was cut.
                "25P03" => Self::unreachable(database.message()),
                // The server became a standby, or its disk is full. Another server may have its address by now.
                "25006" => {
                    pool::suspect();
                    Self::unreachable(database.message())
                }
                // By statement_timeout, or by the role's lock_timeout.
                "57014" | "55P03" => Self::TooSlow(database.message().to_owned()),
                code if pg_connection::passes(code) => Self::unreachable(database.message()),
                _ => Self::Failed(database.message().to_owned()),
            },
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Removes the code at the start of messages from our functions, which is for clients that see no SQLSTATE.
fn without_code(message: &str) -> String {
    message.split_once(": ").map_or(message, |(_, detail)| detail).to_owned()
}
