-- One client that keeps a question locked keeps no other past its time.

create or replace function shopkeeper.end_overdue_answers() returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
    with expired as (
        select id, 'expired' as status from shopkeeper.answer
        where status = 'queued' and start_before <= now() limit 1000 for no key update skip locked
    ), cancelled as (
        select id, 'cancelled' as status from shopkeeper.answer
        where status in ('queued', 'in_progress') and cancel_at <= now() limit 1000 for no key update skip locked
    )
    select coalesce(sum(shopkeeper.end_answers(array[overdue.id], overdue.status)), 0)::bigint
    from (select * from expired union all select * from cancelled) as overdue;
end;
