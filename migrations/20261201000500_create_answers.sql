-- Questions, their answers and what follows from them. The row is the truth; the job only wakes a worker.
--
-- A client is a service that asks: the role that logged in by SQL, the client of the token by HTTP. It sees its own
-- questions only.

create table shopkeeper.session (
    client      text        not null,
    id          text        not null check (id <> ''),
    customer_id text,
    owner       text        not null default 'bot' check (owner in ('bot', 'human')),
    created_at  timestamptz not null default now(),
    active_at   timestamptz not null default now(),
    primary key (client, id)
);

comment on table shopkeeper.session is
    'Conversations. Adding a question to one locks its row, so that its questions have one order.';
comment on column shopkeeper.session.owner is
    'Who answers. While a human does, questions are stored and not answered.';

create index session_customer on shopkeeper.session (client, customer_id) where customer_id is not null;
create index session_active on shopkeeper.session (active_at);
-- For callers that see every client and look sessions up by name alone, as on a loopback listener without tokens.
create index session_any_client on shopkeeper.session (id);

create table shopkeeper.answer (
    id                   uuid primary key default gen_random_uuid(),
    client               text        not null,
    session_id           text,
    customer_id          text,
    seq                  bigint generated always as identity,
    idempotency_key      text,
    request              jsonb       not null,
    status               text        not null default 'queued'
        check (status in ('queued', 'in_progress', 'completed', 'incomplete', 'failed', 'cancelled', 'expired')),
    outcome              text check (outcome in ('answered', 'no_answer', 'human_owned', 'superseded', 'fallback')),
    incomplete_reason    text check (incomplete_reason in ('max_tokens', 'content_filter')),
    question             text        not null check (question <> ''),
    standalone_question  text,
    answer               jsonb,
    sources              jsonb       not null default '[]',
    citations            jsonb       not null default '[]',
    nearest_distance     double precision,
    escalation_threshold double precision,
    needs_escalation     boolean     not null default false,
    escalation_reason    text check (escalation_reason in
        ('low_confidence', 'no_passages', 'ungrounded', 'asked_for_human', 'failed', 'paused')),
    grounding            jsonb,
    usage                jsonb,
    attempt              integer     not null default 0,
    fence                bigint      not null default 0,
    draft                text,
    error                text,
    metadata             jsonb       not null default '{}',
    traceparent          text,
    start_before         timestamptz,
    cancel_at            timestamptz,
    created_at           timestamptz not null default now(),
    started_at           timestamptz,
    completed_at         timestamptz,
    unique (client, idempotency_key)
);

comment on table shopkeeper.answer is 'One row for each question that was accepted.';
comment on column shopkeeper.answer.seq is 'The order in which questions were accepted.';
comment on column shopkeeper.answer.request is
    'What the client sent. Sent again with the same idempotency key, it is the same question.';
comment on column shopkeeper.answer.fence is
    'The claim that works on the question. Writes under another number are void.';
comment on column shopkeeper.answer.draft is
    'The reply of the model if it was withheld, for the human who takes over.';
comment on column shopkeeper.answer.start_before is 'When the question expires unless work on it has begun.';
comment on column shopkeeper.answer.cancel_at is 'When the question is cancelled unless it is settled.';

create index answer_session on shopkeeper.answer (client, session_id, seq) where session_id is not null;
create index answer_any_session on shopkeeper.answer (session_id, seq) where session_id is not null;
create index answer_customer on shopkeeper.answer (client, customer_id) where customer_id is not null;
create index answer_open on shopkeeper.answer (client, session_id) where status in ('queued', 'in_progress');
create index answer_start_before on shopkeeper.answer (start_before) where status = 'queued';
create index answer_cancel_at on shopkeeper.answer (cancel_at) where status in ('queued', 'in_progress');
create index answer_created on shopkeeper.answer (created_at);
-- For lists of answers, the newest first, and for lists of those without success, which are rare.
create index answer_client_seq on shopkeeper.answer (client, seq);
create index answer_seq on shopkeeper.answer (seq);
create index answer_unanswered on shopkeeper.answer (status, seq)
where status in ('incomplete', 'failed', 'cancelled', 'expired');

create table shopkeeper.answer_event (
    answer_id uuid   not null references shopkeeper.answer on delete cascade,
    n         bigint not null,
    kind      text   not null check (kind in ('sources', 'delta', 'reset')),
    data      jsonb  not null,
    primary key (answer_id, n)
);

comment on table shopkeeper.answer_event is
    'What watchers of an answer are told while it is made. Events are kept for an hour after the answer has ended.';
comment on column shopkeeper.answer_event.n is
    '10000 times the fence of the job, plus the number of the event within the run.';

create table shopkeeper.escalation (
    id         uuid primary key default gen_random_uuid(),
    client     text        not null,
    session_id text,
    answer_id  uuid        not null references shopkeeper.answer on delete cascade,
    reason     text        not null,
    status     text        not null default 'open' check (status in ('open', 'acknowledged')),
    created_at timestamptz not null default now(),
    acked_at   timestamptz
);

comment on table shopkeeper.escalation is
    'Questions that a human is asked to look at. A session has at most one that is open.';

create unique index escalation_session on shopkeeper.escalation (client, session_id)
where status = 'open' and session_id is not null;
create index escalation_answer on shopkeeper.escalation (answer_id);
-- For the escalation that an answer shows: its own, else the newest of its session.
create index escalation_of_session on shopkeeper.escalation (client, session_id, created_at desc)
where session_id is not null;
-- For lists of one client and of all clients.
create index escalation_client on shopkeeper.escalation (client, status, created_at);
create index escalation_status on shopkeeper.escalation (status, created_at, id);

create table shopkeeper.feedback (
    answer_id  uuid primary key references shopkeeper.answer on delete cascade,
    rating     text        not null check (rating in ('up', 'down')),
    comment    text,
    created_at timestamptz not null default now()
);

comment on table shopkeeper.feedback is 'What customers think of answers. The last rating replaces the earlier ones.';
