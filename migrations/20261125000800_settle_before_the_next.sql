-- Whoever takes a session's next question up, and whoever ends its questions for a newer one, wait for each other in one
-- order: first the answer, then the session's place in the queue.

create or replace function shopkeeper.settle(
    answer uuid, job bigint, fence bigint, settled jsonb, shard smallint, tokens bigint, usd double precision
) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    ended record;
    told  bigint;
begin
    select * into ended from shopkeeper.finish(array[settle.job], array[settle.fence]);
    if not found then
        -- Somebody may have locked the job's row: he is waited for.
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
        where known.id = settle.answer and known.status = 'in_progress' and known.fence = settle.fence
        returning known.id
    )
    select count(pg_notify('shopkeeper_answer', id::text)) into told from written;
    if ended.group_key is not null then
        perform shopkeeper.advance(ended.kind, array[ended.group_key]);
    end if;
    return true;
end
$$;
