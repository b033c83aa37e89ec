-- Questions and their answers. The row is the truth; the job only wakes a worker.

create table shopkeeper.answer (
    id                   uuid primary key default gen_random_uuid(),
    session_id           text,
    seq                  bigint generated always as identity,
    idempotency_key      text unique,
    status               text        not null default 'queued'
        check (status in ('queued', 'in_progress', 'completed', 'incomplete', 'failed', 'cancelled', 'expired')),
    outcome              text check (outcome in ('answered', 'no_answer', 'human_owned', 'superseded', 'fallback')),
    question             text        not null check (question <> ''),
    standalone_question  text,
    sources_filter       text[],
    answer               jsonb,
    sources              jsonb       not null default '[]',
    citations            jsonb       not null default '[]',
    nearest_distance     double precision,
    escalation_threshold double precision,
    needs_escalation     boolean     not null default false,
    escalation_reason    text check (escalation_reason in
        ('low_confidence', 'no_passages', 'ungrounded', 'asked_for_human', 'failed', 'paused')),
    grounding            jsonb,
    usage                jsonb,
    attempt              integer     not null default 0,
    error                text,
    metadata             jsonb       not null default '{}',
    created_at           timestamptz not null default now(),
    started_at           timestamptz,
    completed_at         timestamptz
);

comment on table shopkeeper.answer is 'One row for each question that was accepted.';
comment on column shopkeeper.answer.seq is 'The order in which questions were accepted.';
comment on column shopkeeper.answer.sources_filter is 'The sources that may be searched; null is all of them.';

create index answer_session on shopkeeper.answer (session_id, seq) where session_id is not null;

-- Asks a question in the caller's transaction. A key that was used before gives the answer that it made.
create function shopkeeper.ask(
    question        text,
    session_id      text default null,
    idempotency_key text default null,
    sources         text[] default null,
    metadata        jsonb default '{}'
) returns uuid
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    answer_id uuid;
begin
    if coalesce(btrim(ask.question), '') = '' then
        raise exception 'shopkeeper.ask: the question is empty' using errcode = 'invalid_parameter_value';
    end if;
    insert into shopkeeper.answer as answer (question, session_id, idempotency_key, sources_filter, metadata)
    values (ask.question, ask.session_id, ask.idempotency_key, ask.sources, coalesce(ask.metadata, '{}'))
    on conflict (idempotency_key) do nothing
    returning answer.id into answer_id;
    if answer_id is null then
        select answer.id into answer_id from shopkeeper.answer as answer
        where answer.idempotency_key = ask.idempotency_key;
        return answer_id;
    end if;
    perform shopkeeper.enqueue(
        'answer_question', answer_id::text, priority => 10::smallint, group_key => ask.session_id
    );
    return answer_id;
end
$$;

comment on function shopkeeper.ask is 'Asks a question; listen to shopkeeper_answer, then read shopkeeper.answers.';

create view shopkeeper.answers as
select id, session_id, seq, status, outcome, question, standalone_question, answer ->> 'text' as answer, sources,
    citations, greatest(0, least(1, 1 - nearest_distance)) as confidence, nearest_distance, escalation_threshold,
    needs_escalation, escalation_reason, grounding, usage, attempt, error, metadata, created_at, started_at, completed_at
from shopkeeper.answer;

comment on view shopkeeper.answers is 'Answers for those who ask by SQL.';

-- Whatever ends a job for good, a panic, a worker that died or an operator, also ends what the job was for: an answer
-- that nobody works on is not waited for, and a document that cannot be indexed says why.
create function shopkeeper.give_up() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    told bigint;
begin
    if new.kind = 'answer_question' then
        with failed as (
            update shopkeeper.answer
            set status = case new.outcome when 'dead' then 'failed' else 'cancelled' end, error = new.error,
                needs_escalation = new.outcome = 'dead',
                escalation_reason = case new.outcome when 'dead' then 'failed' end, completed_at = now()
            where id::text = new.key and status in ('queued', 'in_progress')
            returning id
        )
        select count(pg_notify('shopkeeper_answer', id::text)) into told from failed;
    elsif new.kind = 'refresh_document' then
        insert into shopkeeper.document_index as indexed (version, source, key, indexed_revision, state, error)
        select version.id, document.source, document.key, document.revision, 'failed', coalesce(new.error, new.outcome)
        from shopkeeper.document as document, shopkeeper.index_version as version
        where document.source = new.payload ->> 'source' and document.key = new.payload ->> 'key'
            and version.state <> 'dropping'
        on conflict (version, source, key) do update
        set indexed_revision = excluded.indexed_revision, state = 'failed', error = excluded.error, indexed_at = now()
        where indexed.indexed_revision < excluded.indexed_revision;
    end if;
    return null;
end
$$;

create trigger give_up after insert on shopkeeper.job_history
for each row when (new.outcome <> 'done') execute function shopkeeper.give_up();

-- Without this anybody who can reach the schema could run what runs with its owner's rights.
revoke execute on all functions in schema shopkeeper from public;
