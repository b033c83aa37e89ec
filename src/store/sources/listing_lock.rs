//! The lock under which one process at a time lists a source.

use futures::TryFutureExt;
use sqlx::{Connection, PgConnection};

use crate::{
    pg_connection,
    store::{PROMPT, Result, Store, StoreError},
};

/// An advisory lock on a connection of its own that bypasses a pooler. Ends when it is dropped, or with the process.
#[derive(Debug)]
pub struct ListingLock(PgConnection);

impl ListingLock {
    /// Lets others list the source.
    pub async fn release(mut self) {
        // The lock ends with the connection in any case, but the server may notice late, and others are waiting.
        let _ = tokio::time::timeout(PROMPT, async {
            let _ = sqlx::query("select pg_advisory_unlock_all()").execute(&mut self.0).await;
            self.0.close().await
        })
        .await;
    }
}

impl Store {
    /// Takes the lock for listing a source; returns `None` while another process holds it.
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
}
