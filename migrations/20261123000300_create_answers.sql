-- Questions and their answers. The row is the truth; the job only wakes a worker.
--
-- A client is a service that asks: by SQL the role that logged in, by HTTP the token's client. It sees its own alone.

create table shopkeeper.session (
    client      text        not null,
    id          text        not null check (id <> ''),
    customer_id text,
    owner       text        not null default 'bot' check (owner in ('bot', 'human')),
    created_at  timestamptz not null default now(),
    active_at   timestamptz not null default now(),
    primary key (client, id)
);

comment on table shopkeeper.session is 'Conversations. Whoever adds a question to one locks its row: its questions have one order.';
comment on column shopkeeper.session.owner is 'Who answers. While it is a human, questions are stored, not answered.';

create index session_customer on shopkeeper.session (client, customer_id) where customer_id is not null;
create index session_active on shopkeeper.session (active_at);

create table shopkeeper.answer (
    id                   uuid primary key default gen_random_uuid(),
    client               text        not null,
    session_id           text,
    customer_id          text,
    seq                  bigint generated always as identity,
    idempotency_key      text,
    request              jsonb       not null,
    status               text        not null default 'queued'
        check (status in ('queued', 'in_progress', 'completed', 'incomplete', 'failed', 'cancelled', 'expired')),
    outcome              text check (outcome in ('answered', 'no_answer', 'human_owned', 'superseded', 'fallback')),
    incomplete_reason    text check (incomplete_reason in ('max_tokens', 'content_filter')),
    question             text        not null check (question <> ''),
    standalone_question  text,
    answer               jsonb,
    sources              jsonb       not null default '[]',
    citations            jsonb       not null default '[]',
    nearest_distance     double precision,
    escalation_threshold double precision,
    needs_escalation     boolean     not null default false,
    escalation_reason    text check (escalation_reason in
        ('low_confidence', 'no_passages', 'ungrounded', 'asked_for_human', 'failed', 'paused')),
    grounding            jsonb,
    usage                jsonb,
    attempt              integer     not null default 0,
    fence                bigint      not null default 0,
    draft                text,
    error                text,
    metadata             jsonb       not null default '{}',
    traceparent          text,
    start_before         timestamptz,
    cancel_at            timestamptz,
    created_at           timestamptz not null default now(),
    started_at           timestamptz,
    completed_at         timestamptz,
    unique (client, idempotency_key)
);

comment on table shopkeeper.answer is 'One row for each question that was accepted.';
comment on column shopkeeper.answer.seq is 'The order in which questions were accepted.';
comment on column shopkeeper.answer.request is 'What the client sent; with its idempotency key, sending it again is the same question.';
comment on column shopkeeper.answer.fence is 'Of the claim that works on it; what another one writes is void.';
comment on column shopkeeper.answer.draft is 'What the model said when it was withheld: for the human who takes over.';
comment on column shopkeeper.answer.start_before is 'When it expires if nobody has begun.';
comment on column shopkeeper.answer.cancel_at is 'When it is cancelled if it is not settled.';

create index answer_session on shopkeeper.answer (client, session_id, seq) where session_id is not null;
create index answer_customer on shopkeeper.answer (client, customer_id) where customer_id is not null;
create index answer_open on shopkeeper.answer (client, session_id) where status in ('queued', 'in_progress');
create index answer_start_before on shopkeeper.answer (start_before) where status = 'queued';
create index answer_cancel_at on shopkeeper.answer (cancel_at) where status in ('queued', 'in_progress');
create index answer_created on shopkeeper.answer (created_at);

-- Ends questions that are not settled, and tells those who listen. A worker that is at one of them finds that it is not
-- its own any more; a job that waits finds nothing to do.
create function shopkeeper.end_answers(answers uuid[], status text, outcome text default null) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    ended bigint;
begin
    with ended as (
        update shopkeeper.answer as answer
        set status = end_answers.status, outcome = end_answers.outcome, completed_at = now()
        where answer.id = any (end_answers.answers) and answer.status in ('queued', 'in_progress')
        returning answer.id
    )
    select count(pg_notify('shopkeeper_answer', id::text)) into ended from ended;
    return ended;
