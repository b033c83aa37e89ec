-- What is searched: documents, and their chunks with vectors, one set for each index version.

create table shopkeeper.source (
    name         text primary key,
    last_sync_at timestamptz,
    poll_mark    jsonb,
    polled_at    timestamptz,
    watcher      text,
    watch_until  timestamptz
);

comment on table shopkeeper.source is 'One row for each source that a daemon has seen.';
comment on column shopkeeper.source.last_sync_at is 'When it was last compared in full.';
comment on column shopkeeper.source.poll_mark is 'How far the source had come when it was last polled.';
comment on column shopkeeper.source.watcher is 'The daemon that polls it and reads what triggers noted.';

create table shopkeeper.index_version (
    id         integer generated always as identity primary key,
    model      text        not null,
    dimensions integer     not null check (dimensions between 1 and 4000),
    state      text        not null check (state in ('building', 'ready', 'active', 'retired', 'dropping')),
    created_at timestamptz not null default now(),
    active_at  timestamptz,
    unique (model, dimensions)
);

comment on table shopkeeper.index_version is 'Vectors of one model and dimension; the active version is searched.';
comment on column shopkeeper.index_version.state is
    'building: is being filled; ready: may become active; retired: was active; dropping: is no longer written.';
comment on column shopkeeper.index_version.active_at is 'When it last became the active one.';

create unique index index_version_active on shopkeeper.index_version (state) where state = 'active';

create table shopkeeper.document (
    source     text collate "C" not null,
    key        text collate "C" not null,
    revision   bigint           not null default 1,
    row_hash   bigint,
    title      text             not null default '',
    link       text,
    sku        text,
    metadata   jsonb            not null default '{}',
    changed_at timestamptz      not null default now(),
    primary key (source, key)
) with (fillfactor = 80);

-- As people write it: without what stands between its parts, in any case of letters.
create index document_sku on shopkeeper.document (upper(regexp_replace(sku, '[^A-Za-z0-9]', '', 'g')))
where sku is not null;

comment on table shopkeeper.document is 'The state of the sources: one row for each document.';
comment on column shopkeeper.document.revision is 'Raised by each change that was noticed.';
comment on column shopkeeper.document.row_hash is 'Of the row when it was last listed; null when it is no longer listed.';
comment on column shopkeeper.document.changed_at is 'When the revision was raised.';

create table shopkeeper.document_index (
    version          integer          not null,
    source           text collate "C" not null,
    key              text collate "C" not null,
    indexed_revision bigint           not null,
    fingerprint      bytea,
    state            text             not null check (state in ('fresh', 'failed')),
    error            text,
    indexed_at       timestamptz      not null default now(),
    primary key (version, source, key)
) with (fillfactor = 80);

comment on table shopkeeper.document_index is 'What of a document is in an index version. Stale: indexed_revision is behind document.revision.';
comment on column shopkeeper.document_index.fingerprint is 'Of the title, the text and the embedding settings; null when nothing is indexed.';

create index document_index_failed on shopkeeper.document_index (source, version) where state = 'failed';

create table shopkeeper.chunk (
    version    integer          not null,
    source     text collate "C" not null,
    key        text collate "C" not null,
    ordinal    integer          not null,
    input_hash bytea            not null,
    content    text             not null,
    tokens     integer          not null,
    embedding  halfvec          not null,
    created_at timestamptz      not null default now(),
    primary key (version, source, key, input_hash)
) partition by list (version);

comment on table shopkeeper.chunk is 'Parts of documents with their vectors, one partition for each index version.';
comment on column shopkeeper.chunk.ordinal is 'Its place in the document, from 1.';
comment on column shopkeeper.chunk.input_hash is 'Of what was embedded: a chunk that is in the index is not embedded again.';
comment on column shopkeeper.chunk.tokens is 'Of what was embedded: the title, then the content.';

-- Has one document read again and refreshed, in the caller's transaction: also one that is not known yet.
create function shopkeeper.refresh(source text, key text) returns bigint
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
    on conflict (source, key) do update set revision = document.revision + 1, changed_at = now();
    return 1;
end
$$;

comment on function shopkeeper.refresh is 'Has one document read again and refreshed.';

-- The same input has the same vector in every document of a version.
create index chunk_input on shopkeeper.chunk (input_hash);

create table shopkeeper.embedding_cache (
    model      text        not null,
    dimensions integer     not null,
    input_hash bytea       not null,
    embedding  halfvec     not null,
    kept_at    timestamptz not null default now(),
    primary key (model, dimensions, input_hash)
);

