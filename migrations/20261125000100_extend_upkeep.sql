-- What scheduled jobs need: a limit of time, and how worn an HNSW index is.

alter table shopkeeper.job add column time_limit interval;
comment on column shopkeeper.job.time_limit is 'The longest that one run may take, as the schedule says that enqueued it.';

alter table shopkeeper.index_version add column hnsw_deleted bigint;
comment on column shopkeeper.index_version.hnsw_deleted is
    'Chunks that PostgreSQL had counted as deleted when the HNSW index was built: each later one is a dead node of its graph.';

-- Erasing looks finished jobs up by their key.
create index job_history_key on shopkeeper.job_history (key) where kind in ('answer_question', 'deliver_webhook');
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

-- Lists of answers, the newest first.
create index answer_client_seq on shopkeeper.answer (client, seq);
create index answer_seq on shopkeeper.answer (seq);
