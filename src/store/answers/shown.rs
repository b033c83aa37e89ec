//! Answers as operators see them.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use super::{Result, Store};
use crate::{
    answering::object::{AnswerObject, AnswerOutcome, AnswerStatus, EscalationReason, Rating},
    catalogue::DocumentId,
};

/// Which answers to list; what is `None` matches all.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AnswerFilter<'a> {
    pub outcome: Option<AnswerOutcome>,
    pub status: Option<AnswerStatus>,
    /// Only those that a human was asked for.
    pub escalated: bool,
    /// Only those whose products changed after they were given.
    pub outdated: bool,
    pub client: Option<&'a str>,
    /// One that cites a document of this source.
    pub source: Option<&'a str>,
    pub session: Option<&'a str>,
    pub since: Option<DateTime<Utc>>,
    /// Words that the question has.
    pub words: Option<&'a str>,
    /// A document that it cites.
    pub cites: Option<&'a DocumentId>,
    /// A place in the order.
    pub before: Option<i64>,
}

/// An answer in a list.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AnswerRow {
    pub id: Uuid,
    pub seq: i64,
    pub client: String,
    pub session_id: Option<String>,
    /// The beginning of it.
    pub question: String,
    /// The beginning of it.
    pub answer: Option<String>,
    pub status: AnswerStatus,
    pub outcome: Option<AnswerOutcome>,
    pub escalation_reason: Option<EscalationReason>,
    pub nearest_distance: Option<f64>,
    pub rating: Option<Rating>,
    pub is_outdated: bool,
    pub cost: Option<f64>,
    pub created_at: DateTime<Utc>,
    pub completed_at: Option<DateTime<Utc>>,
}

/// Everything that is known of an answer.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AnswerShown {
    pub answer: AnswerObject,
    pub client: String,
    pub customer_id: Option<String>,
    pub draft: Option<String>,
    pub request: serde_json::Value,
    pub rating: Option<Rating>,
    pub comment: Option<String>,
    pub deliveries: i64,
    /// The reply of a human to it.
    pub reply: Option<Uuid>,
}

impl Store {
    /// Lists answers, newest first.
    pub async fn answer_rows(&self, filter: &AnswerFilter<'_>, limit: u32) -> Result<Vec<AnswerRow>> {
        let cites = filter.cites.map(|id| {
            let key = serde_json::json!([id.key]);
            (key, serde_json::json!([{ "source": id.source, "key": id.key, "cited": true }]))
        });
        let (cited_key, citation) = cites.unzip();
        let rows = sqlx::query_as!(
            AnswerRow,
            r#"select answer.id, seq, client, session_id, left(question, 400) as "question!",
                   left(answer.answer ->> 'text', 400) as answer, status as "status: AnswerStatus",
                   outcome as "outcome: AnswerOutcome", escalation_reason as "escalation_reason: EscalationReason",
                   nearest_distance, feedback.rating as "rating?: Rating",
                   outdated is not null as "is_outdated!",
                   case jsonb_typeof(usage -> 'cost') when 'number' then (usage ->> 'cost')::double precision end as cost,
                   answer.created_at, completed_at
               from shopkeeper.answer as answer
               left join shopkeeper.feedback as feedback on feedback.answer_id = answer.id
               where ($1::text is null or outcome = $1) and ($2::text is null or status = $2)
                   and (not $3 or escalation_reason is not null)
                   and ($4::text is null or client = $4)
                   and ($5::text is null or sources @> jsonb_build_array(jsonb_build_object('source', $5::text)))
                   and ($6::text is null or session_id = $6)
                   and ($7::timestamptz is null or answer.created_at >= $7)
                   and ($8::text is null or completed_at is not null
                       and to_tsvector('simple', question) @@ websearch_to_tsquery('simple', $8))
                   and ($9::jsonb is null or completed_at is not null
                       and jsonb_path_query_array(sources, '$[*] ? (@.cited == true).key') @> $9 and sources @> $10)
                   and ($11::bigint is null or seq < $11)
                   and (not $12 or outdated is not null)
               order by seq desc limit $13"#,
            filter.outcome.map(<&str>::from),
            filter.status.map(<&str>::from),
            filter.escalated,
            filter.client,
            filter.source,
            filter.session,
            filter.since,
            filter.words,
            cited_key,
            citation,
            filter.before,
            filter.outdated,
            i64::from(limit),
        );
        Ok(rows.fetch_all(&self.pool.by_values()).await?)
    }

    /// Reads one answer.
    pub async fn answer_shown(&self, id: Uuid) -> Result<Option<AnswerShown>> {
        let row = sqlx::query!(
            r#"select shopkeeper.answer_object(known) as "answer!: Json<AnswerObject>", client, customer_id, draft, request,
                   feedback.rating as "rating?: Rating", feedback.comment as "comment?",
                   (select count(*) from shopkeeper.delivery where answer_id = known.id) as "deliveries!",
                   (select reply.id from shopkeeper.answer as reply where reply.reply_to = known.id order by seq desc limit 1)
                       as reply
               from shopkeeper.answer as known
               left join shopkeeper.feedback as feedback on feedback.answer_id = known.id
               where known.id = $1"#,
            id,
        );
        let row = row.fetch_optional(&self.pool.by_values()).await?;
        Ok(row.map(|row| AnswerShown {
            answer: row.answer.0,
            client: row.client,
            customer_id: row.customer_id,
            draft: row.draft,
            request: row.request,
            rating: row.rating,
            comment: row.comment,
            deliveries: row.deliveries,
            reply: row.reply,
        }))
    }

    /// The clients that have asked questions.
    pub async fn clients(&self) -> Result<Vec<String>> {
        // One look-up in the index for each client.
        let clients = sqlx::query_scalar!(
            r#"with recursive client as (
                   (select client from shopkeeper.answer order by client limit 1)
                   union all
                   select (
                       select next.client from shopkeeper.answer as next
                       where next.client > client.client order by next.client limit 1
                   )
                   from client where client.client is not null
               )
               select client as "client!" from client where client is not null limit 100"#
        );
        Ok(clients.fetch_all(&self.pool).await?)
    }
}
