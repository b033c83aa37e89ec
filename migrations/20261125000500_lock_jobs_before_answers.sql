-- An erase and a worker that settles a question of it wait for each other in one order.

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
    -- Whoever settles a question has its job first, and then its answer.
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
    if groups is not null then
        perform shopkeeper.advance('answer_question', groups);
    end if;
    return erased;
end
$$;
