-- What follows when an answer changes: an escalation and messages to other services.

create or replace function shopkeeper.settled() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    deliveries text[];
begin
    -- Asked in the console, to see what the answer is now: nobody is told.
    if new.client = 'console' then
        return null;
    end if;
    if new.needs_escalation and not (tg_op = 'UPDATE' and old.needs_escalation) then
        insert into shopkeeper.escalation (client, session_id, answer_id, reason)
        values (new.client, new.session_id, new.id, new.escalation_reason)
        on conflict do nothing;
    end if;
    if new.status in ('queued', 'in_progress') or tg_op = 'UPDATE' and old.status = new.status then
        return null;
    end if;
    with told as (
        insert into shopkeeper.delivery (webhook, event, answer_id, body)
        select webhook.name, event.event, new.id, jsonb_build_object(
            'type', event.event, 'timestamp', now(), 'data', shopkeeper.answer_object(new)
        )::text
        from shopkeeper.webhook as webhook
        cross join (
            select case when new.status in ('completed', 'incomplete') then 'answer.completed' else 'answer.failed' end
            union all
            select 'answer.escalated' where new.needs_escalation
        ) as event (event)
        where event.event = any (webhook.events) and coalesce(new.request ->> 'webhook', webhook.name) = webhook.name
        returning id
    )
    select array_agg(id::text) into deliveries from told;
    if deliveries is not null then
        perform shopkeeper.enqueue_many(
            'deliver_webhook', deliveries, array_fill('{}'::jsonb, array[cardinality(deliveries)]),
            traceparent => new.traceparent
        );
    end if;
    return null;
end
$$;

comment on function shopkeeper.settled is
    'Opens an escalation and enqueues deliveries when an answer is settled or needs a human.';

-- A question that is answered and escalated again has one open escalation. The index escalation_session ensures this
-- for sessions only.
create or replace function shopkeeper.open_once() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (
        select from shopkeeper.escalation as known where known.answer_id = new.answer_id and known.status = 'open'
    ) then
        return null;
    end if;
    return new;
end
$$;

comment on function shopkeeper.open_once is 'Skips an escalation of an answer that has an open one.';

revoke execute on function shopkeeper.settled, shopkeeper.open_once from public;
