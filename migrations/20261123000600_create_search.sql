-- What other programs read of the index, whichever version is active.

create view shopkeeper.chunks as
select chunk.source, chunk.key, chunk.ordinal, document.title, chunk.content, document.link as url, document.metadata,
    chunk.embedding::vector as embedding, chunk.created_at
from shopkeeper.index_version
join shopkeeper.chunk on chunk.version = index_version.id
join shopkeeper.document using (source, key)
where index_version.state = 'active';

comment on view shopkeeper.chunks is
    'The chunks of the active index version. For nearest neighbours use shopkeeper.search: ordering by this view reads it all.';

-- Stable: a vector and the version that it is compared with are of one snapshot when both come from one statement.
-- The version, its dimensions and the schema of pgvector are written into the statement, because only then it fits the
-- HNSW index of the version's partition.
create function shopkeeper.search(query vector, top_k integer default 5, in_source text default null)
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
    return query execute format(
        'select near.source, near.key, document.title, near.content, near.distance,
             greatest(0, least(1, 1 - near.distance)), document.link, document.metadata
         from (
             select source, key, content, embedding::%1$I.halfvec(%2$s) operator(%1$I.<=>) $1::%1$I.halfvec(%2$s) as distance
             from shopkeeper.chunk where version = %3$s and ($3 is null or source = $3)
             order by embedding::%1$I.halfvec(%2$s) operator(%1$I.<=>) $1::%1$I.halfvec(%2$s) limit $2
         ) as near
         join shopkeeper.document using (source, key)
         order by near.distance, near.source, near.key',
        pgvector, active.dimensions, active.id
    ) using search.query, search.top_k, search.in_source;
end
$$;

comment on function shopkeeper.search is 'The chunks nearest to a vector by cosine distance, nearest first.';

revoke execute on function shopkeeper.search from public;
