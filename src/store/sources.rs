//! Sources: when they were compared, how far they were polled, and who watches them.

use std::time::Duration;

use sqlx::types::Json;

use super::{Store, StoreError, jobs::interval};
use crate::catalogue::Mark;

/// What a watcher does next with its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The last mark; none when the source was never polled.
    pub mark: Option<Mark>,
    /// How long ago it was polled; none when it never was.
    pub polled_ago: Option<Duration>,
}

impl Store {
    /// Makes sources known, so that others can name them.
    pub async fn note_sources(&self, names: &[String]) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into shopkeeper.source (name) select unnest($1::text[]) on conflict (name) do nothing",
            names,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes that a source was compared in full.
    pub async fn note_synced(&self, source: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into shopkeeper.source (name, last_sync_at) values ($1, now())
             on conflict (name) do update set last_sync_at = excluded.last_sync_at",
            source,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Makes this daemon the one that watches a source for so long, unless another one does.
    pub async fn watch(
        &self,
        source: &str,
        watcher: &str,
        length: Duration,
    ) -> Result<Option<Watched>, StoreError> {
        let row = self
            .promptly(async |connection| {
                let row = sqlx::query!(
                    r#"update shopkeeper.source set watcher = $2, watch_until = now() + $3
                       where name = $1 and (watcher = $2 or watch_until is null or watch_until < now())
                       returning poll_mark as "mark: Json<Mark>",
                           extract(epoch from now() - polled_at)::double precision as polled_ago"#,
                    source,
                    watcher,
                    interval(length),
                );
                Ok(row.fetch_optional(connection).await?)
            })
            .await?;
        Ok(row.map(|row| Watched {
            mark: row.mark.map(|mark| mark.0),
            polled_ago: row.polled_ago.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        }))
    }

    /// Notes how far a source was polled.
    pub async fn note_polled(&self, source: &str, mark: &Mark) -> Result<(), StoreError> {
        sqlx::query!(
            "update shopkeeper.source set poll_mark = $2, polled_at = now() where name = $1",
            source,
            Json(mark) as Json<&Mark>,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
