-- How questions are worked on: taken, watched while they are answered, ended with their jobs, and forgotten.

-- Ends a question that is not to be worked on any more, or not by us.
create function shopkeeper.end_untaken(answer uuid) returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
    select coalesce(sum(shopkeeper.end_answers(array[due.id], due.status, due.outcome)), 0)::bigint
    from (
        select known.id,
            case
                when session.owner = 'human' then 'completed'
                when known.cancel_at <= now() then 'cancelled'
                when known.status = 'queued' and known.start_before <= now() then 'expired'
            end as status,
            case when session.owner = 'human' then 'human_owned' end as outcome
        from shopkeeper.answer as known
        left join shopkeeper.session as session on session.client = known.client and session.id = known.session_id
        where known.id = end_untaken.answer
    ) as due
    where due.status is not null;
end;

-- Takes a question for a run of its job; no row when there is nothing to answer: it is settled, erased, or not ours to
-- answer, and then it is settled as what it is. One that failed has a job again only when somebody wants it retried.
create function shopkeeper.take_question(
    answer uuid, attempt integer, fence bigint,
    out client text, out seq bigint, out request jsonb, out age double precision, out is_paused boolean,
    out usd_today double precision
) returns setof record
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    perform shopkeeper.end_untaken(take_question.answer);
    return query
    update shopkeeper.answer as taken
    set status = 'in_progress', attempt = take_question.attempt, fence = take_question.fence,
        started_at = coalesce(taken.started_at, now()), completed_at = null, error = null, needs_escalation = false,
        escalation_reason = null
    where taken.id = take_question.answer and taken.status in ('queued', 'in_progress', 'failed')
    returning taken.client, taken.seq, taken.request, extract(epoch from now() - taken.created_at)::double precision,
        exists (select from shopkeeper.stop), shopkeeper.usd_today('answer');
    if found then
        perform pg_notify('shopkeeper_answer_event', take_question.answer::text);
    end if;
end
$$;

create table shopkeeper.answer_event (
    answer_id uuid    not null references shopkeeper.answer on delete cascade,
    n         bigint  not null,
    kind      text    not null check (kind in ('sources', 'delta', 'reset')),
    data      jsonb   not null,
    primary key (answer_id, n)
);

comment on table shopkeeper.answer_event is 'What is said of an answer while it is made. It outlives the answer''s end by an hour.';
comment on column shopkeeper.answer_event.n is '10000 for each fence of the job, and a number within the run.';

-- Settles a question with the columns of a row, completes its job and adds its cost to the day's, all or nothing, and
-- tells those who listen; false when the job is not held under its fence any more. Of a question that was cancelled
-- meanwhile, only the job.
create function shopkeeper.settle(
    answer uuid, job bigint, fence bigint, settled jsonb, shard smallint, tokens bigint, usd double precision
) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    ended record;
    told  bigint;
begin
    select * into ended from shopkeeper.finish(array[settle.job], array[settle.fence]);
    if not found then
        -- Somebody may have locked the job's row: he is waited for.
        perform from shopkeeper.job as held
        where held.id = settle.job and held.fence = settle.fence and held.worker is not null for update;
        select * into ended from shopkeeper.finish(array[settle.job], array[settle.fence]);
        if not found then
            return false;
        end if;
    end if;
    if ended.group_key is not null then
        perform shopkeeper.advance(ended.kind, array[ended.group_key]);
    end if;
    if ended.again then
        perform pg_notify('shopkeeper_job', ended.kind);
    end if;
    if settle.tokens is not null then
        insert into shopkeeper.usage as usage (operation, shard, tokens, usd)
        values ('answer', settle.shard, settle.tokens, settle.usd)
        on conflict (day, operation, shard) do update
        set tokens = usage.tokens + excluded.tokens, usd = usage.usd + excluded.usd;
    end if;
    with written as (
        update shopkeeper.answer as known
        set status = new.status, outcome = new.outcome, incomplete_reason = new.incomplete_reason,
            standalone_question = new.standalone_question, answer = new.answer, sources = new.sources,
            citations = new.citations, nearest_distance = new.nearest_distance,
            escalation_threshold = new.escalation_threshold, needs_escalation = new.escalation_reason is not null,
            escalation_reason = new.escalation_reason, grounding = new.grounding, draft = new.draft,
            usage = new.usage, error = new.error, completed_at = now()
        from jsonb_populate_record(null::shopkeeper.answer, settle.settled) as new
        where known.id = settle.answer and known.status = 'in_progress' and known.fence = settle.fence
        returning known.id
    )
    select count(pg_notify('shopkeeper_answer', id::text)) into told from written;
    return true;
