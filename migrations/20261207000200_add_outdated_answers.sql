-- Answers whose products changed after they were given.

alter table shopkeeper.answer
    add column outdated jsonb,
    add column constraints jsonb not null default '[]';

comment on column shopkeeper.answer.outdated is
    'What changed after the answer was given: at, source, key, changed. Null unless a cited document has changed.';

comment on column shopkeeper.answer.constraints is 'What the question states: words, field and condition of each.';

-- For the console, which lists them.
create index answer_outdated on shopkeeper.answer (seq) where outdated is not null;

create table shopkeeper.answer_watch (
    answer_id   uuid             not null references shopkeeper.answer on delete cascade,
    source      text collate "C" not null,
    key         text collate "C" not null,
    metadata    jsonb            not null,
    version     integer          not null,
    fingerprint bytea,
    until       timestamptz      not null,
    primary key (answer_id, source, key)
);

comment on table shopkeeper.answer_watch is 'Documents that recent answers cite, as these answers knew them.';
comment on column shopkeeper.answer_watch.fingerprint is
    'Of the text in that index version; null if the text had changed before the answer was given.';

create index answer_watch_document on shopkeeper.answer_watch (source, key);
create index answer_watch_until on shopkeeper.answer_watch (until);

alter table shopkeeper.source
    add column answers_compared_at timestamptz;

comment on column shopkeeper.source.answers_compared_at is 'When recent answers were last compared with its documents.';
