//! Figures of the last day and of today, for the console. Each reads all rows of its period: they are cached.

use chrono::{DateTime, Utc};

use super::{Result, Store};

/// The answers that were asked for in an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AnswerHour {
    pub hour: DateTime<Utc>,
    pub answered: i64,
    /// A human was asked for.
    pub escalated: i64,
    /// All others: refused, failed, cancelled, open.
    pub other: i64,
}

/// How long changes of a source took to be indexed, by the hour in which they were.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LagHour {
    pub source: String,
    pub hour: DateTime<Utc>,
    pub documents: i64,
    /// The median.
    pub seconds: f64,
}

/// What a client's answers of one model cost today.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ClientCost {
    pub client: String,
    pub model: String,
    pub answers: i64,
    pub tokens: i64,
    pub usd: f64,
}

/// How many answers of the last day have a signal, as in `handed over: ungrounded` or `outdated`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SignalCount {
    pub signal: String,
    pub answers: i64,
}

/// What was embedded today of a source and is in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SourceTokens {
    pub source: String,
    pub chunks: i64,
    pub tokens: i64,
}

impl Store {
    /// Counts the answers of the last 24 hours by hour, oldest first.
    pub async fn answer_hours(&self) -> Result<Vec<AnswerHour>> {
        let hours = sqlx::query_as!(
            AnswerHour,
            r#"select hour as "hour!", coalesce(answered, 0) as "answered!", coalesce(escalated, 0) as "escalated!",
                   coalesce(other, 0) as "other!"
               from generate_series(date_trunc('hour', now()) - interval '23 hours', now(), interval '1 hour') as hour
               left join (
                   select date_trunc('hour', created_at) as hour,
                       count(*) filter (where escalation_reason is not null) as escalated,
                       count(*) filter (
                           where escalation_reason is null and outcome = 'answered'
                       ) as answered,
                       count(*) filter (
                           where escalation_reason is null and outcome is distinct from 'answered'
                       ) as other
                   from shopkeeper.answer
                   where created_at >= date_trunc('hour', now()) - interval '23 hours' and outcome is distinct from 'human'
                   group by 1
               ) as counted using (hour)
               order by hour"#
        );
        Ok(hours.fetch_all(&self.pool).await?)
    }

    /// Counts the answers of the last 24 hours by what is known of them, the most frequent first.
    pub async fn answer_signals(&self) -> Result<Vec<SignalCount>> {
        let counts = sqlx::query_as!(
            SignalCount,
            r#"select signal as "signal!", count(*) as "answers!"
               from shopkeeper.answer, unnest(array[
                   'handed over: ' || replace(escalation_reason, '_', ' '),
                   case when outdated is not null then 'outdated since' end,
                   case when constraints <> '[]' then 'stated constraints' end,
                   case when doubt ->> 'probability' is not null then 'judged by the fit' end,
                   case when sources @? '$[*].second_rank' then 'found by two models' end,
                   case when sources @? '$[*].rerank_score' then 'reranked' end
               ]) as signal
               where created_at >= now() - interval '1 day' and outcome is distinct from 'human' and signal is not null
               group by 1 order by 2 desc, 1"#
        );
        Ok(counts.fetch_all(&self.pool).await?)
    }

    /// Measures the lag of the changes that were indexed in the last 24 hours, by source and hour.
    pub async fn lag_hours(&self) -> Result<Vec<LagHour>> {
        let hours = sqlx::query_as!(
            LagHour,
            r#"select document.source, date_trunc('hour', indexed_at) as "hour!", count(*) as "documents!",
                   percentile_cont(0.5) within group (
                       order by extract(epoch from indexed_at - changed_at)::double precision
                   ) as "seconds!"
               from shopkeeper.document_index as indexed
               join shopkeeper.document on document.source = indexed.source and document.key = indexed.key
               where version = (select id from shopkeeper.index_version where state = 'active')
                   and indexed.state = 'fresh' and indexed_revision = revision and indexed_at >= changed_at
                   and indexed_at >= date_trunc('hour', now()) - interval '23 hours'
               group by 1, 2 order by 1, 2"#
        );
        Ok(hours.fetch_all(&self.pool).await?)
    }

    /// Sums what the answers of today (UTC) cost, by client and model, the dearest first.
    pub async fn client_costs(&self) -> Result<Vec<ClientCost>> {
        let costs = sqlx::query_as!(
            ClientCost,
            r#"select client, coalesce(usage ->> 'model', '') as "model!", count(*) as "answers!",
                   coalesce(sum(
                       coalesce((usage ->> 'input_tokens')::numeric, 0) + coalesce((usage ->> 'output_tokens')::numeric, 0)
                       + coalesce((usage ->> 'embedding_tokens')::numeric, 0)
                       + coalesce((usage ->> 'rerank_tokens')::numeric, 0)
                   ), 0)::bigint as "tokens!",
                   coalesce(sum((usage ->> 'cost')::double precision), 0) as "usd!"
               from shopkeeper.answer
               where created_at >= date_trunc('day', now() at time zone 'UTC') at time zone 'UTC' and usage is not null
               group by 1, 2 order by 5 desc, 3 desc limit 50"#
        );
        Ok(costs.fetch_all(&self.pool).await?)
    }

    /// Sums the chunks that were embedded today (UTC), by source.
    pub async fn source_tokens(&self) -> Result<Vec<SourceTokens>> {
        let tokens = sqlx::query_as!(
            SourceTokens,
            r#"select source, count(*) as "chunks!", sum(tokens)::bigint as "tokens!" from shopkeeper.chunk
               where version = (select id from shopkeeper.index_version where state = 'active')
                   and created_at >= date_trunc('day', now() at time zone 'UTC') at time zone 'UTC'
               group by source order by 3 desc"#
        );
        Ok(tokens.fetch_all(&self.pool).await?)
    }
}
