-- Answers whose products changed after they were given.

-- Remembers the documents that an answer cites, as the answer knew them. A text that changed between the search and now
-- has no fingerprint: the next comparison tells it.
create or replace function shopkeeper.watch_answer(answer uuid, settled jsonb) returns void
language sql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
begin atomic
    insert into shopkeeper.answer_watch (answer_id, source, key, metadata, version, fingerprint, until)
    select watch_answer.answer, watched.source, watched.key, watched.metadata, watched.version, indexed.fingerprint,
        now() + watched.seconds * interval '1 second'
    from jsonb_to_recordset(watch_answer.settled -> 'watched') as watched (
        source text, key text, metadata jsonb, contents text[], version integer, seconds double precision
    )
    left join shopkeeper.document_index as indexed
        on indexed.version = watched.version and indexed.source = watched.source collate "C"
        and indexed.key = watched.key collate "C"
        and not exists (
            select from unnest(watched.contents) as passage (said)
            where not exists (
                select from shopkeeper.chunk as chunk
                where chunk.version = watched.version and chunk.source = watched.source collate "C"
                    and chunk.key = watched.key collate "C" and chunk.content = passage.said
            )
        )
    on conflict do nothing;
end;

comment on function shopkeeper.watch_answer is 'Remembers the documents that an answer cites.';

-- Marks answers that cite documents of a source which are no longer as the answers knew them, at most `most` of them;
-- returns their number. The metadata of the documents are these; without keys, those that we have stored of all.
create or replace function shopkeeper.mark_outdated(
    source text, keys text[], metadata jsonb[], most integer
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    deliveries text[];
    marked     bigint;
begin
    with compared as (
        select watch.answer_id, watch.key, case when document.key is null then array['removed'] else
            case when indexed.fingerprint is distinct from watch.fingerprint then array['text'] else '{}' end
            || array(
                select field from jsonb_object_keys(watch.metadata || present.metadata) as field
                where watch.metadata -> field is distinct from present.metadata -> field order by field
            ) end as changed
        from shopkeeper.answer_watch as watch
        left join shopkeeper.document as document on document.source = watch.source and document.key = watch.key
        left join shopkeeper.document_index as indexed
            on indexed.version = watch.version and indexed.source = watch.source and indexed.key = watch.key
        left join unnest(mark_outdated.keys, mark_outdated.metadata) as given (key, metadata)
            on given.key = watch.key collate "C"
        cross join lateral (
            select case when mark_outdated.keys is null then document.metadata else given.metadata end as metadata
        ) as present
        where watch.source = mark_outdated.source collate "C" and watch.until > now()
            and (mark_outdated.keys is null or watch.key = any (mark_outdated.keys collate "C"))
    ), found as (
        select distinct on (answer_id) answer_id, key, changed from compared
        where changed <> '{}' order by answer_id, key limit mark_outdated.most
    ), forgotten as (
        delete from shopkeeper.answer_watch as watch using found where watch.answer_id = found.answer_id
    ), outdated as (
        update shopkeeper.answer as answer
        set outdated = jsonb_build_object(
            'at', now(), 'source', mark_outdated.source, 'key', found.key, 'changed', found.changed
        )
        from found where answer.id = found.answer_id
        returning answer.id, answer.client, answer.session_id, answer.customer_id, answer.completed_at,
            answer.request, answer.outdated
    ), told as (
        insert into shopkeeper.delivery (webhook, event, answer_id, body)
        select webhook.name, 'answer.outdated', outdated.id, jsonb_build_object(
            'type', 'answer.outdated', 'timestamp', now(), 'data', jsonb_build_object(
                'id', outdated.id, 'object', 'answer', 'session_id', outdated.session_id,
                'customer_id', outdated.customer_id, 'completed_at', outdated.completed_at,
                'outdated', outdated.outdated
            )
        )::text
        from outdated join shopkeeper.webhook as webhook
            on 'answer.outdated' = any (webhook.events) and outdated.client <> 'console'
            and coalesce(outdated.request ->> 'webhook', webhook.name) = webhook.name
        returning id
    )
    select (select array_agg(id::text) from told), (select count(*) from outdated) into deliveries, marked;
    if deliveries is not null then
        perform shopkeeper.enqueue_many(
            'deliver_webhook', deliveries, array_fill('{}'::jsonb, array[cardinality(deliveries)])
        );
    end if;
    return marked;
end
$$;

comment on function shopkeeper.mark_outdated is 'Marks answers whose documents have changed.';

revoke execute on function shopkeeper.watch_answer, shopkeeper.mark_outdated from public;
