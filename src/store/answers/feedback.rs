//! What customers think of answers.

use serde_json::Value;
use uuid::Uuid;

use super::{Result, Store};
use crate::{
    answering::{handover::Doubt, object::Rating},
    catalogue::DocumentId,
    evaluation::compare::Outcome,
};

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

    /// Returns the last questions that were answered by a model, as they were searched for, with what they got; the newest
    /// first.
    pub async fn asked_questions(&self, most: u32) -> Result<Vec<AskedQuestion>> {
        let rows = sqlx::query!(
            r#"select id, coalesce(standalone_question, question) as "question!", answer ->> 'text' as answer,
                   needs_escalation, case jsonb_typeof(usage -> 'cost') when 'number' then (usage ->> 'cost')::double precision else 0 end as "cost!",
                   array(select source ->> 'source' from jsonb_array_elements(sources) as source) as "sources!",
                   array(select source ->> 'key' from jsonb_array_elements(sources) as source) as "keys!"
               from shopkeeper.answer
               where status = 'completed' and outcome in ('answered', 'no_answer') and client <> 'console'
               order by seq desc limit $1"#,
            i64::from(most),
        );
        let rows = rows.fetch_all(&self.pool.by_values()).await?;
        let asked = rows.into_iter().map(|row| {
            let documents = row.sources.into_iter().zip(row.keys);
            let documents = documents.map(|(source, key)| DocumentId { source, key }).collect();
            let (answer, handed_over, cost) = (row.answer, row.needs_escalation, row.cost);
            AskedQuestion {
                id: row.id,
                question: row.question,
                outcome: Outcome { documents, answer, handed_over, cost },
            }
        });
        Ok(asked.collect())
    }

    /// Returns how the last questions ended that customers or humans judged: the signals of each, and whether a human was
    /// needed. He was if he replied, or if the customer disliked the answer; he was not if the customer liked it, or if he
    /// gave the question back without a reply. The newest first.
    pub async fn judged_answers(&self, most: u32) -> Result<Vec<(Doubt, bool)>> {
        let rows = sqlx::query!(
            r#"with judged as (
                   select feedback.answer_id, feedback.rating = 'down' as needed
                   from shopkeeper.feedback as feedback
                   union all
                   select escalation.answer_id,
                       exists (select from shopkeeper.answer as reply where reply.reply_to = escalation.answer_id)
                   from shopkeeper.escalation as escalation where escalation.status = 'resolved'
               )
               select doubt as "doubt!", needed as "needed!" from (
                   select distinct on (answer.id) answer.seq, answer.doubt, judged.needed
                   from judged join shopkeeper.answer as answer on answer.id = judged.answer_id
                   where answer.doubt is not null and answer.client <> 'console'
                   order by answer.id, judged.needed desc
               ) as known
               order by seq desc limit $1"#,
            i64::from(most),
        );
        let rows = rows.fetch_all(&self.pool.by_values()).await?;
        // Another version may have written other signals.
        let known =
            rows.into_iter().filter_map(|row| Some((serde_json::from_value(row.doubt).ok()?, row.needed)));
        Ok(known.collect())
    }
}

/// A question that a customer asked, and what it got.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AskedQuestion {
    pub id: Uuid,
    pub question: String,
    pub outcome: Outcome,
}
