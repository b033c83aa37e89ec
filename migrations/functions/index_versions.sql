-- Index versions and their vectors.

-- Creates an index version without its HNSW index: building it once the version is filled takes a fraction of the
-- time. The partition is created apart and then attached, so that readers and writers of other versions do not wait.
-- Its vectors are stored in the rows rather than out of line: writing is a quarter faster, and a comparison needs no
-- second lookup.
create or replace function shopkeeper.create_index(model text, dimensions integer, state text)
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

comment on function shopkeeper.create_index is 'Creates an index version.';

-- The lock is held until the end of the transaction, so that daemons that start at once create one version.
create or replace function shopkeeper.open_index(model text, dimensions integer)
returns shopkeeper.index_version
language plpgsql
as $$
declare
    active shopkeeper.index_version;
    unused integer;
begin
    perform pg_advisory_xact_lock(hashtextextended('shopkeeper.open_index', 0));
    select * into active from shopkeeper.index_version where state = 'active';
    -- Empty versions are replaced: their models may have been configured by mistake.
    if found and (active.model, active.dimensions) <> (open_index.model, open_index.dimensions)
        and not exists (select from shopkeeper.chunk)
    then
        for unused in select id from shopkeeper.index_version loop
            delete from shopkeeper.document_index where version = unused;
            delete from shopkeeper.index_version where id = unused;
            execute format('drop table shopkeeper.chunk_%s', unused);
        end loop;
        active := null;
    end if;
    if active.id is null then
        active := shopkeeper.create_index(open_index.model, open_index.dimensions, 'active');
    end if;
    return active;
end
$$;

comment on function shopkeeper.open_index is 'Returns the active index version; creates it if there is none.';

create or replace function shopkeeper.open_second_index(model text, dimensions integer)
returns shopkeeper.index_version
language plpgsql
as $$
declare
    second shopkeeper.index_version;
begin
    perform pg_advisory_xact_lock(hashtextextended('shopkeeper.open_index', 0));
    select * into second from shopkeeper.index_version as known
    where (known.model, known.dimensions) = (open_second_index.model, open_second_index.dimensions);
    if not found then
        second := shopkeeper.create_index(open_second_index.model, open_second_index.dimensions, 'building');
    end if;
    return second;
end
$$;

comment on function shopkeeper.open_second_index is
    'Returns the index version of a second model; creates it if there is none.';

-- Finds vectors made from the same inputs by the same model. `version + 0` hides the column from the planner, which
-- might otherwise use the primary key and read all of it.
create or replace function shopkeeper.find_vectors(version integer, model text, dimensions integer, input_hashes bytea[])
returns table (input_hash bytea, embedding halfvec)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
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

comment on function shopkeeper.find_vectors is
    'Finds vectors in the index and the cache by the hashes of their inputs.';

revoke execute on function shopkeeper.create_index, shopkeeper.open_index, shopkeeper.open_second_index from public;
-- It reads with the rights of the caller, for roles that may only read our tables.
grant execute on function shopkeeper.find_vectors to public;
