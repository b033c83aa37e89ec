-- Schedules: the ticks of the clock that a daemon has handled.

create table shopkeeper.schedule (
    name      text primary key,
    last_at   timestamptz not null default now(),
    paused_at timestamptz
);

comment on table shopkeeper.schedule is 'One row for each [[schedule]] of jobs.toml that a daemon has seen.';
comment on column shopkeeper.schedule.last_at is
    'The last tick that was handled; at first, the time at which a daemon first saw the schedule.';

create table shopkeeper.schedule_tick (
    schedule text        not null,
    tick     timestamptz not null,
    fired_at timestamptz not null default now(),
    enqueued integer     not null,
    primary key (schedule, tick)
);

comment on table shopkeeper.schedule_tick is
    'One row for each tick. The row and the jobs of the tick are written in one transaction, so a tick fires once.';
comment on column shopkeeper.schedule_tick.enqueued is 'The number of jobs; zero if the previous run had not ended.';
