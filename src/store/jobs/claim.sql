with due as materialized (
    select id from shopkeeper.job
    where kind = $1 and state = 'ready'
        and not exists (select from shopkeeper.queue_kind where kind = $1 and paused_at is not null)
    order by priority desc, run_at, id
    limit $2
    for update skip locked
)
update shopkeeper.job as job
set state = 'running', worker = $3, fence = fence + 1, lease_until = now() + $4, started_at = now(),
    attempts = attempts + 1, max_attempts = coalesce(max_attempts, $5), dirty = false
from due
where job.id = due.id
returning job.id, job.fence, job.key, job.payload, job.priority, job.attempts, job.max_attempts as "max_attempts!",
    extract(epoch from now() - greatest(job.run_at, job.created_at))::double precision as "waited!"
