-- Asking questions.

-- Accepts an object with the fields of POST /v1/answers, checked by the caller. An idempotency key that was used
-- before returns the answer it created.
create or replace function shopkeeper.accept_question(
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
        -- An idempotency key is valid for a day.
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

comment on function shopkeeper.accept_question is 'Accepts a question; returns the id of its answer.';

create or replace function shopkeeper.ask(
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

-- Rejects a question by SQL that names an unknown source or webhook, as the HTTP API does: it would find nothing, or
-- nobody would be told. As long as no source is known, none is rejected; likewise webhooks.
create or replace function shopkeeper.check_asked_names() returns trigger
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

comment on function shopkeeper.check_asked_names is 'Rejects a question that names an unknown source or webhook.';

revoke execute on function shopkeeper.accept_question, shopkeeper.ask, shopkeeper.check_asked_names from public;
