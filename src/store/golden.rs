//! Questions that operators collect: for evaluation, and as drafts for the shop's own list of questions.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::{Result, Store};
use crate::catalogue::DocumentId;

/// A question with the documents that answer it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct GoldenQuestion {
    pub id: Uuid,
    pub question: String,
    /// `[{"source", "key"}]`; empty if it must be refused.
    pub expected: serde_json::Value,
    pub actor: String,
    pub created_at: DateTime<Utc>,
}

/// A question with a draft of its answer.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct FaqDraft {
    pub id: Uuid,
    pub question: String,
    pub answer: String,
    pub actor: String,
    pub created_at: DateTime<Utc>,
}

impl Store {
    /// Adds a question to the golden set.
    pub async fn add_golden(&self, question: &str, expected: &[DocumentId], actor: &str) -> Result<Uuid> {
        let expected: Vec<_> =
            expected.iter().map(|id| json!({ "source": id.source, "key": id.key })).collect();
        let id = sqlx::query_scalar!(
            "insert into shopkeeper.golden_question (question, expected, actor) values ($1, $2, $3) returning id",
            question,
            json!(expected),
            actor,
        );
        Ok(id.fetch_one(&self.pool).await?)
    }

    /// Reads the golden set, oldest first.
    pub async fn golden_questions(&self) -> Result<Vec<GoldenQuestion>> {
        let questions = sqlx::query_as!(
            GoldenQuestion,
            "select id, question, expected, actor, created_at from shopkeeper.golden_question
             order by created_at, id limit 10000"
        );
        Ok(questions.fetch_all(&self.pool).await?)
    }

    /// Adds a draft for the shop's own list of questions.
    pub async fn add_faq_draft(&self, question: &str, answer: &str, actor: &str) -> Result<Uuid> {
        let id = sqlx::query_scalar!(
            "insert into shopkeeper.faq_draft (question, answer, actor) values ($1, $2, $3) returning id",
            question,
            answer,
            actor,
        );
        Ok(id.fetch_one(&self.pool).await?)
    }

    /// Reads the drafts, newest first.
    pub async fn faq_drafts(&self, limit: u32) -> Result<Vec<FaqDraft>> {
        let drafts = sqlx::query_as!(
            FaqDraft,
            "select id, question, answer, actor, created_at from shopkeeper.faq_draft
             order by created_at desc, id limit $1",
            i64::from(limit),
        );
        Ok(drafts.fetch_all(&self.pool).await?)
    }

    /// Deletes a draft; returns false if there is none.
    pub async fn delete_faq_draft(&self, id: Uuid) -> Result<bool> {
        let gone = sqlx::query!("delete from shopkeeper.faq_draft where id = $1", id);
        Ok(gone.execute(&self.pool).await?.rows_affected() > 0)
    }
}