end
$$;

create table shopkeeper.feedback (
    answer_id  uuid primary key references shopkeeper.answer on delete cascade,
    rating     text        not null check (rating in ('up', 'down')),
    comment    text,
    created_at timestamptz not null default now()
);

comment on table shopkeeper.feedback is 'What customers say of answers: the last word counts.';

-- Of one client, or of all when it is null; false when there is no such answer.
create function shopkeeper.rate_answer(client text, answer uuid, rating text, comment text) returns boolean
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

create function shopkeeper.feedback(answer uuid, rating text, comment text default null) returns boolean
language sql
security definer
set search_path = pg_catalog, pg_temp
return shopkeeper.rate_answer(session_user, answer, rating, comment);

comment on function shopkeeper.feedback is 'Says what a customer thinks of an answer: up or down.';

-- Removes questions with everything that came of them. A worker that is at one of them finds nothing to write to.
create function shopkeeper.erase_answers(answers uuid[]) returns bigint
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
    delete from shopkeeper.job_history as history where history.kind = any (kinds) and history.key = any (keys);
    if groups is not null then
        perform shopkeeper.advance('answer_question', groups);
    end if;
    return erased;
end
$$;

-- Of one client, or of all when it is null.
create function shopkeeper.erase_session(client text, session text) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    erased bigint;
begin
    -- The lock holds back whoever asks in this session right now; what he asks afterwards is of a new one.
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

create function shopkeeper.erase_customer(client text, customer text) returns bigint
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
    return erased + coalesce(rest, 0);
end
$$;

create function shopkeeper.forget_session(session_id text) returns bigint
language sql
security definer
set search_path = pg_catalog, pg_temp
return shopkeeper.erase_session(session_user, session_id);

comment on function shopkeeper.forget_session is 'Removes a session and all that came of it; the number of its questions.';

create function shopkeeper.forget_customer(customer_id text) returns bigint
language sql
security definer
set search_path = pg_catalog, pg_temp
return shopkeeper.erase_customer(session_user, customer_id);

comment on function shopkeeper.forget_customer is 'Removes all sessions and questions of a customer; the number of questions.';

create view shopkeeper.answers with (security_barrier) as
select id, client, session_id, customer_id, seq, status, outcome, incomplete_reason, question, standalone_question,
    answer ->> 'text' as answer, sources, citations, case when nearest_distance is not null then greatest(0, least(1, 1 - nearest_distance)) end as confidence,
    nearest_distance, escalation_threshold, needs_escalation, escalation_reason, grounding, usage, attempt, error,
    metadata, created_at, started_at, completed_at
from shopkeeper.answer
where client = session_user
    or (select pg_has_role(session_user, nspowner, 'MEMBER') from pg_namespace where nspname = 'shopkeeper');

comment on view shopkeeper.answers is 'A client''s answers, for those who ask by SQL.';

-- Whatever ends a job for good, a panic, a worker that died or an operator, also ends what the job was for: an answer
-- that nobody works on is not waited for, and a document that cannot be indexed says why.
create function shopkeeper.give_up() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    told bigint;
begin
    if new.kind = 'answer_question' then
        with failed as (
            update shopkeeper.answer
            set status = case new.outcome when 'dead' then 'failed' else 'cancelled' end, error = new.error,
                needs_escalation = new.outcome = 'dead',
                escalation_reason = case new.outcome when 'dead' then 'failed' end, completed_at = now()
            where id::text = new.key and status in ('queued', 'in_progress')
            returning id
        )
        select count(pg_notify('shopkeeper_answer', id::text)) into told from failed;
    elsif new.kind in ('refresh_document', 'index_documents') then
        insert into shopkeeper.document_index as indexed (version, source, key, indexed_revision, state, error)
        select version.id, document.source, document.key, document.revision, 'failed', coalesce(new.error, new.outcome)
        from shopkeeper.document as document, shopkeeper.index_version as version
        where document.source = new.payload ->> 'source'
            and document.key = any (array(select jsonb_array_elements_text(
                coalesce(new.payload -> 'keys', jsonb_build_array(new.payload -> 'key'))
            )))
            and version.state <> 'dropping'
        on conflict (version, source, key) do update
        set indexed_revision = excluded.indexed_revision, state = 'failed', error = excluded.error, indexed_at = now()
        where indexed.indexed_revision < excluded.indexed_revision;
    end if;
    return null;
end
$$;

create trigger give_up after insert on shopkeeper.job_history
for each row when (new.outcome <> 'done') execute function shopkeeper.give_up();

revoke execute on all functions in schema shopkeeper from public;
