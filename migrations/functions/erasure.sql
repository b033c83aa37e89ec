-- Erasing questions, sessions and customers. If `client` is null, those of every client are erased.

-- A worker on one of the questions finds nothing to write to.
create or replace function shopkeeper.erase_answers(answers uuid[]) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    keys   constant text[] := erase_answers.answers::text[] || array(
        select delivery.id::text from shopkeeper.delivery as delivery where delivery.answer_id = any (erase_answers.answers)
    );
    kinds  constant text[] := array['answer_question', 'deliver_webhook'];
    groups text[];
    erased bigint;
begin
    -- Jobs before answers: shopkeeper.settle locks them in this order.
    perform from shopkeeper.job as job where job.kind = any (kinds) and job.key = any (keys) order by job.id for update;
    delete from shopkeeper.answer as answer where answer.id = any (erase_answers.answers);
    get diagnostics erased = row_count;
    with gone as (
        delete from shopkeeper.job as job where job.kind = any (kinds) and job.key = any (keys)
        returning job.group_key
    )
    select array_agg(distinct group_key) filter (where group_key is not null) into groups from gone;
    delete from shopkeeper.job_history as history
    where history.kind in ('answer_question', 'deliver_webhook') and history.key = any (keys);
    delete from shopkeeper.discarded_job as discarded
    where discarded.job ->> 'kind' = any (kinds) and discarded.job ->> 'key' = any (keys);
    if groups is not null then
        perform shopkeeper.advance('answer_question', groups);
    end if;
    return erased;
end
$$;

comment on function shopkeeper.erase_answers is
    'Erases questions with everything that came of them; returns their number.';

create or replace function shopkeeper.erase_session(client text, session text) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    erased bigint;
begin
    -- Blocks new questions of the session until the end of the transaction. A later one starts a new session.
    perform from shopkeeper.session as known
    where known.id = erase_session.session and (erase_session.client is null or known.client = erase_session.client)
    order by known.client for update;
    select shopkeeper.erase_answers(array_agg(answer.id)) into erased from shopkeeper.answer as answer
    where answer.session_id = erase_session.session
        and (erase_session.client is null or answer.client = erase_session.client);
    delete from shopkeeper.session as known
    where known.id = erase_session.session and (erase_session.client is null or known.client = erase_session.client);
    delete from shopkeeper.token as token
    where token.session_id = erase_session.session
        and (erase_session.client is null or token.client = erase_session.client);
    return coalesce(erased, 0);
end
$$;

comment on function shopkeeper.erase_session is
    'Erases a session with everything that came of it; returns the number of its questions.';

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
    -- The tokens of the customer's sessions are gone by now. As in erase_session, sessions are locked before tokens.
    delete from shopkeeper.token as token
    where token.customer_id = erase_customer.customer
        and (erase_customer.client is null or token.client = erase_customer.client);
    return erased + coalesce(rest, 0);
end
$$;

comment on function shopkeeper.erase_customer is
    'Erases the sessions, questions and tokens of a customer; returns the number of questions.';

create or replace function shopkeeper.forget_session(session_id text) returns bigint
language sql
security definer
set search_path = pg_catalog, pg_temp
return shopkeeper.erase_session(session_user, session_id);

comment on function shopkeeper.forget_session is
    'Removes a session of the caller and everything that came of it; returns the number of its questions.';

create or replace function shopkeeper.forget_customer(customer_id text) returns bigint
language sql
security definer
set search_path = pg_catalog, pg_temp
return shopkeeper.erase_customer(session_user, customer_id);

comment on function shopkeeper.forget_customer is
    'Removes all sessions and questions of a customer of the caller; returns the number of questions.';

revoke execute on function shopkeeper.erase_answers, shopkeeper.erase_session, shopkeeper.erase_customer,
    shopkeeper.forget_session, shopkeeper.forget_customer from public;
