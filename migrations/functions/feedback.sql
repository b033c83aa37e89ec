-- Feedback of customers.

-- If `client` is null, the answer may be any client's. Returns false if there is no such answer.
create or replace function shopkeeper.rate_answer(client text, answer uuid, rating text, comment text) returns boolean
language sql
set search_path = pg_catalog, pg_temp
begin atomic
    with rated as (
        insert into shopkeeper.feedback as feedback (answer_id, rating, comment)
        select known.id, rate_answer.rating, rate_answer.comment from shopkeeper.answer as known
        where known.id = rate_answer.answer and (rate_answer.client is null or known.client = rate_answer.client)
        on conflict (answer_id) do update
        set rating = excluded.rating, comment = excluded.comment, created_at = now()
        returning feedback.answer_id
    )
    select exists (select from rated);
end;

comment on function shopkeeper.rate_answer is 'Stores a rating of an answer.';

create or replace function shopkeeper.feedback(answer uuid, rating text, comment text default null) returns boolean
language sql
security definer
set search_path = pg_catalog, pg_temp
return shopkeeper.rate_answer(session_user, answer, rating, comment);

comment on function shopkeeper.feedback is 'Stores what a customer thinks of an answer: up or down.';

revoke execute on function shopkeeper.rate_answer, shopkeeper.feedback from public;
