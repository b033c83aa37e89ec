//! Sources: how far they are compared and polled, and which removals their mass-delete guard allows.

use std::time::Duration;

use sqlx::{PgConnection, types::Json};

use super::{Result, Store, jobs::interval};
use crate::catalogue::{Mark, MassDelete, SetAside, SetAsideRow};

mod listing_lock;

pub use listing_lock::ListingLock;

/// How far a source was polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceWatch {
    /// `None` if the source was never polled.
    pub mark: Option<Mark>,
    /// `None` if the source was never polled.
    pub polled_ago: Option<Duration>,
}

/// The decision of the mass-delete guard on removals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Whether the documents may be removed.
    pub allowed: bool,
    /// Documents in the last complete listing of the source.
    pub known: u64,
}

impl Store {
    /// Registers sources, so that others can name them.
    pub async fn note_sources(&self, names: &[String]) -> Result<()> {
        let query = sqlx::query!(
            "insert into shopkeeper.source (name) select unnest($1::text[]) on conflict (name) do nothing",
            names,
        );
        Ok(query.execute(&self.pool).await.map(drop)?)
    }

    /// Records a complete comparison of a source: how many documents it listed, and the rows that were set aside, which
    /// count as listed. No removals remain withheld.
    pub async fn note_synced(&self, source: &str, listed: u64, set_aside: &SetAside) -> Result<()> {
        let query = sqlx::query!(
            "insert into shopkeeper.source (name, last_sync_at, listed, set_aside, set_aside_rows)
             values ($1, now(), $2, $3, $4)
             on conflict (name) do update
             set last_sync_at = excluded.last_sync_at, listed = excluded.listed, set_aside = excluded.set_aside,
                 set_aside_rows = excluded.set_aside_rows, removed = 0, withheld = 0, withheld_at = null,
                 sync_error = null",
            source,
            i64::try_from(listed.saturating_add(set_aside.count)).unwrap_or(i64::MAX),
            i64::try_from(set_aside.count).unwrap_or(i64::MAX),
            Json(&set_aside.rows) as Json<&Vec<SetAsideRow>>,
        );
        Ok(query.execute(&self.pool).await.map(drop)?)
    }

    /// Records why a source cannot be listed.
    pub async fn note_not_synced(&self, source: &str, reason: &str) -> Result<()> {
        let query = sqlx::query!(
            "insert into shopkeeper.source (name, sync_error) values ($1, $2)
             on conflict (name) do update set sync_error = excluded.sync_error",
            source,
            reason,
        );
        Ok(query.execute(&self.pool).await.map(drop)?)
    }

    /// Makes this daemon the watcher of a source for this long, unless another daemon is.
    pub async fn watch(&self, source: &str, watcher: &str, length: Duration) -> Result<Option<SourceWatch>> {
        let row = sqlx::query!(
            r#"update shopkeeper.source set watcher = $2, watch_until = now() + $3
               where name = $1 and (watcher = $2 or watch_until is null or watch_until < now())
               returning poll_mark as "mark: Json<Mark>",
                   extract(epoch from now() - polled_at)::double precision as polled_ago"#,
            source,
            watcher,
            interval(length),
        );
        Ok(row.fetch_optional(&self.queue).await?.map(|row| SourceWatch {
            mark: row.mark.map(|mark| mark.0),
            polled_ago: row.polled_ago.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        }))
    }

    /// Records how far a source was polled.
    pub async fn note_polled(&self, source: &str, mark: &Mark) -> Result<()> {
        let query = sqlx::query!(
            "update shopkeeper.source set poll_mark = $2, polled_at = now() where name = $1",
            source,
            Json(mark) as Json<&Mark>,
        );
        Ok(query.execute(&self.pool).await.map(drop)?)
    }

    /// Asks the mass-delete guard to allow this many removals. A listing names all missing documents at once.
    pub async fn let_leave(
        &self,
        source: &str,
        documents: u64,
        guard: MassDelete,
        by_listing: bool,
    ) -> Result<Departure> {
        self.pool
            .run(async |connection| let_leave(connection, source, documents, guard, by_listing).await)
            .await
    }
}

/// Asks the mass-delete guard in the caller's transaction, which has already locked the documents.
pub(super) async fn let_leave(
    connection: &mut PgConnection,
    source: &str,
    documents: u64,
    guard: MassDelete,
    by_listing: bool,
) -> Result<Departure> {
    let decided = sqlx::query!(
        r#"select allowed as "allowed!", known as "known!" from shopkeeper.let_leave($1, $2, $3, $4, $5)"#,
        source,
        i64::try_from(documents).unwrap_or(i64::MAX),
        guard.share,
        i64::try_from(guard.documents).unwrap_or(i64::MAX),
        by_listing,
    );
    let decided = decided.fetch_one(connection).await?;
    Ok(Departure { allowed: decided.allowed, known: decided.known.unsigned_abs() })
}
