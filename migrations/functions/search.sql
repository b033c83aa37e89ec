-- Searching the index.

-- The condition fits shopkeeper.document and, without a metadata filter, shopkeeper.chunk.
create or replace function shopkeeper.filter_condition(sources text[], filter jsonb, path jsonpath) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
return coalesce(nullif(concat_ws(
    ' and ',
    case when sources is not null then format('source = any (%L::text[])', sources) end,
    -- The second condition lets the planner use the partial index document_metadata.
    case when filter is not null then format('metadata @> %L::jsonb and metadata <> ''{}''', filter) end,
    case when path is not null then format('metadata @@ %L::jsonpath', path) end
), ''), 'true');

comment on function shopkeeper.filter_condition is 'Returns a filter as an SQL condition.';

-- Returns how many chunks a walk through the HNSW index may visit before it is given up, or null if so few chunks
-- match, by the planner's statistics, that reading each match costs less. A walk visits `chunks / matching` chunks for
-- each match, and a visit costs about eight times as much as the lookup of a match: pages read, measured at 100,000
-- chunks. The planner knows nothing of a path: it counts as if one document in ten matched.
create or replace function shopkeeper.walk_limit(version integer, top_k integer, sources text[], filter jsonb, path jsonpath)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    condition constant text := shopkeeper.filter_condition(sources, filter, null);
    rows      double precision[] := '{}';
    matching  double precision;
    expected  double precision;
    plan      json;
    statement text;
begin
    foreach statement in array array[
        'shopkeeper.document', 'shopkeeper.document where ' || condition, format('shopkeeper.chunk_%s', walk_limit.version)
    ] loop
        execute 'explain (format json) select from ' || statement into plan;
        rows := rows || (plan -> 0 -> 'Plan' ->> 'Plan Rows')::double precision;
    end loop;
    matching := greatest(1, rows[3] * rows[2] / greatest(1, rows[1]) * case when walk_limit.path is null then 1 else 0.1 end);
    expected := walk_limit.top_k * rows[3] / matching;
    return case when 8 * expected < matching then greatest(1000, least(20000, 10 * expected)) end;
end
$$;

comment on function shopkeeper.walk_limit is
    'Returns how far a filtered search walks through the HNSW index; null if it reads each match.';

-- Uses the HNSW index if many chunks match the filter. Reads each match if few do, or if the walk through the index
-- found too few: pgvector ends a walk after hnsw.max_scan_tuples, or when its memory is full, whatever it has found.
create or replace function shopkeeper.nearest_within(
    version integer, query halfvec, top_k integer, sources text[], filter jsonb, path jsonpath
)
returns table (
    source   text,
    key      text,
    title    text,
    content  text,
    link     text,
    metadata jsonb,
    distance double precision
)
language plpgsql
set search_path = pg_catalog, pg_temp
set hnsw.iterative_scan = strict_order
set hnsw.max_scan_tuples = 20000
as $$
#variable_conflict use_column
declare
    walk_limit   constant integer := shopkeeper.walk_limit(
        nearest_within.version, nearest_within.top_k, nearest_within.sources, nearest_within.filter, nearest_within.path
    );
    by_documents constant boolean := nearest_within.filter is not null or nearest_within.path is not null;
    condition    constant text :=
        shopkeeper.filter_condition(nearest_within.sources, nearest_within.filter, nearest_within.path);
    found_chunks shopkeeper.near[] := '{}';
    pgvector     text;
    statement    text;
