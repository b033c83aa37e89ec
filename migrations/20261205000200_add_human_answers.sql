-- Answers that humans write, and escalations that end with them.

alter table shopkeeper.answer
    add column answered_by text,
    add column reply_to    uuid,
    drop constraint answer_outcome_check,
    add constraint answer_outcome_check
        check (outcome in ('answered', 'no_answer', 'human_owned', 'superseded', 'fallback', 'human'));

comment on column shopkeeper.answer.answered_by is 'The human who wrote the answer; null if none did.';
comment on column shopkeeper.answer.reply_to is 'With a human''s answer: the escalated question that it answers.';

-- From a question to the reply of a human.
create index answer_reply on shopkeeper.answer (reply_to) where reply_to is not null;
-- For conversations that humans have.
create index session_of_humans on shopkeeper.session (active_at) where owner = 'human';
-- For lists by outcome, some of which are rare.
create index answer_outcome on shopkeeper.answer (outcome, seq) where outcome is not null;
-- For searches in titles and in questions. An answer is written three times until it is settled: the indexes of what is
-- searched have it once.
create index document_words on shopkeeper.document using gin (to_tsvector('simple', title));
create index answer_words on shopkeeper.answer using gin (to_tsvector('simple', question))
    where completed_at is not null;
-- For the answers that cited a document, by its key.
create index answer_cited on shopkeeper.answer
    using gin (jsonb_path_query_array(sources, '$[*] ? (@.cited == true).key') jsonb_path_ops)
    where completed_at is not null;

alter table shopkeeper.escalation
    add column claimed_by  text,
    add column resolved_at timestamptz,
    drop constraint escalation_status_check,
    add constraint escalation_status_check check (status in ('open', 'acknowledged', 'resolved'));

comment on column shopkeeper.escalation.claimed_by is 'The human who took it; null if that is not known.';
comment on column shopkeeper.escalation.resolved_at is 'When a human answered it, or gave the session back.';
