-- A filtered search finds the nearest chunks that match also where few do. pgvector's walk through the HNSW index ends after
-- hnsw.max_scan_tuples, or when its memory is full, whether or not it has found any.

-- Documents of a metadata filter. Those that show no metadata, as long as they are not read yet, cost it nothing.
create index document_metadata on shopkeeper.document using gin (metadata jsonb_path_ops) where metadata <> '{}';

create type shopkeeper.near as (source text, key text, content text, distance double precision);

-- The condition of a filter, as SQL on shopkeeper.document and, without metadata, on shopkeeper.chunk.
create function shopkeeper.filter_condition(sources text[], filter jsonb) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
return coalesce(nullif(concat_ws(
    ' and ',
    case when sources is not null then format('source = any (%L::text[])', sources) end,
    -- The second condition makes the first one fit the index.
    case when filter is not null then format('metadata @> %L::jsonb and metadata <> ''{}''', filter) end
), ''), 'true');

-- How many chunks a walk through the HNSW index may meet before it is given up, for a filter that lets many through; null
-- where so few match, by the planner's statistics, that it costs less to look at each of them. A walk meets a match after
-- `chunks / matching` others, and each chunk that it meets costs it some eight times as much as a match that is looked up:
-- pages that are read, measured at 100,000 chunks.
create function shopkeeper.walk_limit(version integer, top_k integer, sources text[], filter jsonb) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    condition constant text := shopkeeper.filter_condition(sources, filter);
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
    matching := greatest(1, rows[3] * rows[2] / greatest(1, rows[1]));
    expected := walk_limit.top_k * rows[3] / matching;
    return case when 8 * expected < matching then greatest(1000, least(20000, 10 * expected)) end;
end
$$;

comment on function shopkeeper.walk_limit is 'How far a filtered search walks through the HNSW index; null where it looks at each match.';

-- The nearest chunks that match a filter, nearest first: by the HNSW index where many match, by looking at each match where
-- few do, and where the walk has found too few.
create function shopkeeper.nearest_within(version integer, query halfvec, top_k integer, sources text[], filter jsonb)
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
        nearest_within.version, nearest_within.top_k, nearest_within.sources, nearest_within.filter
    );
    by_documents constant boolean := nearest_within.filter is not null;
    condition    constant text := shopkeeper.filter_condition(nearest_within.sources, nearest_within.filter);
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
    -- Of a vector without length.
    where near.distance <> 'NaN'
    order by near.distance, near.source, near.key;
end
$$;

comment on function shopkeeper.nearest_within is 'The nearest chunks that match a filter, nearest first.';

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
        nearest := format('shopkeeper.nearest_within(%s, $1::%I.halfvec, $2, array[$3], null)', active.id, pgvector);
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

revoke execute on all functions in schema shopkeeper from public;
