-- A worker that was stopped between its claim and this, until another had taken the question, takes it from nobody.

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
