-- Whose questions a browser asks is fixed when its token is made, and the token is erased with the customer.

alter table shopkeeper.token add column customer_id text;

comment on column shopkeeper.token.customer_id is 'The customer of every question that is asked with it, when it is a browser''s.';

create index token_customer on shopkeeper.token (customer_id) where customer_id is not null;

create or replace function shopkeeper.erase_customer(client text, customer text) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    erased bigint;
    rest   bigint;
begin
    select coalesce(sum(shopkeeper.erase_session(known.client, known.id)), 0) into erased
    from shopkeeper.session as known
    where known.customer_id = erase_customer.customer
        and (erase_customer.client is null or known.client = erase_customer.client);
    select shopkeeper.erase_answers(array_agg(answer.id)) into rest from shopkeeper.answer as answer
    where answer.customer_id = erase_customer.customer
        and (erase_customer.client is null or answer.client = erase_customer.client);
    -- Those of the customer's sessions are gone already; an erase of a session also locks it before its tokens.
    delete from shopkeeper.token as token
    where token.customer_id = erase_customer.customer
        and (erase_customer.client is null or token.client = erase_customer.client);
    return erased + coalesce(rest, 0);
end
$$;

revoke execute on all functions in schema shopkeeper from public;
