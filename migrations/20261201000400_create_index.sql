-- The search index: documents, and their chunks with vectors, one set for each index version.

create table shopkeeper.source (
    name         text primary key,
    last_sync_at timestamptz,
    poll_mark    jsonb,
    polled_at    timestamptz,
    watcher      text,
    watch_until  timestamptz,
    listed       bigint,
    removed      bigint not null default 0,
    withheld     bigint not null default 0,
    withheld_at  timestamptz
);

comment on table shopkeeper.source is 'One row for each source that a daemon has seen.';
comment on column shopkeeper.source.last_sync_at is 'When the source was last compared in full.';
comment on column shopkeeper.source.poll_mark is 'How far the last poll of the source came.';
comment on column shopkeeper.source.watcher is
    'The daemon that polls the source and reads the notes of its triggers.';
comment on column shopkeeper.source.listed is
    'The number of documents in the last complete listing; null before the first.';
comment on column shopkeeper.source.removed is
    'The number of documents removed since that listing, or allowed to be.';
comment on column shopkeeper.source.withheld is
    'The number of removals that wait because they exceed mass_delete_limit; zero after the next complete listing.';
comment on column shopkeeper.source.withheld_at is 'When removals began to wait.';

create table shopkeeper.index_version (
    id           integer generated always as identity primary key,
    model        text        not null,
    dimensions   integer     not null check (dimensions between 1 and 4000),
    state        text        not null check (state in ('building', 'ready', 'active', 'retired', 'dropping')),
    created_at   timestamptz not null default now(),
    active_at    timestamptz,
    hnsw_deleted bigint,
    unique (model, dimensions)
);

comment on table shopkeeper.index_version is
    'One row for each set of vectors of one model and dimension. Searches read the active version.';
comment on column shopkeeper.index_version.state is
    'building: is being filled. ready: may become active. active: is searched. retired: was active. dropping: is '
    'no longer written.';
comment on column shopkeeper.index_version.active_at is 'When the version last became the active one.';
comment on column shopkeeper.index_version.hnsw_deleted is
    'The number of deleted chunks that PostgreSQL had counted when the HNSW index was built. Each later one is a '
    'dead node of its graph.';

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

comment on table shopkeeper.document is 'The state of the sources: one row for each document.';
comment on column shopkeeper.document.revision is 'Raised by each change that was noticed.';
comment on column shopkeeper.document.row_hash is
    'The hash of the row when it was last listed; 0 if another row was read since; null once the document may be '
    'removed.';
comment on column shopkeeper.document.changed_at is 'When the revision was last raised.';

-- Article numbers as people type them: without separators, in upper or lower case.
create index document_sku on shopkeeper.document (upper(regexp_replace(sku, '[^A-Za-z0-9]', '', 'g')))
where sku is not null;
-- For metadata filters. Documents without metadata do not burden it.
create index document_metadata on shopkeeper.document using gin (metadata jsonb_path_ops) where metadata <> '{}';

create table shopkeeper.document_index (
    version          integer          not null,
    source           text collate "C" not null,
    key              text collate "C" not null,
    indexed_revision bigint           not null,
    fingerprint      bytea,
    state            text             not null check (state in ('fresh', 'failed')),
    error            text,
    rejected_by      text,
    indexed_at       timestamptz      not null default now(),
    primary key (version, source, key)
) with (fillfactor = 80);

comment on table shopkeeper.document_index is
    'The state of each document in each index version. It is stale if indexed_revision is below document.revision.';
comment on column shopkeeper.document_index.fingerprint is
    'The hash of the title, the text and the embedding settings; null if nothing is indexed.';
comment on column shopkeeper.document_index.rejected_by is
    'The model server that will never accept the text of a failed document. Null if something else failed.';

create index document_index_failed on shopkeeper.document_index (source, version) where state = 'failed';
create index document_index_retry on shopkeeper.document_index (source, key) where state = 'failed';

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
comment on column shopkeeper.chunk.ordinal is 'The position in the document, from 1.';
comment on column shopkeeper.chunk.input_hash is
    'The hash of the embedded input. A chunk that is already in the index is not embedded again.';
comment on column shopkeeper.chunk.tokens is
    'The number of tokens of the embedded input: the title, then the content.';

-- Equal inputs have equal vectors, in every document of a version.
create index chunk_input on shopkeeper.chunk (input_hash);

create table shopkeeper.embedding_cache (
    model      text        not null,
    dimensions integer     not null,
    input_hash bytea       not null,
    embedding  halfvec     not null,
    kept_at    timestamptz not null default now(),
    primary key (model, dimensions, input_hash)
);

comment on table shopkeeper.embedding_cache is 'Vectors that left the index, kept in case their texts return.';

create index embedding_cache_kept on shopkeeper.embedding_cache (kept_at);

-- A chunk found by a search, with its distance to the query.
create type shopkeeper.near as (source text, key text, content text, distance double precision);
