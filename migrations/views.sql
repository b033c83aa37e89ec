-- The views. They call no function of ours, so they could be created before or after the functions.

create or replace view shopkeeper.answers with (security_barrier) as
select id, client, session_id, customer_id, seq, status, outcome, incomplete_reason, question, standalone_question,
    answer ->> 'text' as answer, sources, citations,
    case when nearest_distance is not null then greatest(0, least(1, 1 - nearest_distance)) end as confidence,
    nearest_distance, escalation_threshold, needs_escalation, escalation_reason, grounding, usage, attempt, error,
    metadata, created_at, started_at, completed_at, answered_by, reply_to, doubt, outdated, constraints
from shopkeeper.answer
where client = session_user
    or (select pg_has_role(session_user, nspowner, 'MEMBER') from pg_namespace where nspname = 'shopkeeper');

comment on view shopkeeper.answers is
    'The answers of the client that reads them. Members of the role that owns the schema see all.';

create or replace view shopkeeper.chunks as
select chunk.source, chunk.key, chunk.ordinal, document.title, chunk.content, document.link as url, document.metadata,
    chunk.embedding::vector as embedding, chunk.created_at
from shopkeeper.index_version
join shopkeeper.chunk on chunk.version = index_version.id
join shopkeeper.document using (source, key)
where index_version.state = 'active';

comment on view shopkeeper.chunks is
    'The chunks of the active index version. For nearest neighbours use shopkeeper.search: an order by distance '
    'over this view reads all of it.';

-- A job that started before a version was known everywhere may not write it: a job that started within ten seconds of
-- the version's creation does not count.
create or replace view shopkeeper.left_behind as
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

comment on view shopkeeper.left_behind is
    'Documents whose current revision an index version lacks and no job is about to write.';
