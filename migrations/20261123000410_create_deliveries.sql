-- What happens when an answer is settled: a human is asked for, and other services are told.

create table shopkeeper.escalation (
    id         uuid primary key default gen_random_uuid(),
    client     text        not null,
    session_id text,
    answer_id  uuid        not null references shopkeeper.answer on delete cascade,
    reason     text        not null,
    status     text        not null default 'open' check (status in ('open', 'acknowledged')),
    created_at timestamptz not null default now(),
    acked_at   timestamptz
);

comment on table shopkeeper.escalation is 'Questions that a human is asked to see to. A session has one that is open at most.';

create unique index escalation_session on shopkeeper.escalation (client, session_id)
where status = 'open' and session_id is not null;
create index escalation_answer on shopkeeper.escalation (answer_id);
create index escalation_client on shopkeeper.escalation (client, status, created_at);

-- The answer object of the API, the same for every caller.
create function shopkeeper.answer_object(answer shopkeeper.answer) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
return jsonb_build_object(
    'id', answer.id, 'object', 'answer', 'session_id', answer.session_id, 'seq', answer.seq, 'status', answer.status,
    'outcome', answer.outcome, 'incomplete_reason', answer.incomplete_reason, 'question', answer.question,
    'standalone_question', answer.standalone_question, 'answer', answer.answer, 'sources', answer.sources,
    'citations', answer.citations, 'confidence', case when answer.nearest_distance is not null
        then greatest(0, least(1, 1 - answer.nearest_distance)) end,
    'nearest_distance', answer.nearest_distance, 'escalation_threshold', answer.escalation_threshold,
    'needs_escalation', answer.needs_escalation,
    'escalation', case when answer.escalation_reason is not null then (
        select jsonb_build_object('id', escalation.id, 'reason', answer.escalation_reason, 'status', escalation.status)
        from shopkeeper.escalation as escalation
        where escalation.answer_id = answer.id
            or escalation.client = answer.client and escalation.session_id = answer.session_id
        order by escalation.answer_id = answer.id desc, escalation.created_at desc limit 1
    ) end,
    'grounding', answer.grounding, 'usage', answer.usage, 'attempt', answer.attempt, 'error', answer.error,
    'created_at', answer.created_at, 'started_at', answer.started_at, 'completed_at', answer.completed_at,
    'metadata', answer.metadata
);

comment on function shopkeeper.answer_object is 'An answer as the API, the webhooks and the events show it.';

create table shopkeeper.webhook (
    name   text primary key,
    events text[] not null
);

comment on table shopkeeper.webhook is 'The webhooks of the settings: what is to be written for whom. The last daemon that started says it.';

create table shopkeeper.delivery (
    id           uuid primary key default gen_random_uuid(),
    webhook      text        not null,
    event        text        not null,
    answer_id    uuid        not null references shopkeeper.answer on delete cascade,
    body         text        not null,
    status       text        not null default 'pending' check (status in ('pending', 'delivered', 'failed')),
    attempts     integer     not null default 0,
    code         integer,
    error        text,
    created_at   timestamptz not null default now(),
    delivered_at timestamptz
);

comment on table shopkeeper.delivery is 'What other services are told: written with the result, sent by jobs, never written anew.';
comment on column shopkeeper.delivery.id is 'The webhook-id: whoever got it twice has it once.';
comment on column shopkeeper.delivery.code is 'The status that the receiver answered with last.';

create index delivery_answer on shopkeeper.delivery (answer_id);
create index delivery_created on shopkeeper.delivery (created_at);

-- However an answer was settled.
create function shopkeeper.settled() returns trigger
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

create trigger settled after insert or update of status, needs_escalation on shopkeeper.answer
for each row execute function shopkeeper.settled();

revoke execute on all functions in schema shopkeeper from public;
