-- What models cost, by day.

create table shopkeeper.usage (
    day       date             not null default (now() at time zone 'UTC')::date,
    operation text             not null check (operation in ('embedding', 'answer')),
    shard     smallint         not null,
    tokens    bigint           not null,
    usd       double precision not null,
    primary key (day, operation, shard)
);

comment on table shopkeeper.usage is 'Tokens and dollars a day (UTC).';
comment on column shopkeeper.usage.shard is 'Chosen at random, so that writers do not wait for each other; summed when read.';

-- What an operation cost today (UTC), in dollars.
create function shopkeeper.usd_today(operation text) returns double precision
language sql stable
set search_path = pg_catalog, pg_temp
return (
    select coalesce(sum(usd), 0) from shopkeeper.usage as usage
    where usage.day = (now() at time zone 'UTC')::date and usage.operation = usd_today.operation
);

create table shopkeeper.stop (
    is_stopped boolean primary key default true check (is_stopped),
    since      timestamptz not null default now()
);

comment on table shopkeeper.stop is 'The stop button: while there is a row, nothing is asked of any model.';

create table shopkeeper.model_budget (
    server   text primary key,
    requests double precision not null,
    tokens   double precision not null,
    at       timestamptz      not null default clock_timestamp()
);

comment on table shopkeeper.model_budget is 'What may still be asked of a model server now, by all daemons together.';

-- Takes requests with so many tokens out of a server's budget, and gives zero; or takes nothing, and gives the
-- seconds until it is worth asking again. A budget fills up steadily, to what ten seconds bring. What is above
-- the reserve may be taken: a share of the full budget that is kept for those who ask with a smaller one. Tokens may
-- go below zero, so that a request larger than ten seconds' worth is not refused for ever.
create function shopkeeper.take_budget(
    server              text,
    requests_per_minute double precision,
    tokens_per_minute   double precision,
    requests            double precision,
    tokens              double precision,
    reserve             double precision
) returns double precision
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    most_requests double precision := greatest(1, take_budget.requests_per_minute / 6);
    most_tokens   double precision := take_budget.tokens_per_minute / 6;
    passed        double precision;
    left_requests double precision;
    left_tokens   double precision;
    wait          double precision;
begin
    if exists (select from shopkeeper.stop) then
        return 60;
    end if;
    insert into shopkeeper.model_budget (server, requests, tokens)
    values (take_budget.server, most_requests, most_tokens)
    on conflict (server) do nothing;
    select extract(epoch from clock_timestamp() - at) / 60, requests, tokens into passed, left_requests, left_tokens
    from shopkeeper.model_budget where server = take_budget.server for update;
    left_requests := least(most_requests, left_requests + passed * take_budget.requests_per_minute);
    left_tokens := least(most_tokens, left_tokens + passed * take_budget.tokens_per_minute);
    wait := 60 * greatest(
        0,
        (take_budget.requests + take_budget.reserve * (most_requests - take_budget.requests) - left_requests)
            / take_budget.requests_per_minute,
        (take_budget.reserve * most_tokens - left_tokens) / take_budget.tokens_per_minute
    );
    update shopkeeper.model_budget
    set requests = left_requests - case when wait = 0 then take_budget.requests else 0 end, at = clock_timestamp(),
        tokens = left_tokens - case when wait = 0 then take_budget.tokens else 0 end
    where server = take_budget.server;
    return wait;
end
$$;

comment on function shopkeeper.take_budget is 'Takes requests out of a model server''s budget; zero, or the seconds to wait.';

revoke execute on all functions in schema shopkeeper from public;
