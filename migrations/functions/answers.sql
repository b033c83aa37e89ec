-- What becomes of a question: it is taken, settled, cancelled or ended.

-- Ends questions that are not settled and notifies listeners. A worker on one of them finds that it no longer owns it;
-- a job that waits finds nothing to do. As an expression, the status is no reason to walk through the index of open
-- answers, which a plan made while few were open would do for ever.
create or replace function shopkeeper.end_answers(answers uuid[], status text, outcome text default null) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
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

comment on function shopkeeper.end_answers is 'Ends questions that are not settled; returns their number.';

create or replace function shopkeeper.cancel_answer(answer uuid) returns boolean
language sql
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select coalesce(sum(shopkeeper.end_answers(array[known.id], 'cancelled')), 0) > 0
    from shopkeeper.answer as known where known.id = cancel_answer.answer and known.client = session_user;
end;

comment on function shopkeeper.cancel_answer is
    'Cancels a question of the caller; false if it is settled or not the caller''s.';

-- Skips locked rows: a client that keeps one question locked does not keep others past their time.
create or replace function shopkeeper.end_overdue_answers() returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
    with expired as (
        select id, 'expired' as status from shopkeeper.answer
        where status = 'queued' and start_before <= now() limit 1000 for no key update skip locked
    ), cancelled as (
        select id, 'cancelled' as status from shopkeeper.answer
        where status in ('queued', 'in_progress') and cancel_at <= now() limit 1000 for no key update skip locked
    )
    select coalesce(sum(shopkeeper.end_answers(array[overdue.id], overdue.status)), 0)::bigint
    from (select * from expired union all select * from cancelled) as overdue;
end;

comment on function shopkeeper.end_overdue_answers is
    'Ends questions past their time: unstarted ones expire, slow ones are cancelled.';

create or replace function shopkeeper.end_untaken(answer uuid) returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
    select coalesce(sum(shopkeeper.end_answers(array[due.id], due.status, due.outcome)), 0)::bigint
    from (
        select known.id,
            case
                when session.owner = 'human' then 'completed'
                when known.cancel_at <= now() then 'cancelled'
                when known.status = 'queued' and known.start_before <= now() then 'expired'
            end as status,
            case when session.owner = 'human' then 'human_owned' end as outcome
        from shopkeeper.answer as known
        left join shopkeeper.session as session on session.client = known.client and session.id = known.session_id
        where known.id = end_untaken.answer
    ) as due
    where due.status is not null;
end;

comment on function shopkeeper.end_untaken is 'Ends a question that is overdue or that a human answers.';

-- Takes a question for a run of its job. Returns no row if there is nothing to answer: the question is settled,
-- erased, overdue or a human's. A question that failed has a job again only if somebody retries it. A worker that
-- stalled after its claim, until another took the question, has a lower fence and takes nothing.
create or replace function shopkeeper.take_question(
    answer uuid, attempt integer, fence bigint,
    out client text, out seq bigint, out request jsonb, out age double precision, out is_paused boolean,
    out usd_today double precision
) returns setof record
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    perform shopkeeper.end_untaken(take_question.answer);
    return query
    update shopkeeper.answer as taken
    set status = 'in_progress', attempt = take_question.attempt, fence = take_question.fence,
        started_at = coalesce(taken.started_at, now()), completed_at = null, error = null, needs_escalation = false,
        escalation_reason = null
    where taken.id = take_question.answer and taken.status in ('queued', 'in_progress', 'failed')
        and taken.fence <= take_question.fence
    returning taken.client, taken.seq, taken.request, extract(epoch from now() - taken.created_at)::double precision,
        exists (select from shopkeeper.stop), shopkeeper.usd_today('answer');
    if found then
        perform pg_notify('shopkeeper_answer_event', take_question.answer::text);
    end if;
end
$$;

comment on function shopkeeper.take_question is 'Takes a question for a run of its job.';

