-- A server's budget is not held as long as a clock was set back, or as another host's, which took over, is behind.

create or replace function shopkeeper.take_budget(
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
    select greatest(0, extract(epoch from clock_timestamp() - at)) / 60, requests, tokens into passed, left_requests, left_tokens
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
