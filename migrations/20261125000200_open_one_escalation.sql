-- A question that is answered once more, and handed over once more, has one escalation that is open: also when it is
-- of no session.

create function shopkeeper.open_once() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (
        select from shopkeeper.escalation as known where known.answer_id = new.answer_id and known.status = 'open'
    ) then
        return null;
    end if;
    return new;
end
$$;

create trigger open_once before insert on shopkeeper.escalation
for each row execute function shopkeeper.open_once();

revoke execute on all functions in schema shopkeeper from public;
