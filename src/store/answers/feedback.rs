//! What customers think of answers.

use serde_json::Value;
use uuid::Uuid;

use super::{Result, Store};
use crate::answering::object::Rating;

impl Store {
    /// Records a customer's rating of an answer of this client, or of any; returns false if there is no such answer.
    pub async fn rate_answer(
        &self,
        client: Option<&str>,
        id: Uuid,
        rating: Rating,
        comment: Option<&str>,
    ) -> Result<bool> {
        let rated = sqlx::query_scalar!(
            r#"select shopkeeper.rate_answer($1, $2, $3, $4) as "rated!""#,
            client,
            id,
            <&str>::from(rating),
            comment,
        );
        Ok(rated.fetch_one(&self.pool).await?)
    }

    /// Exports questions whose answers were rated up as cases of a golden set; skips answers without citations.
    pub async fn liked_answers(&self) -> Result<Vec<Value>> {
        let liked = sqlx::query_scalar!(
            r#"select jsonb_build_object(
                   'id', known.id, 'kind', 'feedback',
                   'question', coalesce(known.standalone_question, known.question), 'expected', cited.documents
               ) as "liked!"
               from shopkeeper.feedback as feedback
               join shopkeeper.answer as known on known.id = feedback.answer_id
               cross join lateral (
                   select jsonb_agg(distinct jsonb_build_object('source', source ->> 'source', 'key', source ->> 'key'))
                       as documents
                   from jsonb_array_elements(known.sources) as source where (source ->> 'cited')::boolean
               ) as cited
               where feedback.rating = 'up' and cited.documents is not null order by known.seq"#
        );
        Ok(liked.fetch_all(&self.pool).await?)
    }
}
