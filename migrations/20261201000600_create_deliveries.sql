-- Webhooks: the messages to other services.

create table shopkeeper.webhook (
    name   text primary key,
    events text[] not null
);

comment on table shopkeeper.webhook is
    'The webhooks of the settings and the events that each receives, as written by the daemon that started last.';

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

comment on table shopkeeper.delivery is
    'Messages to webhooks. They are written with the result, sent by jobs, and never rewritten.';
comment on column shopkeeper.delivery.id is 'The webhook-id, by which a receiver recognises a repeated message.';
comment on column shopkeeper.delivery.code is 'The status code of the receiver''s last response.';

create index delivery_answer on shopkeeper.delivery (answer_id);
create index delivery_created on shopkeeper.delivery (created_at);
-- For lists of messages that were not delivered, which are rare.
create index delivery_undelivered on shopkeeper.delivery (status, created_at, id) where status <> 'delivered';
