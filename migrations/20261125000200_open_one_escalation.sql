-- A question that is answered once more, and handed over once more, has one escalation that is open: also when it is
-- of no session.

create or replace function shopkeeper.settled() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    deliveries text[];
begin
    if new.needs_escalation and not (tg_op = 'UPDATE' and old.needs_escalation) then
        insert into shopkeeper.escalation (client, session_id, answer_id, reason)
        select new.client, new.session_id, new.id, new.escalation_reason
        where not exists (
            select from shopkeeper.escalation as known where known.answer_id = new.id and known.status = 'open'
        )
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
