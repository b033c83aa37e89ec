-- What models cost, and how much may still be asked of them.

create or replace function shopkeeper.usd_today(operation text) returns double precision
language sql stable
set search_path = pg_catalog, pg_temp
return (
    select coalesce(sum(usd), 0) from shopkeeper.usage as usage
    where usage.day = (now() at time zone 'UTC')::date and usage.operation = usd_today.operation
);

comment on function shopkeeper.usd_today is 'Returns what an operation has cost today (UTC), in US dollars.';

-- Takes requests and tokens out of the budget of a model and returns zero; or takes nothing and returns the seconds
-- until it is worth asking again. A rate that is null is no limit. A budget refills steadily up to what ten seconds
-- bring, but not while it is held. `reserve` is the share of the full budget that is left to callers with a smaller
-- reserve. Tokens may fall below zero, so that a request larger than ten seconds' worth is not refused for ever.
create or replace function shopkeeper.take_budget(
    server              text,
    model               text,
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
    most_requests double precision :=
        case when take_budget.requests_per_minute > 0 then greatest(1, take_budget.requests_per_minute / 6) end;
    most_tokens   double precision := take_budget.tokens_per_minute / 6;
    passed        double precision;
    still_held    double precision;
    left_requests double precision;
    left_tokens   double precision;
    wait          double precision;
begin
    if exists (select from shopkeeper.stop) then
        return 60;
    end if;
    insert into shopkeeper.model_budget (server, model, requests, tokens)
    values (take_budget.server, take_budget.model, coalesce(most_requests, 0), coalesce(most_tokens, 0))
    on conflict (server, model) do nothing;
    -- Never negative: the clock may have been set back.
    select greatest(0, extract(epoch from clock_timestamp() - at)), held, requests, tokens
    into passed, still_held, left_requests, left_tokens
    from shopkeeper.model_budget where server = take_budget.server and model = take_budget.model for update;
    left_requests := least(
        most_requests, left_requests + greatest(0, passed - still_held) / 60 * take_budget.requests_per_minute
    );
    left_tokens := least(
        most_tokens, left_tokens + greatest(0, passed - still_held) / 60 * take_budget.tokens_per_minute
    );
    still_held := greatest(0, still_held - passed);
    -- Where there is no limit the term is null, which greatest() ignores.
    wait := still_held + 60 * greatest(
        0,
        (take_budget.requests + take_budget.reserve * (most_requests - take_budget.requests) - left_requests)
            / take_budget.requests_per_minute,
        (take_budget.reserve * most_tokens - left_tokens) / take_budget.tokens_per_minute
    );
    update shopkeeper.model_budget
    set requests = coalesce(left_requests - case when wait = 0 then take_budget.requests else 0 end, 0),
        tokens = coalesce(left_tokens - case when wait = 0 then take_budget.tokens else 0 end, 0),
        held = still_held, at = clock_timestamp()
    where server = take_budget.server and model = take_budget.model;
    return wait;
end
$$;

comment on function shopkeeper.take_budget is
    'Takes requests out of the budget of a model; returns zero, or the seconds to wait.';

revoke execute on function shopkeeper.take_budget from public;
-- It reads with the rights of the caller, for roles that may only read our tables.
grant execute on function shopkeeper.usd_today to public;
