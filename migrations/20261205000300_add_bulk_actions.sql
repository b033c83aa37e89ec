-- Actions on all jobs that match a filter, and discarded jobs, which can be restored for an hour.

alter table shopkeeper.job_history
    add column error_class text generated always as (
        md5(regexp_replace(left(error, 1000), '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]+', '#', 'gi'))
    ) stored;

comment on column shopkeeper.job_history.error_class is
    'A hash of the error without its numbers and ids: equal for jobs that failed for the same reason.';

create index job_history_dead_newest on shopkeeper.job_history (finished_at, id) where outcome = 'dead';
create index job_history_error on shopkeeper.job_history (error_class, finished_at, id) where outcome = 'dead';

create index job_history_cancelled on shopkeeper.job_history (finished_at, id) where outcome = 'cancelled';

create table shopkeeper.bulk_action (
    id         uuid primary key,
    action     text        not null check (action in ('retry', 'cancel', 'discard')),
    filter     jsonb       not null,
    until      timestamptz not null,
    last_id    bigint      not null,
    snapshot   text        not null,
    counted    bigint      not null,
    done       bigint      not null default 0,
    place_at   timestamptz,
    place_id   bigint,
    state      text        not null default 'running' check (state in ('running', 'done', 'cancelled')),
    actor      text        not null,
    created_at timestamptz not null default now(),
    ended_at   timestamptz
);

comment on table shopkeeper.bulk_action is 'Actions on all jobs that matched a filter when they were counted.';
comment on column shopkeeper.bulk_action.until is 'Jobs that ended later are left alone.';
comment on column shopkeeper.bulk_action.last_id is 'Jobs that were enqueued later are left alone.';
comment on column shopkeeper.bulk_action.snapshot is
    'What was committed when they were counted. A waiting job that was changed later is left alone.';
comment on column shopkeeper.bulk_action.counted is 'The number of jobs that matched.';
comment on column shopkeeper.bulk_action.place_at is 'How far it has come, in the order of the jobs.';

create index bulk_action_created on shopkeeper.bulk_action (created_at);

create table shopkeeper.discarded_job (
    id           bigint primary key,
    job          jsonb       not null,
    bulk_action  uuid,
    discarded_at timestamptz not null default now()
);

comment on table shopkeeper.discarded_job is 'Dead jobs that an operator deleted. They can be restored for an hour.';

create index discarded_job_at on shopkeeper.discarded_job (discarded_at);
create index discarded_job_action on shopkeeper.discarded_job (bulk_action) where bulk_action is not null;
