-- Documents: how they are refreshed, locked and removed.

-- Has one document read again, in the transaction of the caller. The document need not be known yet. The guard against
-- mass removal does not apply: a caller that names a document wants it removed if its row is gone.
create or replace function shopkeeper.refresh(source text, key text) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    if not exists (select from shopkeeper.source where name = refresh.source) then
        raise exception 'shopkeeper.refresh: there is no source "%"', refresh.source
            using errcode = 'invalid_parameter_value',
                hint = 'Sources are named in jobs.toml; a daemon that starts makes them known here.';
    end if;
    perform shopkeeper.enqueue(
        'refresh_document', refresh.source || '/' || refresh.key,
        jsonb_build_object('source', refresh.source, 'key', refresh.key), priority => 5::smallint
    );
    insert into shopkeeper.document as document (source, key) values (refresh.source, refresh.key)
    on conflict (source, key) do update set revision = document.revision + 1, row_hash = null, changed_at = now();
    return 1;
end
$$;

comment on function shopkeeper.refresh is 'Has one document read again and refreshed.';

-- Locks documents in the one order that every writer keeps, by the bytes of source and key: writers of the same
-- documents wait for each other and never deadlock. Returns the revisions, and whether each document may leave the
-- index.
create or replace function shopkeeper.lock_documents(sources text[], keys text[])
returns table (source text, key text, revision bigint, may_leave boolean)
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
    return query
    select document.source, document.key, document.revision, document.row_hash is null
    from unnest(lock_documents.sources, lock_documents.keys) as wanted (source, key)
    join shopkeeper.document as document
        on document.source = wanted.source collate "C" and document.key = wanted.key collate "C"
    order by document.source, document.key
    for update of document;
end
$$;

comment on function shopkeeper.lock_documents is 'Locks documents in the order that every writer keeps.';

-- Decides whether documents of a source may leave the index. They may not if, together with those that left since the
-- last complete listing, they are more than `allowance` and more than `share` of that listing. A listing names all
-- missing documents at once. A caller that also locks jobs or documents locks them first.
create or replace function shopkeeper.let_leave(
    source text, documents bigint, share double precision, allowance bigint, by_listing boolean,
    out allowed boolean, out known bigint
) returns record
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    leaving bigint;
begin
    select guarded.listed, guarded.removed + let_leave.documents into known, leaving
    from shopkeeper.source as guarded where guarded.name = let_leave.source for update;
    if known is null then
        select count(*) into known from shopkeeper.document as document where document.source = let_leave.source;
    end if;
    leaving := coalesce(leaving, let_leave.documents);
    allowed := leaving <= let_leave.allowance or leaving <= let_leave.share * known;
    update shopkeeper.source as guarded
    -- A complete listing resets the count. Until it is complete, it may be repeated.
    set removed = guarded.removed + case when allowed and not let_leave.by_listing then let_leave.documents else 0 end,
        withheld = case
            when allowed then guarded.withheld
            when let_leave.by_listing then let_leave.documents
            else guarded.withheld + let_leave.documents
        end,
        withheld_at = case when allowed then guarded.withheld_at else coalesce(guarded.withheld_at, now()) end
    where guarded.name = let_leave.source;
end
$$;

comment on function shopkeeper.let_leave is 'Decides whether so many documents of a source may leave the index.';

revoke execute on function shopkeeper.refresh, shopkeeper.lock_documents, shopkeeper.let_leave from public;
