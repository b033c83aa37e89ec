-- A question by SQL that names what no daemon has is refused, as one by HTTP is: nobody would be told of it, or it
-- would find nothing. As long as no source is known none is refused; webhooks likewise.

create function shopkeeper.check_asked_names() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    unknown text;
    known   text;
begin
    select min(asked.name) into unknown
    from jsonb_array_elements_text(coalesce(new.request -> 'sources', '[]')) as asked (name)
    where not exists (select from shopkeeper.source as source where source.name = asked.name)
        and exists (select from shopkeeper.source);
    if unknown is not null then
        select string_agg(name, ', ' order by name) into known from shopkeeper.source;
        raise exception 'invalid_request: there is no source %; there are: %', quote_literal(unknown), known
            using errcode = 'SK003';
    end if;
    unknown := new.request ->> 'webhook';
    if unknown is not null and exists (select from shopkeeper.webhook)
        and not exists (select from shopkeeper.webhook as webhook where webhook.name = unknown) then
        select string_agg(name, ', ' order by name) into known from shopkeeper.webhook;
        raise exception 'invalid_request: there is no webhook %; there are: %', quote_literal(unknown), known
            using errcode = 'SK003';
    end if;
    return new;
end
$$;

create trigger check_asked_names before insert on shopkeeper.answer
for each row when (new.request ?| array['sources', 'webhook']) execute function shopkeeper.check_asked_names();

revoke execute on all functions in schema shopkeeper from public;