comment on table shopkeeper.embedding_cache is 'Vectors that left the index, in case their texts come back.';

create index embedding_cache_kept on shopkeeper.embedding_cache (kept_at);

-- Vectors that were made of the same inputs with the same model. The version is hidden from the planner, which otherwise
-- may take the primary key and read all of it.
create function shopkeeper.find_vectors(version integer, model text, dimensions integer, input_hashes bytea[])
returns table (input_hash bytea, embedding halfvec)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
    return query
    select found.input_hash, found.embedding
    from (
        select wanted.input_hash, coalesce(
            (
                select embedding from shopkeeper.chunk
                where chunk.input_hash = wanted.input_hash and chunk.version + 0 = find_vectors.version limit 1
            ),
            (
                select embedding from shopkeeper.embedding_cache as cache
                where cache.model = find_vectors.model and cache.dimensions = find_vectors.dimensions
                    and cache.input_hash = wanted.input_hash
            )
        ) as embedding
        from unnest(input_hashes) as wanted (input_hash)
    ) as found
    where found.embedding is not null;
end
$$;

comment on function shopkeeper.find_vectors is 'Vectors that are in the index or were, by the hashes of their inputs.';

-- Makes an index version without its HNSW index: that is built once it is filled, which takes a fraction of the time.
-- The partition is attached and not created as one: so nobody who reads or writes other versions waits. Vectors stand in
-- its rows and not beside them: a quarter faster to write, and no second look-up to compare one.
create function shopkeeper.create_index(model text, dimensions integer, state text)
returns shopkeeper.index_version
language plpgsql
as $$
declare
    created shopkeeper.index_version;
begin
    insert into shopkeeper.index_version (model, dimensions, state, active_at)
    values (
        create_index.model, create_index.dimensions, create_index.state,
        case create_index.state when 'active' then now() end
    )
    returning * into created;
    execute format(
        'create table shopkeeper.chunk_%1$s (like shopkeeper.chunk including all) with (toast_tuple_target = 8160);
         alter table shopkeeper.chunk attach partition shopkeeper.chunk_%1$s for values in (%1$s)',
        created.id
    );
    return created;
end
$$;

comment on function shopkeeper.create_index is 'Makes an index version.';

-- Makes the first index version, or finds the active one. The lock is held for the transaction, so that
-- several daemons that start at once make one.
create function shopkeeper.open_index(model text, dimensions integer)
returns shopkeeper.index_version
language plpgsql
as $$
declare
    active shopkeeper.index_version;
begin
    perform pg_advisory_xact_lock(hashtextextended('shopkeeper.open_index', 0));
    select * into active from shopkeeper.index_version where state = 'active';
    -- One that holds nothing is no reason to keep a model that was named by mistake.
    if found and (active.model, active.dimensions) <> (open_index.model, open_index.dimensions)
        and not exists (select from shopkeeper.chunk where version = active.id)
        and not exists (select from shopkeeper.index_version where id <> active.id)
    then
        delete from shopkeeper.document_index where version = active.id;
        delete from shopkeeper.index_version where id = active.id;
        execute format('drop table shopkeeper.chunk_%s', active.id);
        active := null;
    end if;
    if active.id is null then
        active := shopkeeper.create_index(open_index.model, open_index.dimensions, 'active');
    end if;
    return active;
end
$$;

comment on function shopkeeper.open_index is 'The active index version; made when there is none yet.';

-- The documents of which a version lacks the present revision, although no job will write it.
create view shopkeeper.left_behind as
select version.id as version, document.source, document.key, indexed.state = 'failed' as has_failed
from shopkeeper.index_version as version
cross join shopkeeper.document as document
left join shopkeeper.document_index as indexed
    on indexed.version = version.id and indexed.source = document.source and indexed.key = document.key
where (indexed.indexed_revision is null or indexed.indexed_revision < document.revision or indexed.state = 'failed')
    and not exists (
        select from shopkeeper.job
        where job.kind = 'refresh_document' and job.key = document.source || '/' || document.key
    );

comment on view shopkeeper.left_behind is 'Documents that an index version lacks, and that no job is about to write.';

-- How many documents a job refreshes: it names one, or many.
create function shopkeeper.documents_of(payload jsonb) returns integer
language sql immutable
set search_path = pg_catalog, pg_temp
return coalesce(jsonb_array_length(payload -> 'keys'), 1);
