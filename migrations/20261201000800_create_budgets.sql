-- What models cost, and how much may still be asked of them.

create table shopkeeper.usage (
    day       date             not null default (now() at time zone 'UTC')::date,
    operation text             not null check (operation in ('embedding', 'answer')),
    shard     smallint         not null,
    tokens    bigint           not null,
    usd       double precision not null,
    primary key (day, operation, shard)
);

comment on table shopkeeper.usage is 'Tokens and US dollars for each day (UTC).';
comment on column shopkeeper.usage.shard is
    'Chosen at random, so that writers do not wait for each other. Readers add up the shards.';

create table shopkeeper.stop (
    is_stopped boolean primary key default true check (is_stopped),
    since      timestamptz not null default now()
);

comment on table shopkeeper.stop is 'The stop button: while the table has a row, no model is asked anything.';

create table shopkeeper.model_budget (
    server   text             not null,
    model    text             not null,
    requests double precision not null,
    tokens   double precision not null,
    held     double precision not null default 0,
    at       timestamptz      not null default clock_timestamp(),
    primary key (server, model)
);

comment on table shopkeeper.model_budget is 'What all daemons together may still ask of a model.';
comment on column shopkeeper.model_budget.requests is
    'The number of requests left at the time in column at. It has no meaning if requests are not limited.';
comment on column shopkeeper.model_budget.tokens is
    'The number of tokens left at that time; below zero if a request took more than were left.';
comment on column shopkeeper.model_budget.held is
    'Seconds from that time during which no daemon asks, because the server wants a pause.';

create table shopkeeper.budget_wait (
    worker  text        not null,
    kind    text        not null,
    server  text        not null,
    model   text        not null,
    jobs    integer     not null,
    since   timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    primary key (worker, kind, server, model)
);

comment on table shopkeeper.budget_wait is
    'Running jobs that wait in their slots for the budget of a model. Each daemon reports them every second.';
comment on column shopkeeper.budget_wait.since is 'When the daemon first reported the wait without a gap since.';
comment on column shopkeeper.budget_wait.seen_at is
    'When the daemon last reported the wait. An old report no longer counts.';