end
$$;

-- Ends what is past its time: unstarted work expires, what takes too long is cancelled.
create function shopkeeper.end_overdue_answers() returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
    select coalesce(sum(shopkeeper.end_answers(array[overdue.id], overdue.status)), 0)::bigint
    from (
        (
            select id, 'expired' as status from shopkeeper.answer
            where status = 'queued' and start_before <= now() limit 1000
        )
        union all
        (
            select id, 'cancelled' from shopkeeper.answer
            where status in ('queued', 'in_progress') and cancel_at <= now() limit 1000
        )
    ) as overdue;
end;

-- Accepts what a client sends: an object with the fields of POST /v1/answers, looked at by the caller.
create function shopkeeper.accept_question(
    client text, idempotency_key text, request jsonb, traceparent text default null
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    asked     constant jsonb := (
        select jsonb_object_agg(key, value) from jsonb_each(accept_question.request) where value <> 'null'
    );
    session   constant text  := asked ->> 'session_id';
    owner     text := 'bot';
    earlier   shopkeeper.answer;
    answer_id uuid;
begin
    if session is not null then
        insert into shopkeeper.session as known (client, id, customer_id)
        values (accept_question.client, session, asked ->> 'customer_id')
        on conflict (client, id) do update
        set active_at = now(), customer_id = coalesce(excluded.customer_id, known.customer_id)
        returning known.owner into owner;
    end if;
    if accept_question.idempotency_key is not null then
        -- A key is kept for a day.
        update shopkeeper.answer as answer set idempotency_key = null
        where answer.client = accept_question.client and answer.idempotency_key = accept_question.idempotency_key
            and answer.created_at < now() - interval '24 hours';
        select answer.* into earlier from shopkeeper.answer as answer
        where answer.client = accept_question.client and answer.idempotency_key = accept_question.idempotency_key;
    end if;
    if earlier.id is null then
        if session is not null and asked ->> 'on_busy' = 'reject' and exists (
            select from shopkeeper.answer as answer
            where answer.client = accept_question.client and answer.session_id = session
                and answer.status in ('queued', 'in_progress')
        ) then
            raise exception 'session_busy: a question of session % is not answered yet', session using errcode = 'SK001';
        end if;
        insert into shopkeeper.answer as answer (
            client, session_id, customer_id, idempotency_key, request, question, metadata, traceparent, start_before,
            cancel_at, status, outcome, completed_at
        )
        values (
            accept_question.client, session, asked ->> 'customer_id', accept_question.idempotency_key, asked,
            asked ->> 'question', coalesce(asked -> 'metadata', '{}'), accept_question.traceparent,
            (asked ->> 'start_before')::timestamptz,
            now() + (asked ->> 'cancel_after_s')::double precision * interval '1 second',
            case owner when 'human' then 'completed' else 'queued' end,
            case owner when 'human' then 'human_owned' end, case owner when 'human' then now() end
        )
        on conflict (client, idempotency_key) do nothing
        returning answer.id into answer_id;
    end if;
    if answer_id is null then
        if earlier.id is null then
            select answer.* into earlier from shopkeeper.answer as answer
            where answer.client = accept_question.client and answer.idempotency_key = accept_question.idempotency_key;
        end if;
        if earlier.request is distinct from asked then
            raise exception 'idempotency_mismatch: the key % was used for another question',
                accept_question.idempotency_key using errcode = 'SK002';
        end if;
        return earlier.id;
    end if;
    if session is not null and asked ->> 'on_busy' = 'supersede' then
        perform shopkeeper.end_answers(array_agg(answer.id), 'cancelled', 'superseded')
        from shopkeeper.answer as answer
        where answer.client = accept_question.client and answer.session_id = session and answer.id <> answer_id
            and answer.status in ('queued', 'in_progress');
    end if;
    if owner = 'human' then
        perform pg_notify('shopkeeper_answer', answer_id::text);
    else
        perform shopkeeper.enqueue(
            'answer_question', answer_id::text,
            priority => coalesce((asked ->> 'priority')::smallint, 10::smallint),
            group_key => accept_question.client || ':' || session, traceparent => accept_question.traceparent
        );
    end if;
    return answer_id;
end
$$;

-- Asks a question in the caller's transaction. A key that was used before gives the answer that it made.
create function shopkeeper.ask(
    question        text,
    session_id      text default null,
    idempotency_key text default null,
    sources         text[] default null,
    metadata        jsonb default null,
    customer_id     text default null,
    locale          text default null,
    history         jsonb default null,
    on_busy         text default null,
    priority        smallint default null,
    start_before    timestamptz default null,
    cancel_after_s  double precision default null,
    filter          jsonb default null,
    webhook         text default null,
    traceparent     text default null
) returns uuid
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if coalesce(question, '') !~ '[^[:space:]]' then
        raise exception 'shopkeeper.ask: the question is empty' using errcode = 'invalid_parameter_value';
    end if;
    if session_id = '' then
        raise exception 'shopkeeper.ask: session_id is empty' using errcode = 'invalid_parameter_value';
    end if;
    if idempotency_key = '' then
        raise exception 'shopkeeper.ask: idempotency_key is empty' using errcode = 'invalid_parameter_value';
    end if;
    if array_position(sources, null) is not null then
        raise exception 'shopkeeper.ask: sources holds a null' using errcode = 'invalid_parameter_value';
    end if;
    if start_before not between '1970-01-01'::timestamptz and '9999-12-31'::timestamptz then
        raise exception 'shopkeeper.ask: start_before is %, too far away', start_before
            using errcode = 'invalid_parameter_value';
    end if;
    if on_busy not in ('enqueue', 'reject', 'supersede') then
        raise exception 'shopkeeper.ask: on_busy is %, not enqueue, reject or supersede', quote_literal(on_busy)
            using errcode = 'invalid_parameter_value';
    end if;
    if not (cancel_after_s > 0 and cancel_after_s < 31536000) then
        raise exception 'shopkeeper.ask: cancel_after_s is %, not above 0 and below a year', cancel_after_s
            using errcode = 'invalid_parameter_value';
    end if;
    if jsonb_typeof(filter) <> 'object' then
        raise exception 'shopkeeper.ask: filter is no object' using errcode = 'invalid_parameter_value';
    end if;
    if jsonb_typeof(metadata) <> 'object' then
        raise exception 'shopkeeper.ask: metadata is no object' using errcode = 'invalid_parameter_value';
    end if;
    if jsonb_typeof(history) <> 'array' or exists (
        select from jsonb_array_elements(history) as message (message)
        where coalesce(message ->> 'role' not in ('user', 'assistant'), true)
            or coalesce(jsonb_typeof(message -> 'content') <> 'string', true)
            or message - 'role' - 'content' <> '{}'
    ) then
        raise exception 'shopkeeper.ask: history is no array of {"role": "user" or "assistant", "content": text}'
            using errcode = 'invalid_parameter_value';
    end if;
    return shopkeeper.accept_question(session_user, idempotency_key, jsonb_build_object(
        'question', question, 'session_id', session_id, 'sources', sources, 'metadata', metadata,
        'customer_id', customer_id, 'locale', locale, 'history', history, 'on_busy', on_busy,
        'priority', priority, 'start_before', start_before, 'cancel_after_s', cancel_after_s,
        'filter', filter, 'webhook', webhook
    ), traceparent);
end
$$;

comment on function shopkeeper.ask is 'Asks a question; listen to shopkeeper_answer, then read shopkeeper.answers.';

create function shopkeeper.cancel_answer(answer uuid) returns boolean
language sql
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select coalesce(sum(shopkeeper.end_answers(array[known.id], 'cancelled')), 0) > 0
    from shopkeeper.answer as known where known.id = cancel_answer.answer and known.client = session_user;
end;

comment on function shopkeeper.cancel_answer is 'Cancels a question that is not settled; false when it is, or is not yours.';

-- Without this anybody who can reach the schema could run what runs with its owner's rights.
revoke execute on all functions in schema shopkeeper from public;
