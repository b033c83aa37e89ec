-- Schedules: which ticks of the clock have been seen to, by whichever daemon came first.

create table shopkeeper.schedule (
    name      text primary key,
    last_at   timestamptz not null default now(),
    paused_at timestamptz
);

comment on table shopkeeper.schedule is 'One row for each [[schedule]] of jobs.toml that a daemon has seen.';
comment on column shopkeeper.schedule.last_at is 'The last tick that was seen to; at first, when the schedule was first seen.';

create table shopkeeper.schedule_tick (
    schedule text        not null,
    tick     timestamptz not null,
    fired_at timestamptz not null default now(),
    enqueued integer     not null,
    primary key (schedule, tick)
);

comment on table shopkeeper.schedule_tick is 'Each tick once: its row and its jobs are written in one transaction.';
comment on column shopkeeper.schedule_tick.enqueued is 'Jobs; none when the run before was not over.';
