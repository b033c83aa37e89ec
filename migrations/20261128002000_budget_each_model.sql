-- The budget of a model server is one of each of its models: two rates at one address spoil each other no more. A server
-- that asked for patience is held for a number of seconds, whatever the rates are: also one without limits.

alter table shopkeeper.model_budget
    add model text not null default '',
    add held double precision not null default 0,
    drop constraint model_budget_pkey,
    add primary key (server, model);

comment on table shopkeeper.model_budget is 'What may still be asked of a model now, by all daemons together.';
comment on column shopkeeper.model_budget.requests is 'Requests that were left at that time; of no meaning where they are not limited.';
comment on column shopkeeper.model_budget.tokens is 'Likewise; below zero where a request took more than were left.';
comment on column shopkeeper.model_budget.held is 'Seconds from that time on during which nobody asks, because the server said so.';

-- Takes requests with so many tokens out of a model's budget, and gives zero; or takes nothing, and gives the
-- seconds until it is worth asking again. A rate that is null is no limit. A budget fills up steadily, to what ten seconds
-- bring, and not while it is held. What is above the reserve may be taken: a share of the full budget that is kept for
-- those who ask with a smaller one. Tokens may go below zero, so that a request larger than ten seconds' worth is not
-- refused for ever.
create function shopkeeper.take_budget(
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
    -- Not before zero: the clock may have been set back.
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
    -- What is not limited is null here, and no reason to wait.
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

comment on function shopkeeper.take_budget(
    text, text, double precision, double precision, double precision, double precision, double precision
) is 'Takes requests out of a model''s budget; zero, or the seconds to wait.';

-- A daemon of the version before has one budget for each server.
create or replace function shopkeeper.take_budget(
    server              text,
    requests_per_minute double precision,
    tokens_per_minute   double precision,
    requests            double precision,
    tokens              double precision,
    reserve             double precision
) returns double precision
language sql
set search_path = pg_catalog, pg_temp
return shopkeeper.take_budget(server, '', requests_per_minute, tokens_per_minute, requests, tokens, reserve);

revoke execute on all functions in schema shopkeeper from public;
