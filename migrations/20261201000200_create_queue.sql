-- The queue: live jobs are rows of shopkeeper.job; finished jobs are rows of shopkeeper.job_history.

create sequence shopkeeper.job_fence;

create table shopkeeper.job (
    id           bigint generated always as identity primary key,
    kind         text        not null,
    key          text collate "C",
    group_key    text collate "C",
    state        text        not null default 'ready' check (state in ('ready', 'scheduled', 'blocked', 'running')),
    payload      jsonb       not null default '{}',
    priority     smallint    not null default 0,
    run_at       timestamptz not null default now(),
    attempts     integer     not null default 0,
    max_attempts integer,
    time_limit   interval,
    worker       text,
    fence        bigint      not null default 0,
    lease_until  timestamptz,
    started_at   timestamptz,
    shared       boolean     not null default false,
    alone        boolean     not null default false,
    dirty        boolean     not null default false,
    last_error   text,
    waits_for    text check (waits_for in ('rate_limit', 'daily_budget', 'stop')),
    waits_server text,
    waits_model  text,
    waits_since  timestamptz,
    traceparent  text,
    created_at   timestamptz not null default now(),
    check ((state = 'running') = (worker is not null) and (worker is null) = (lease_until is null))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

comment on table shopkeeper.job is 'Live jobs: waiting, or running under a lease.';
comment on column shopkeeper.job.key is
    'At most one live job of a kind has this key. Enqueueing it again merges the jobs.';
comment on column shopkeeper.job.group_key is
    'Jobs of a kind with the same group key run one at a time, in the order in which they were enqueued.';
comment on column shopkeeper.job.state is
    'ready: due. scheduled: due at run_at. blocked: behind another job of its group. running: under a lease.';
comment on column shopkeeper.job.max_attempts is 'Null until the first claim, which writes the value of jobs.toml.';
comment on column shopkeeper.job.time_limit is
    'The longest time that one run may take, from the schedule that enqueued the job.';
comment on column shopkeeper.job.fence is
    'The number of the current claim, raised by each claim. Writes under an older number are void.';
comment on column shopkeeper.job.shared is
    'Claimed for a batch, or before a slot was free. If the worker dies, another job may be to blame.';
comment on column shopkeeper.job.alone is
    'The last run crashed, or its worker died. The job is not run in a batch, nor claimed before a slot is free.';
comment on column shopkeeper.job.dirty is 'Enqueued again while it ran: it runs once more afterwards.';
comment on column shopkeeper.job.waits_for is
    'What a scheduled job waits for. rate_limit: the budget of a model. daily_budget: the budget of the next day. '
    'stop: the stop button. Null: nothing of these.';
comment on column shopkeeper.job.waits_server is 'With rate_limit: the address of the model server.';
comment on column shopkeeper.job.waits_model is 'With rate_limit: the model.';
comment on column shopkeeper.job.waits_since is
    'When the job was first postponed for this reason without another reason since.';

-- Each state has its own index, so that a claim costs the same whatever the number of jobs that wait.
create index job_ready on shopkeeper.job (kind, priority desc, run_at, id) where state = 'ready';
create index job_alone on shopkeeper.job (kind, priority desc, run_at, id) where state = 'ready' and alone;
create index job_scheduled on shopkeeper.job (run_at) where state = 'scheduled';
create index job_waits on shopkeeper.job (kind, waits_for, waits_since)
where state = 'scheduled' and waits_for is not null;
create index job_blocked on shopkeeper.job (kind, group_key, id) where state = 'blocked';
-- A worker that lost the reply to a claim looks its jobs up by its name.
create index job_running on shopkeeper.job (kind, worker) where state = 'running';
create unique index job_key on shopkeeper.job (kind, key) where key is not null;
-- A group has one head, so two jobs of a group never run at once, whatever goes wrong elsewhere.
create unique index job_group_head on shopkeeper.job (kind, group_key)
where group_key is not null and state <> 'blocked';

create table shopkeeper.job_history (
    id           bigint      not null,
    kind         text        not null,
    key          text collate "C",
    group_key    text collate "C",
    payload      jsonb       not null,
    priority     smallint    not null,
    outcome      text        not null check (outcome in ('done', 'cancelled', 'dead')),
    error        text,
    rejected_by  text,
    attempts     integer     not null,
    max_attempts integer,
    worker       text,
    traceparent  text,
    created_at   timestamptz not null,
    run_at       timestamptz not null,
    started_at   timestamptz,
    finished_at  timestamptz not null default now()
);

comment on table shopkeeper.job_history is 'Finished jobs: done, cancelled, or dead with the error that ended them.';
comment on column shopkeeper.job_history.rejected_by is
    'The model server that will never accept what a dead job asked. Null if something else ended the job.';
comment on column shopkeeper.job_history.started_at is 'When the last attempt was claimed.';

create index job_history_id on shopkeeper.job_history (id);
create index job_history_finished on shopkeeper.job_history (finished_at);
create index job_history_dead on shopkeeper.job_history (kind, finished_at) where outcome = 'dead';
-- For the one dead job that is kept of each document.
create index job_history_dead_document on shopkeeper.job_history (key)
where outcome = 'dead' and kind = 'refresh_document';
-- For erasing the jobs of a customer's questions.
create index job_history_key on shopkeeper.job_history (key) where kind in ('answer_question', 'deliver_webhook');

create table shopkeeper.queue_kind (
    kind      text primary key,
    on_dead   text,
    paused_at timestamptz
);

comment on table shopkeeper.queue_kind is
    'The kinds of jobs that daemons have run. Claims of kinds that are limited across all daemons lock the row.';
comment on column shopkeeper.queue_kind.on_dead is
    'The function that is given the dead and cancelled jobs of the kind, to end what they were for.';
