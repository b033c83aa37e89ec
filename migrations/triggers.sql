-- The triggers. They stand apart from their functions because replacing a trigger locks its table against writers, which
-- a change of the function alone does not.

create or replace trigger check_asked_names before insert on shopkeeper.answer
for each row when (new.request ?| array['sources', 'webhook'] and new.reply_to is null) execute function shopkeeper.check_asked_names();

create or replace trigger settled after insert or update of status, needs_escalation on shopkeeper.answer
for each row execute function shopkeeper.settled();

create or replace trigger open_once before insert on shopkeeper.escalation
for each row execute function shopkeeper.open_once();