-- Runs of a question that were not settled were paid for, too.
create or replace function shopkeeper.add_usage(one jsonb, other jsonb) returns jsonb
language sql immutable
set search_path = pg_catalog, pg_temp
return case when one is null or other is null then coalesce(one, other) else one || other || (
    select jsonb_object_agg(
        name, coalesce((one ->> name)::numeric, 0) + coalesce((other ->> name)::numeric, 0)
    ) || jsonb_build_object(
        'estimated', coalesce((one ->> 'estimated')::boolean, false) or coalesce((other ->> 'estimated')::boolean, false)
    )
    from unnest(array['embedding_tokens', 'rerank_tokens', 'input_tokens', 'output_tokens', 'cost']) as name
) end;

comment on function shopkeeper.add_usage is 'Adds up the tokens and dollars of two runs of a question.';

-- Settles a question with the columns of a row, completes its job and adds its cost to the usage of the day, all or
-- nothing, and notifies listeners. Returns false if the job is no longer held under its fence. If the question was
-- cancelled meanwhile, only the job ends. Locks the job, then the answer, then the group, as everyone does who locks
-- more than one of them.
create or replace function shopkeeper.settle(
    answer uuid, job bigint, fence bigint, settled jsonb, shard smallint, tokens bigint, usd double precision
) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
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
    with written as (
        update shopkeeper.answer as known
        set status = new.status, outcome = new.outcome, incomplete_reason = new.incomplete_reason,
            standalone_question = new.standalone_question, answer = new.answer, sources = new.sources,
            constraints = coalesce(new.constraints, known.constraints),
            citations = new.citations, nearest_distance = new.nearest_distance,
            escalation_threshold = new.escalation_threshold, needs_escalation = new.escalation_reason is not null,
            escalation_reason = new.escalation_reason, doubt = new.doubt, grounding = new.grounding, draft = new.draft,
            usage = shopkeeper.add_usage(known.usage, new.usage), error = new.error, completed_at = now()
        from jsonb_populate_record(null::shopkeeper.answer, settle.settled) as new
        where known.id = settle.answer and known.status || '' = 'in_progress' and known.fence = settle.fence
        returning known.id
    )
    select count(pg_notify('shopkeeper_answer', id::text)) into told from written;
    if told > 0 and settle.settled ? 'watched' then
        perform shopkeeper.watch_answer(settle.answer, settle.settled);
    end if;
    if ended.group_key is not null then
        perform shopkeeper.advance(ended.kind, array[ended.group_key]);
    end if;
    -- Last, because others wait for the row until the commit.
    if settle.tokens is not null then
        insert into shopkeeper.usage as usage (operation, shard, tokens, usd)
        values ('answer', settle.shard, settle.tokens, settle.usd)
        on conflict (day, operation, shard) do update
        set tokens = usage.tokens + excluded.tokens, usd = usage.usd + excluded.usd;
    end if;
    return true;
end
$$;

comment on function shopkeeper.settle is 'Settles a question and completes its job; false if the fence is void.';

-- The API, webhooks and events show the same object to every caller. Two lookups of the escalation rather than one
-- with `or`, and no sequential scans: a plan made for a small table is kept, and would read all of a large one.
create or replace function shopkeeper.answer_object(answer shopkeeper.answer) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
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
    'doubt', answer.doubt, 'constraints', answer.constraints, 'outdated', answer.outdated, 'answered_by', answer.answered_by, 'reply_to', answer.reply_to,
    'grounding', answer.grounding, 'usage', answer.usage, 'attempt', answer.attempt, 'error', answer.error,
    'created_at', answer.created_at, 'started_at', answer.started_at, 'completed_at', answer.completed_at,
    'metadata', answer.metadata
);

comment on function shopkeeper.answer_object is 'Returns an answer as the API, webhooks and events show it.';

revoke execute on function shopkeeper.end_answers, shopkeeper.cancel_answer, shopkeeper.end_overdue_answers,
    shopkeeper.end_untaken, shopkeeper.take_question, shopkeeper.add_usage, shopkeeper.settle from public;
-- It reads with the rights of the caller, for roles that may only read our tables.
grant execute on function shopkeeper.answer_object to public;
