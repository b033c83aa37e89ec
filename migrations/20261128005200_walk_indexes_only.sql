-- What is looked up beside millions of rows is found by an index.

-- The escalation that an answer shows: its own, else the newest of its session.
create index escalation_of_session on shopkeeper.escalation (client, session_id, created_at desc)
where session_id is not null;
-- Lists over all clients.
create index escalation_status on shopkeeper.escalation (status, created_at, id);
-- Lists of what did not go well, which is rare.
create index answer_unanswered on shopkeeper.answer (status, seq)
where status in ('incomplete', 'failed', 'cancelled', 'expired');
create index delivery_undelivered on shopkeeper.delivery (status, created_at, id) where status <> 'delivered';
create index token_of_services on shopkeeper.token (created_at desc, id) where session_id is null;
create index document_index_retry on shopkeeper.document_index (source, key) where state = 'failed';

-- A plan that is made while there are few is kept, and would read all of many.
create or replace function shopkeeper.answer_object(answer shopkeeper.answer) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
return jsonb_build_object(
    'id', answer.id, 'object', 'answer', 'session_id', answer.session_id, 'seq', answer.seq, 'status', answer.status,
    'outcome', answer.outcome, 'incomplete_reason', answer.incomplete_reason, 'question', answer.question,
    'standalone_question', answer.standalone_question, 'answer', answer.answer, 'sources', answer.sources,
    'citations', answer.citations, 'confidence', case when answer.nearest_distance is not null
        then greatest(0, least(1, 1 - answer.nearest_distance)) end,
    'nearest_distance', answer.nearest_distance, 'escalation_threshold', answer.escalation_threshold,
    'needs_escalation', answer.needs_escalation,
    'escalation', case when answer.escalation_reason is not null then coalesce(
        (
            select jsonb_build_object('id', own.id, 'reason', answer.escalation_reason, 'status', own.status)
            from shopkeeper.escalation as own where own.answer_id = answer.id order by own.created_at desc limit 1
        ),
        (
            select jsonb_build_object('id', shared.id, 'reason', answer.escalation_reason, 'status', shared.status)
            from shopkeeper.escalation as shared
            where shared.client = answer.client and shared.session_id = answer.session_id
            order by shared.created_at desc limit 1
        )
    ) end,
    'grounding', answer.grounding, 'usage', answer.usage, 'attempt', answer.attempt, 'error', answer.error,
    'created_at', answer.created_at, 'started_at', answer.started_at, 'completed_at', answer.completed_at,
    'metadata', answer.metadata
);

-- Answers are ended by their ids. As an expression their state is no reason to walk through the index of what is open, which a
-- plan that was made while few were open would do for ever.
create or replace function shopkeeper.end_answers(answers uuid[], status text, outcome text default null) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    ended bigint;
begin
    with ended as (
        update shopkeeper.answer as answer
        set status = end_answers.status, outcome = end_answers.outcome, completed_at = now()
        where answer.id = any (end_answers.answers) and answer.status || '' in ('queued', 'in_progress')
        returning answer.id
    )
    select count(pg_notify('shopkeeper_answer', id::text)) into ended from ended;
    return ended;
end
$$;

create or replace function shopkeeper.settle(
    answer uuid, job bigint, fence bigint, settled jsonb, shard smallint, tokens bigint, usd double precision
) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    ended record;
    told  bigint;
begin
    select * into ended from shopkeeper.finish(array[settle.job], array[settle.fence]);
    if not found then
        -- Waits for a concurrent lock on the job row.
        perform from shopkeeper.job as held
        where held.id = settle.job and held.fence = settle.fence and held.worker is not null for update;
        select * into ended from shopkeeper.finish(array[settle.job], array[settle.fence]);
        if not found then
            return false;
        end if;
    end if;
    if ended.again then
        perform pg_notify('shopkeeper_job', ended.kind);
    end if;
    if settle.tokens is not null then
        insert into shopkeeper.usage as usage (operation, shard, tokens, usd)
        values ('answer', settle.shard, settle.tokens, settle.usd)
        on conflict (day, operation, shard) do update
        set tokens = usage.tokens + excluded.tokens, usd = usage.usd + excluded.usd;
    end if;
    with written as (
        update shopkeeper.answer as known
        set status = new.status, outcome = new.outcome, incomplete_reason = new.incomplete_reason,
            standalone_question = new.standalone_question, answer = new.answer, sources = new.sources,
            citations = new.citations, nearest_distance = new.nearest_distance,
            escalation_threshold = new.escalation_threshold, needs_escalation = new.escalation_reason is not null,
            escalation_reason = new.escalation_reason, grounding = new.grounding, draft = new.draft,
            usage = new.usage, error = new.error, completed_at = now()
        from jsonb_populate_record(null::shopkeeper.answer, settle.settled) as new
        where known.id = settle.answer and known.status || '' = 'in_progress' and known.fence = settle.fence
        returning known.id
    )
    select count(pg_notify('shopkeeper_answer', id::text)) into told from written;
    if ended.group_key is not null then
        perform shopkeeper.advance(ended.kind, array[ended.group_key]);
    end if;
    return true;
end
$$;

create or replace function shopkeeper.give_up() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
    told  bigint;
    named constant uuid := case when new.key ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then new.key::uuid end;
begin
    if new.outcome = 'dead' and new.kind = 'refresh_document' then
        delete from shopkeeper.job_history as older
        where older.outcome = 'dead' and older.kind = 'refresh_document' and older.key = new.key and older.id < new.id;
    end if;
    if new.kind = 'answer_question' then
        with failed as (
            update shopkeeper.answer as answer
            set status = case new.outcome when 'dead' then 'failed' else 'cancelled' end, error = new.error,
                fence = case new.outcome when 'dead' then nextval('shopkeeper.job_fence') else answer.fence end,
                needs_escalation = new.outcome = 'dead',
                escalation_reason = case new.outcome when 'dead' then 'failed' end, completed_at = now()
            where answer.id = named and answer.status || '' in ('queued', 'in_progress')
            returning answer.id
        )
        select count(pg_notify('shopkeeper_answer', failed.id::text)) into told from failed;
    elsif new.kind = 'deliver_webhook' then
        update shopkeeper.delivery as delivery set status = 'failed', error = coalesce(new.error, new.outcome)
        where delivery.id = named and status = 'pending';
    elsif new.kind in ('refresh_document', 'index_documents') then
        insert into shopkeeper.document_index as indexed (version, source, key, indexed_revision, state, error)
        select version.id, document.source, document.key, document.revision, 'failed', coalesce(new.error, new.outcome)
        from shopkeeper.document as document, shopkeeper.index_version as version
        where document.source = new.payload ->> 'source'
            and document.key = any (array(select jsonb_array_elements_text(
                coalesce(new.payload -> 'keys', jsonb_build_array(new.payload -> 'key'))
            )))
            and version.state <> 'dropping'
        on conflict (version, source, key) do update
        set indexed_revision = excluded.indexed_revision, state = 'failed', error = excluded.error, indexed_at = now()
        where indexed.indexed_revision < excluded.indexed_revision;
    end if;
    return null;
end
$$;

revoke execute on all functions in schema shopkeeper from public;

-- A plan without sequential scans can look dear enough to be compiled, which takes longer than any of these functions runs.
do $$
declare
    name text;
begin
    for name in
        select oid::regprocedure from pg_proc
        where pronamespace = 'shopkeeper'::regnamespace and 'enable_seqscan=off' = any (proconfig)
    loop
        execute format('alter function %s set jit = off', name);
    end loop;
end
$$;
