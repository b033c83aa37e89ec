-- What humans do with escalated questions. Each function locks the session first, then the escalation, as erasure does.

-- The session of an answer, locked.
create or replace function shopkeeper.lock_session(answer uuid) returns shopkeeper.session
language sql
set search_path = pg_catalog, pg_temp
begin atomic
    select session from shopkeeper.answer as known
    join shopkeeper.session as session on session.client = known.client and session.id = known.session_id
    where known.id = lock_session.answer for update of session;
end;

comment on function shopkeeper.lock_session is 'Locks the session of an answer; null if it has none.';

-- Takes an escalation for a human, and its session from the bot. False if it is resolved, or another human's.
create or replace function shopkeeper.claim_escalation(escalation uuid, human text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    session shopkeeper.session := shopkeeper.lock_session((
        select answer_id from shopkeeper.escalation as known where known.id = claim_escalation.escalation
    ));
begin
    update shopkeeper.escalation as known
    set status = 'acknowledged', acked_at = coalesce(acked_at, now()), claimed_by = claim_escalation.human
    where known.id = claim_escalation.escalation and status <> 'resolved'
        and coalesce(claimed_by, claim_escalation.human) = claim_escalation.human;
    if not found then
        return false;
    end if;
    update shopkeeper.session as known set owner = 'human' where known.client = session.client and known.id = session.id;
    return true;
end
$$;

comment on function shopkeeper.claim_escalation is 'Takes an escalation for a human; false if it is resolved or another''s.';

-- Resolves an escalation without an answer, and gives its session back to the bot. False if it is resolved.
create or replace function shopkeeper.hand_back(escalation uuid) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    session shopkeeper.session := shopkeeper.lock_session((
        select answer_id from shopkeeper.escalation as known where known.id = hand_back.escalation
    ));
begin
    update shopkeeper.escalation as known
    set status = 'resolved', resolved_at = now(), acked_at = coalesce(acked_at, now())
    where known.id = hand_back.escalation and status <> 'resolved';
    if not found then
        return false;
    end if;
    update shopkeeper.session as known set owner = 'bot' where known.client = session.client and known.id = session.id;
    return true;
end
$$;

comment on function shopkeeper.hand_back is 'Resolves an escalation without an answer; false if it is resolved.';

-- Replies to a question as a human: a new answer of its session, which other services are told of as of any other. With an
-- escalation, that is resolved; without one, a human must have the session. Returns null if it is resolved, or the bot has
-- the session. Unless the human stays, the bot has the session afterwards.
create or replace function shopkeeper.reply_as_human(
    question uuid, escalation uuid, reply text, author text, stays boolean
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    session shopkeeper.session := shopkeeper.lock_session(reply_as_human.question);
    asked   shopkeeper.answer;
    told    uuid;
begin
    select * into asked from shopkeeper.answer as known where known.id = reply_as_human.question;
    if reply_as_human.escalation is not null then
        update shopkeeper.escalation as known
        set status = 'resolved', resolved_at = now(), acked_at = coalesce(acked_at, now()),
            claimed_by = coalesce(claimed_by, reply_as_human.author)
        where known.id = reply_as_human.escalation and answer_id = asked.id and status <> 'resolved';
        if not found then
            return null;
        end if;
    elsif session.owner is distinct from 'human' then
        return null;
    end if;
    insert into shopkeeper.answer (
        client, session_id, customer_id, request, status, outcome, question, standalone_question, answer, answered_by,
        reply_to, metadata, started_at, completed_at
    ) values (
        asked.client, asked.session_id, asked.customer_id, asked.request, 'completed', 'human', asked.question,
        asked.standalone_question, jsonb_build_object(
            'text', reply_as_human.reply, 'language', asked.request -> 'locale', 'finish_reason', null
        ),
        reply_as_human.author, asked.id, asked.metadata, now(), now()
    )
    returning id into told;
    update shopkeeper.session as known
    set owner = case when reply_as_human.stays then 'human' else 'bot' end, active_at = now()
    where known.client = session.client and known.id = session.id;
    perform pg_notify('shopkeeper_answer', told::text);
    return told;
end
$$;

comment on function shopkeeper.reply_as_human is 'Replies to a question as a human; returns the id of the answer.';

revoke execute on function shopkeeper.lock_session, shopkeeper.claim_escalation, shopkeeper.hand_back,
    shopkeeper.reply_as_human from public;