begin
    select nspname into pgvector from pg_extension join pg_namespace on pg_namespace.oid = extnamespace
    where extname = 'vector';
    if walk_limit is not null then
        perform set_config('hnsw.max_scan_tuples', walk_limit::text, true);
        statement := format(
            'select array_agg(near) from (
                 select (source, key, content, distance)::shopkeeper.near as near from (
                     select source, key, content,
                         embedding::%1$I.halfvec(%2$s) operator(%1$I.<=>) $1::%1$I.halfvec(%2$s) as distance
                     from shopkeeper.chunk where version = %3$s and %4$s
                     order by embedding::%1$I.halfvec(%2$s) operator(%1$I.<=>) $1::%1$I.halfvec(%2$s) limit $2
                 ) as nearest
             ) as all_near',
            pgvector, (select known.dimensions from shopkeeper.index_version as known where known.id = nearest_within.version),
            nearest_within.version,
            case when by_documents then format(
                '(select %s from shopkeeper.document where (source, key) = (chunk.source, chunk.key))', condition
            ) else condition end
        );
        execute statement into found_chunks using nearest_within.query, nearest_within.top_k;
    end if;
    if coalesce(cardinality(found_chunks), 0) < nearest_within.top_k then
        statement := format(
            'select array_agg(near) from (
                 select (source, key, content, distance)::shopkeeper.near as near from (
                     select source, key, content, (embedding operator(%1$I.<=>) $1) + 0 as distance
                     from %2$s where version = %3$s and %4$s order by 4, 1, 2 limit $2
                 ) as nearest
             ) as all_near',
            pgvector,
            case when by_documents then 'shopkeeper.document join shopkeeper.chunk using (source, key)' else 'shopkeeper.chunk' end,
            nearest_within.version, condition
        );
        execute statement into found_chunks using nearest_within.query, nearest_within.top_k;
    end if;
    return query
    select near.source, near.key, document.title, near.content, document.link, document.metadata, near.distance
    from unnest(found_chunks) as near
    join shopkeeper.document as document
        on document.source = near.source collate "C" and document.key = near.key collate "C"
    -- The distance to a vector of zeros.
    where near.distance <> 'NaN'
    order by near.distance, near.source, near.key;
end
$$;

comment on function shopkeeper.nearest_within is 'Finds the nearest chunks that match a filter, nearest first.';

-- Stable, so that a vector and the version it is compared with are of one snapshot if one statement reads both. The
-- version, its dimensions and the schema of pgvector are written into the statement: only then does it match the HNSW
-- index of the version's partition.
create or replace function shopkeeper.search(query vector, top_k integer default 5, in_source text default null)
returns table (
    source   text,
    key      text,
    title    text,
    content  text,
    distance double precision,
    score    double precision,
    url      text,
    metadata jsonb
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set hnsw.iterative_scan = strict_order
as $$
declare
    active     shopkeeper.index_version;
    pgvector   text;
    dimensions integer;
    nearest    text;
begin
    select * into active from shopkeeper.index_version where state = 'active';
    if not found or search.query is null then
        return;
    end if;
    select nspname into pgvector from pg_extension join pg_namespace on pg_namespace.oid = extnamespace
    where extname = 'vector';
    execute format('select %I.vector_dims($1)', pgvector) into dimensions using search.query;
    if dimensions <> active.dimensions then
        raise exception 'shopkeeper.search: the vector has % dimensions, those of the index have %',
            dimensions, active.dimensions using errcode = 'invalid_parameter_value';
    end if;
    if search.in_source is not null then
        nearest := format('shopkeeper.nearest_within(%s, $1::%I.halfvec, $2, array[$3], null, null)', active.id, pgvector);
    else
        nearest := format(
            '(
                 select near.source, near.key, document.title, near.content, document.link, document.metadata, near.distance
                 from (
                     select source, key, content,
                         embedding::%1$I.halfvec(%2$s) operator(%1$I.<=>) $1::%1$I.halfvec(%2$s) as distance
                     from shopkeeper.chunk where version = %3$s and $3 is null
                     order by embedding::%1$I.halfvec(%2$s) operator(%1$I.<=>) $1::%1$I.halfvec(%2$s) limit $2
                 ) as near
                 join shopkeeper.document using (source, key)
             )',
            pgvector, active.dimensions, active.id
        );
    end if;
    return query execute format(
        'select source, key, title, content, distance, greatest(0, least(1, 1 - distance)), link, metadata
         from %s as near where distance <> ''NaN'' order by distance, source, key',
        nearest
    ) using search.query, search.top_k, search.in_source;
end
$$;

comment on function shopkeeper.search is 'Finds the chunks nearest to a vector by cosine distance, nearest first.';

revoke execute on function shopkeeper.search from public;
-- They read with the rights of the caller, for roles that may only read our tables.
grant execute on function shopkeeper.filter_condition, shopkeeper.walk_limit, shopkeeper.nearest_within to
    public;
