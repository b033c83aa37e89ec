-- A worker that did not hear the reply to a claim asks which jobs it holds. The index of running jobs names the worker,
-- so that the answer costs the same beside any number of jobs that others run. Building it reads the table once; jobs
-- are neither enqueued nor claimed meanwhile.
drop index shopkeeper.job_running;
create index job_running on shopkeeper.job (kind, worker) where state = 'running';

create function shopkeeper.claimed_by(kind text, worker text, jobs bigint, out id bigint, out fence bigint)
returns setof record
language plpgsql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
    return query
    select job.id, job.fence from shopkeeper.job as job
    where job.kind = claimed_by.kind and job.worker = claimed_by.worker and job.state = 'running'
    limit claimed_by.jobs;
end
$$;

comment on function shopkeeper.claimed_by is 'The jobs of a kind that a worker holds under a lease.';

revoke execute on all functions in schema shopkeeper from public;
