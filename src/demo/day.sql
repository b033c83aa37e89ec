-- What a day leaves behind, for the console of the demo. The answers are real; their times are spread over the last day, more
-- of them by day than by night.

with placed as (
    select id, created_at, row_number() over (order by seq) as n, count(*) over () as number
    from shopkeeper.answer where session_id like 'visitor-%'
), moved as (
    select id, created_at, now() - interval '1 minute'
        - (1 - sqrt(n::double precision / number)) * interval '23 hours' - (n % 7) * interval '3 minutes' as at
    from placed
)
update shopkeeper.answer as answer
set created_at = moved.at, started_at = moved.at + (answer.started_at - moved.created_at) * 0.05,
    completed_at = moved.at + (answer.completed_at - moved.created_at) * 0.05
from moved where moved.id = answer.id;

update shopkeeper.escalation as escalation set created_at = answer.completed_at
from shopkeeper.answer as answer where answer.id = escalation.answer_id and answer.session_id like 'visitor-%';

update shopkeeper.session as session
set created_at = turns.first, active_at = turns.last
from (
    select client, session_id, min(created_at) as first, max(created_at) as last
    from shopkeeper.answer where session_id like 'visitor-%' group by client, session_id
) as turns
where session.client = turns.client and session.id = turns.session_id;

insert into shopkeeper.feedback (answer_id, rating, comment)
select id, case when seq % 5 = 0 then 'down' else 'up' end, case when seq % 5 = 0 then 'That was not my question.' end
from shopkeeper.answer where session_id like 'visitor-%' and outcome = 'answered' and seq % 3 = 0
on conflict do nothing;

-- Half of the escalations were dealt with.
update shopkeeper.escalation set status = 'resolved', acked_at = created_at + interval '4 minutes',
    resolved_at = created_at + interval '6 minutes', claimed_by = 'anna'
where id in (
    select id from shopkeeper.escalation where session_id like 'visitor-%' order by created_at
    limit (select count(*) / 2 from shopkeeper.escalation where session_id like 'visitor-%')
);

-- A morning on which the model server was away, and a shop that was not told of an answer.
insert into shopkeeper.job_history
    (id, kind, key, payload, priority, outcome, error, attempts, max_attempts, created_at, run_at, started_at, finished_at)
select 9000000 + n, 'refresh_document', 'product/' || document.key,
    jsonb_build_object('source', 'product', 'key', document.key), 0, 'dead',
    'http://models.example/v1 answered 503 Service Unavailable after ' || 40 + n || ' ms', 10, 10,
    at - interval '20 minutes', at, at, at
from (
    select row_number() over (order by key) as n, key, now() - interval '5 hours' + row_number() over (order by key) * interval '7 s' as at
    from shopkeeper.document where source = 'product' order by key limit 24
) as document;

insert into shopkeeper.job_history
    (id, kind, key, payload, priority, outcome, error, attempts, max_attempts, created_at, run_at, started_at, finished_at)
select 9000100 + n, 'eval', 'nightly-' || n, '{"file": "golden.jsonl"}', 0, 'dead',
    'golden.jsonl: hit@5 is 0.71, and at least 0.75 is wanted', 3, 3, at, at, at, at
from (select n, now() - n * interval '8 hours' as at from generate_series(1, 3) as n) as nights;

insert into shopkeeper.delivery (webhook, event, answer_id, body, status, attempts, code, error, created_at, delivered_at)
select 'helpdesk', 'answer.escalated', answer_id, '{}', case when n % 4 = 0 then 'failed' else 'delivered' end,
    case when n % 4 = 0 then 10 else 1 end, case when n % 4 = 0 then 502 else 204 end,
    case when n % 4 = 0 then 'the receiver answered 502 Bad Gateway' end, created_at,
    case when n % 4 <> 0 then created_at + interval '200 ms' end
from (select answer_id, created_at, row_number() over (order by created_at) as n
      from shopkeeper.escalation where session_id like 'visitor-%') as told;

-- What the days before would have cost, on which more was asked.
insert into shopkeeper.usage as usage (day, operation, shard, tokens, usd)
select (now() at time zone 'UTC')::date - n, operation, 0, tokens, tokens * price
from generate_series(1, 29) as n,
    lateral (values
        ('answer', (1200000 + 500000 * abs(sin(n)))::bigint, 0.00000021),
        ('embedding', (300000 + 2500000 * (n % 9 = 8)::integer + 90000 * abs(cos(n)))::bigint, 0.00000002)
    ) as spent (operation, tokens, price)
on conflict (day, operation, shard) do update
set tokens = usage.tokens + excluded.tokens, usd = usage.usd + excluded.usd;

insert into shopkeeper.audit (at, actor, action, target, number) values
    (now() - interval '9 hours', 'anna', 'reply', 'an escalation of the morning', 1),
    (now() - interval '5 hours', 'ben', 'pause queue', 'refresh_document', 1),
    (now() - interval '4 hours', 'ben', 'resume queue', 'refresh_document', 1);

insert into shopkeeper.faq_draft (question, answer, actor, created_at) values
    ('Do you deliver to a parcel station?', 'Yes, to any station in Germany and Austria.', 'anna', now() - interval '7 hours');
