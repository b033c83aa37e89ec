//! Sources: when they were compared, how far they were polled, who watches them, and what may leave them.

use std::time::Duration;

use futures::TryFutureExt;
use sqlx::{Connection, PgConnection, types::Json};

use super::{PROMPT, Result, Store, StoreError, jobs::interval};
use crate::{
    catalogue::{Mark, MassDelete},
    pg_connection,
};

/// What a watcher does next with its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceWatch {
    /// The last mark; none when the source was never polled.
    pub mark: Option<Mark>,
    /// How long ago it was polled; none when it never was.
    pub polled_ago: Option<Duration>,
}

/// What the mass-delete guard decides about removals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Whether the documents may leave.
    pub allowed: bool,
    /// Documents that the source had at its last complete listing.
    pub known: u64,
}

/// The right to list a source, which one process has at a time. Dropping it ends it.
#[derive(Debug)]
pub struct ListingLock(PgConnection);

impl ListingLock {
    /// Lets others list the source.
    pub async fn release(mut self) {
        // The lock goes with the connection, in whatever way that ends. But the server takes its time to notice, and the
        // next one need not wait for that.
        let _ = tokio::time::timeout(PROMPT, async {
            let _ = sqlx::query("select pg_advisory_unlock_all()").execute(&mut self.0).await;
            self.0.close().await
        })
        .await;
    }
}

impl Store {
    /// Takes the lock for listing a source; `None` while another process holds it.
    ///
    /// It is an advisory lock on a connection of its own, past a pooler: it ends with the process.
    pub async fn lock_listing(&self, source: &str) -> Result<Option<ListingLock>> {
        let mut connection = self.direct.plain().acquire().await?.detach();
        let locked = sqlx::query_scalar!(
            r#"select pg_try_advisory_lock(hashtextextended('shopkeeper listing ' || $1, 0)) as "locked!""#,
            source,
        );
        let locked = locked.fetch_one(&mut connection).map_err(StoreError::from);
        let locked = pg_connection::in_time(Some(PROMPT), StoreError::from, locked).await?;
        let lock = ListingLock(connection);
        if locked {
            return Ok(Some(lock));
        }
        lock.release().await;
        Ok(None)
    }

    /// Asks the mass-delete guard whether so many documents of a source may leave, and counts them. A listing names all
    /// that are gone at once.
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

    /// Makes sources known, so that others can name them.
    pub async fn note_sources(&self, names: &[String]) -> Result<()> {
        let query = sqlx::query!(
            "insert into shopkeeper.source (name) select unnest($1::text[]) on conflict (name) do nothing",
            names,
        );
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// Notes that a source was compared in full, and how many documents it listed. No removal waits any longer.
    pub async fn note_synced(&self, source: &str, listed: u64) -> Result<()> {
        let query = sqlx::query!(
            "insert into shopkeeper.source (name, last_sync_at, listed) values ($1, now(), $2)
             on conflict (name) do update
             set last_sync_at = excluded.last_sync_at, listed = excluded.listed, removed = 0, withheld = 0,
                 withheld_at = null",
            source,
            i64::try_from(listed).unwrap_or(i64::MAX),
        );
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// Makes this daemon the one that watches a source for so long, unless another one does.
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

    /// Notes how far a source was polled.
    pub async fn note_polled(&self, source: &str, mark: &Mark) -> Result<()> {
        let query = sqlx::query!(
            "update shopkeeper.source set poll_mark = $2, polled_at = now() where name = $1",
            source,
            Json(mark) as Json<&Mark>,
        );
        query.execute(&self.pool).await?;
        Ok(())
    }
}

/// Asks the mass-delete guard in the caller's transaction, which has locked the documents before.
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
