//! Questions that the catalogue could not answer, with their vectors.

use chrono::{DateTime, Utc};
use pgvector::HalfVector;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Result, Store};
use crate::answering::object::Source;

/// A question that found nothing or was refused.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Unanswered {
    pub answer_id: Uuid,
    pub question: String,
    pub vector: Vec<f32>,
    /// The nearest documents.
    pub sources: Vec<Source>,
    pub created_at: DateTime<Utc>,
}

impl Store {
    /// Keeps the vector of a question that was not answered, unless the question is erased.
    pub async fn note_unanswered(&self, answer: Uuid, version: i32, vector: &[f32]) -> Result<()> {
        let noted = sqlx::query!(
            "insert into shopkeeper.unanswered (answer_id, version, embedding)
             select id, $2, $3 from shopkeeper.answer where id = $1 for key share
             on conflict (answer_id) do update set version = excluded.version, embedding = excluded.embedding",
            answer,
            version,
            HalfVector::from_f32_slice(vector) as _,
        );
        Ok(noted.execute(&self.pool).await.map(drop)?)
    }

    /// Reads the last unanswered questions of an index version that nobody has dismissed, newest first.
    pub async fn unanswered(&self, version: i32, limit: u32) -> Result<Vec<Unanswered>> {
        let rows = sqlx::query!(
            r#"select answer_id, left(coalesce(nullif(answer.standalone_question, ''), answer.question), 400) as "question!",
                   embedding as "embedding: HalfVector", sources as "sources: Json<Vec<Source>>", answer.created_at
               from shopkeeper.unanswered as unanswered
               join shopkeeper.answer as answer on answer.id = answer_id
               where unanswered.version = $1 and dismissed_at is null
               order by unanswered.created_at desc limit $2"#,
            version,
            i64::from(limit),
        );
        let rows = rows.fetch_all(&self.pool.by_values()).await?.into_iter().map(|row| Unanswered {
            answer_id: row.answer_id,
            question: row.question,
            vector: row.embedding.to_vec().into_iter().map(half::f16::to_f32).collect(),
            sources: row.sources.0,
            created_at: row.created_at,
        });
        Ok(rows.collect())
    }

    /// Dismisses unanswered questions; returns their number.
    pub async fn dismiss_unanswered(&self, answers: &[Uuid]) -> Result<u64> {
        let dismissed = sqlx::query!(
            "update shopkeeper.unanswered set dismissed_at = now() where answer_id = any ($1) and dismissed_at is null",
            answers,
        );
        Ok(dismissed.execute(&self.pool).await?.rows_affected())
    }
}
