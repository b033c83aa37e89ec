-- What the migrations make, as PostgreSQL's catalogue describes it. It is for reviewers; nothing executes it. The text of
-- functions and views is in their own files. `make schema` writes this file.

create sequence shopkeeper.job_fence;

create type shopkeeper.near as (
    source text,
    key text,
    content text,
    distance double precision
);

create table shopkeeper.answer (
    id uuid not null default gen_random_uuid(),
    client text not null,
    session_id text,
    customer_id text,
    seq bigint generated always as identity not null,
    idempotency_key text,
    request jsonb not null,
    status text not null default 'queued'::text,
    outcome text,
    incomplete_reason text,
    question text not null,
    standalone_question text,
    answer jsonb,
    sources jsonb not null default '[]'::jsonb,
    citations jsonb not null default '[]'::jsonb,
    nearest_distance double precision,
    escalation_threshold double precision,
    needs_escalation boolean not null default false,
    escalation_reason text,
    grounding jsonb,
    usage jsonb,
    attempt integer not null default 0,
    fence bigint not null default 0,
    draft text,
    error text,
    metadata jsonb not null default '{}'::jsonb,
    traceparent text,
    start_before timestamp with time zone,
    cancel_at timestamp with time zone,
    created_at timestamp with time zone not null default now(),
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    answered_by text,
    reply_to uuid,
    doubt jsonb,
    outdated jsonb,
    constraints jsonb not null default '[]'::jsonb,
    constraint answer_pkey PRIMARY KEY (id),
    constraint answer_client_idempotency_key_key UNIQUE (client, idempotency_key),
    constraint answer_escalation_reason_check CHECK (escalation_reason = ANY (ARRAY['low_confidence'::text, 'no_passages'::text, 'ungrounded'::text, 'asked_for_human'::text, 'failed'::text, 'paused'::text])),
    constraint answer_incomplete_reason_check CHECK (incomplete_reason = ANY (ARRAY['max_tokens'::text, 'content_filter'::text])),
    constraint answer_outcome_check CHECK (outcome = ANY (ARRAY['answered'::text, 'no_answer'::text, 'human_owned'::text, 'superseded'::text, 'fallback'::text, 'human'::text])),
    constraint answer_question_check CHECK (question <> ''::text),
    constraint answer_status_check CHECK (status = ANY (ARRAY['queued'::text, 'in_progress'::text, 'completed'::text, 'incomplete'::text, 'failed'::text, 'cancelled'::text, 'expired'::text]))
);
CREATE INDEX answer_any_session ON shopkeeper.answer USING btree (session_id, seq) WHERE (session_id IS NOT NULL);
CREATE INDEX answer_cancel_at ON shopkeeper.answer USING btree (cancel_at) WHERE (status = ANY (ARRAY['queued'::text, 'in_progress'::text]));
CREATE INDEX answer_cited ON shopkeeper.answer USING gin (jsonb_path_query_array(sources, '$[*]?(@."cited" == true)."key"'::jsonpath) jsonb_path_ops) WHERE (completed_at IS NOT NULL);
CREATE INDEX answer_client_seq ON shopkeeper.answer USING btree (client, seq);
CREATE INDEX answer_created ON shopkeeper.answer USING btree (created_at);
CREATE INDEX answer_customer ON shopkeeper.answer USING btree (client, customer_id) WHERE (customer_id IS NOT NULL);
CREATE INDEX answer_open ON shopkeeper.answer USING btree (client, session_id) WHERE (status = ANY (ARRAY['queued'::text, 'in_progress'::text]));
CREATE INDEX answer_outcome ON shopkeeper.answer USING btree (outcome, seq) WHERE (outcome IS NOT NULL);
CREATE INDEX answer_outdated ON shopkeeper.answer USING btree (seq) WHERE (outdated IS NOT NULL);
CREATE INDEX answer_reply ON shopkeeper.answer USING btree (reply_to) WHERE (reply_to IS NOT NULL);
CREATE INDEX answer_seq ON shopkeeper.answer USING btree (seq);
CREATE INDEX answer_session ON shopkeeper.answer USING btree (client, session_id, seq) WHERE (session_id IS NOT NULL);
CREATE INDEX answer_start_before ON shopkeeper.answer USING btree (start_before) WHERE (status = 'queued'::text);
CREATE INDEX answer_unanswered ON shopkeeper.answer USING btree (status, seq) WHERE (status = ANY (ARRAY['incomplete'::text, 'failed'::text, 'cancelled'::text, 'expired'::text]));
CREATE INDEX answer_words ON shopkeeper.answer USING gin (to_tsvector('simple'::regconfig, question)) WHERE (completed_at IS NOT NULL);
CREATE TRIGGER check_asked_names BEFORE INSERT ON shopkeeper.answer FOR EACH ROW WHEN (((new.request ?| ARRAY['sources'::text, 'webhook'::text]) AND (new.reply_to IS NULL))) EXECUTE FUNCTION shopkeeper.check_asked_names();
CREATE TRIGGER settled AFTER INSERT OR UPDATE OF status, needs_escalation ON shopkeeper.answer FOR EACH ROW EXECUTE FUNCTION shopkeeper.settled();
comment on table shopkeeper.answer is 'One row for each question that was accepted.';
comment on column shopkeeper.answer.seq is 'The order in which questions were accepted.';
comment on column shopkeeper.answer.request is 'What the client sent. Sent again with the same idempotency key, it is the same question.';
comment on column shopkeeper.answer.fence is 'The claim that works on the question. Writes under another number are void.';
comment on column shopkeeper.answer.draft is 'The reply of the model if it was withheld, for the human who takes over.';
comment on column shopkeeper.answer.start_before is 'When the question expires unless work on it has begun.';
comment on column shopkeeper.answer.cancel_at is 'When the question is cancelled unless it is settled.';
comment on column shopkeeper.answer.answered_by is 'The human who wrote the answer; null if none did.';
comment on column shopkeeper.answer.reply_to is 'With a human''s answer: the escalated question that it answers.';
comment on column shopkeeper.answer.doubt is 'How likely a human is needed, and the signals that say so.';
comment on column shopkeeper.answer.outdated is 'What changed after the answer was given: at, source, key, changed. Null unless a cited document has changed.';
comment on column shopkeeper.answer.constraints is 'What the question states: words, field and condition of each.';

create table shopkeeper.answer_event (
    answer_id uuid not null,
    n bigint not null,
    kind text not null,
    data jsonb not null,
    constraint answer_event_pkey PRIMARY KEY (answer_id, n),
    constraint answer_event_kind_check CHECK (kind = ANY (ARRAY['sources'::text, 'delta'::text, 'reset'::text])),
    constraint answer_event_answer_id_fkey FOREIGN KEY (answer_id) REFERENCES shopkeeper.answer(id) ON DELETE CASCADE
);
comment on table shopkeeper.answer_event is 'What watchers of an answer are told while it is made. Events are kept for an hour after the answer has ended.';
comment on column shopkeeper.answer_event.n is '10000 times the fence of the job, plus the number of the event within the run.';

create table shopkeeper.answer_watch (
    answer_id uuid not null,
    source text collate "C" not null,
    key text collate "C" not null,
    metadata jsonb not null,
    version integer not null,
    fingerprint bytea,
    until timestamp with time zone not null,
    constraint answer_watch_pkey PRIMARY KEY (answer_id, source, key),
    constraint answer_watch_answer_id_fkey FOREIGN KEY (answer_id) REFERENCES shopkeeper.answer(id) ON DELETE CASCADE
);
CREATE INDEX answer_watch_document ON shopkeeper.answer_watch USING btree (source, key);
CREATE INDEX answer_watch_until ON shopkeeper.answer_watch USING btree (until);
comment on table shopkeeper.answer_watch is 'Documents that recent answers cite, as these answers knew them.';
comment on column shopkeeper.answer_watch.fingerprint is 'Of the text in that index version; null if the text had changed before the answer was given.';

create table shopkeeper.audit (
    id bigint generated always as identity not null,
    at timestamp with time zone not null default now(),
    actor text not null,
    action text not null,
    target text not null default ''::text,
    number bigint not null default 1,
    constraint audit_pkey PRIMARY KEY (id)
);
CREATE INDEX audit_at ON shopkeeper.audit USING btree (at);
comment on table shopkeeper.audit is 'What was done in the console.';
comment on column shopkeeper.audit.actor is 'The client of the token; `local` without one.';
comment on column shopkeeper.audit.target is 'What it was done to: a name, an id, or the filter of a bulk action.';
comment on column shopkeeper.audit.number is 'How many rows it applied to.';

create table shopkeeper.budget_wait (
    worker text not null,
    kind text not null,
    server text not null,
    model text not null,
    jobs integer not null,
    since timestamp with time zone not null default now(),
    seen_at timestamp with time zone not null default now(),
    constraint budget_wait_pkey PRIMARY KEY (worker, kind, server, model)
);
comment on table shopkeeper.budget_wait is 'Running jobs that wait in their slots for the budget of a model. Each daemon reports them every second.';
comment on column shopkeeper.budget_wait.since is 'When the daemon first reported the wait without a gap since.';
comment on column shopkeeper.budget_wait.seen_at is 'When the daemon last reported the wait. An old report no longer counts.';

create table shopkeeper.bulk_action (
    id uuid not null,
    action text not null,
    filter jsonb not null,
    until timestamp with time zone not null,
    last_id bigint not null,
    snapshot text not null,
    counted bigint not null,
    done bigint not null default 0,
    place_at timestamp with time zone,
    place_id bigint,
    state text not null default 'running'::text,
    actor text not null,
    created_at timestamp with time zone not null default now(),
    ended_at timestamp with time zone,
    constraint bulk_action_pkey PRIMARY KEY (id),
    constraint bulk_action_action_check CHECK (action = ANY (ARRAY['retry'::text, 'cancel'::text, 'discard'::text])),
    constraint bulk_action_state_check CHECK (state = ANY (ARRAY['running'::text, 'done'::text, 'cancelled'::text]))
);
CREATE INDEX bulk_action_created ON shopkeeper.bulk_action USING btree (created_at);
comment on table shopkeeper.bulk_action is 'Actions on all jobs that matched a filter when they were counted.';
comment on column shopkeeper.bulk_action.until is 'Jobs that ended later are left alone.';
comment on column shopkeeper.bulk_action.last_id is 'Jobs that were enqueued later are left alone.';
comment on column shopkeeper.bulk_action.snapshot is 'What was committed when they were counted. A waiting job that was changed later is left alone.';
comment on column shopkeeper.bulk_action.counted is 'The number of jobs that matched.';
comment on column shopkeeper.bulk_action.place_at is 'How far it has come, in the order of the jobs.';

create table shopkeeper.chunk (
    version integer not null,
    source text collate "C" not null,
    key text collate "C" not null,
    ordinal integer not null,
    input_hash bytea not null,
    content text not null,
    tokens integer not null,
    embedding public.halfvec not null,
    created_at timestamp with time zone not null default now(),
    constraint chunk_pkey PRIMARY KEY (version, source, key, input_hash)
) partition by list (version);
CREATE INDEX chunk_created ON ONLY shopkeeper.chunk USING brin (created_at);
CREATE INDEX chunk_input ON ONLY shopkeeper.chunk USING btree (input_hash);
comment on table shopkeeper.chunk is 'Parts of documents with their vectors, one partition for each index version.';
comment on column shopkeeper.chunk.ordinal is 'The position in the document, from 1.';
comment on column shopkeeper.chunk.input_hash is 'The hash of the embedded input. A chunk that is already in the index is not embedded again.';
comment on column shopkeeper.chunk.tokens is 'The number of tokens of the embedded input: the title, then the content.';

create table shopkeeper.console_key (
    only_one boolean not null default true,
    key bytea not null default sha256((uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))),
    constraint console_key_pkey PRIMARY KEY (only_one),
    constraint console_key_only_one_check CHECK (only_one)
);
comment on table shopkeeper.console_key is 'The key with which all daemons sign the forms of the console. Deleting the row voids the forms that are open.';

create table shopkeeper.console_session (
    hash bytea not null,
    token uuid not null,
    created_at timestamp with time zone not null default now(),
    expires_at timestamp with time zone not null,
    constraint console_session_pkey PRIMARY KEY (hash),
    constraint console_session_token_fkey FOREIGN KEY (token) REFERENCES shopkeeper.token(id) ON DELETE CASCADE
);
CREATE INDEX console_session_expires ON shopkeeper.console_session USING btree (expires_at);
CREATE INDEX console_session_token ON shopkeeper.console_session USING btree (token);
comment on table shopkeeper.console_session is 'Logins to the console. Only hashes of their cookies are stored. A login ends with its token.';

create table shopkeeper.delivery (
    id uuid not null default gen_random_uuid(),
    webhook text not null,
    event text not null,
    answer_id uuid not null,
    body text not null,
    status text not null default 'pending'::text,
    attempts integer not null default 0,
    code integer,
    error text,
    created_at timestamp with time zone not null default now(),
    delivered_at timestamp with time zone,
    constraint delivery_pkey PRIMARY KEY (id),
    constraint delivery_status_check CHECK (status = ANY (ARRAY['pending'::text, 'delivered'::text, 'failed'::text])),
    constraint delivery_answer_id_fkey FOREIGN KEY (answer_id) REFERENCES shopkeeper.answer(id) ON DELETE CASCADE
);
CREATE INDEX delivery_answer ON shopkeeper.delivery USING btree (answer_id);
CREATE INDEX delivery_created ON shopkeeper.delivery USING btree (created_at);
CREATE INDEX delivery_undelivered ON shopkeeper.delivery USING btree (status, created_at, id) WHERE (status <> 'delivered'::text);
comment on table shopkeeper.delivery is 'Messages to webhooks. They are written with the result, sent by jobs, and never rewritten.';
comment on column shopkeeper.delivery.id is 'The webhook-id, by which a receiver recognises a repeated message.';
comment on column shopkeeper.delivery.code is 'The status code of the receiver''s last response.';

create table shopkeeper.discarded_job (
    id bigint not null,
    job jsonb not null,
    bulk_action uuid,
    discarded_at timestamp with time zone not null default now(),
    constraint discarded_job_pkey PRIMARY KEY (id)
);
CREATE INDEX discarded_job_action ON shopkeeper.discarded_job USING btree (bulk_action) WHERE (bulk_action IS NOT NULL);
CREATE INDEX discarded_job_at ON shopkeeper.discarded_job USING btree (discarded_at);
comment on table shopkeeper.discarded_job is 'Dead jobs that an operator deleted. They can be restored for an hour.';

create table shopkeeper.document (
    source text collate "C" not null,
    key text collate "C" not null,
    revision bigint not null default 1,
    row_hash bigint,
    title text not null default ''::text,
    link text,
    sku text,
    metadata jsonb not null default '{}'::jsonb,
    changed_at timestamp with time zone not null default now(),
    family text,
    constraint document_pkey PRIMARY KEY (source, key)
) with (fillfactor=80);
CREATE INDEX document_family ON shopkeeper.document USING btree (source, family, key) WHERE (family IS NOT NULL);
CREATE INDEX document_metadata ON shopkeeper.document USING gin (metadata jsonb_path_ops) WHERE (metadata <> '{}'::jsonb);
CREATE INDEX document_sku ON shopkeeper.document USING btree (upper(regexp_replace(sku, '[^A-Za-z0-9]'::text, ''::text, 'g'::text))) WHERE (sku IS NOT NULL);
CREATE INDEX document_words ON shopkeeper.document USING gin (to_tsvector('simple'::regconfig, title));
comment on table shopkeeper.document is 'The state of the sources: one row for each document.';
comment on column shopkeeper.document.revision is 'Raised by each change that was noticed.';
comment on column shopkeeper.document.row_hash is 'The hash of the row when it was last listed; 0 if another row was read since; null once the document may be removed.';
comment on column shopkeeper.document.changed_at is 'When the revision was last raised.';
comment on column shopkeeper.document.family is 'What the variants of one product share; null if it has none.';

create table shopkeeper.document_index (
    version integer not null,
    source text collate "C" not null,
    key text collate "C" not null,
    indexed_revision bigint not null,
    fingerprint bytea,
    state text not null,
    error text,
    rejected_by text,
    indexed_at timestamp with time zone not null default now(),
    constraint document_index_pkey PRIMARY KEY (version, source, key),
    constraint document_index_state_check CHECK (state = ANY (ARRAY['fresh'::text, 'failed'::text]))
) with (fillfactor=80);
CREATE INDEX document_index_failed ON shopkeeper.document_index USING btree (source, version) WHERE (state = 'failed'::text);
CREATE INDEX document_index_retry ON shopkeeper.document_index USING btree (source, key) WHERE (state = 'failed'::text);
comment on table shopkeeper.document_index is 'The state of each document in each index version. It is stale if indexed_revision is below document.revision.';
comment on column shopkeeper.document_index.fingerprint is 'The hash of the title, the text and the embedding settings; null if nothing is indexed.';
comment on column shopkeeper.document_index.rejected_by is 'The model server that will never accept the text of a failed document. Null if something else failed.';

create table shopkeeper.embedding_cache (
    model text not null,
    dimensions integer not null,
    input_hash bytea not null,
    embedding public.halfvec not null,
    kept_at timestamp with time zone not null default now(),
    constraint embedding_cache_pkey PRIMARY KEY (model, dimensions, input_hash)
);
CREATE INDEX embedding_cache_kept ON shopkeeper.embedding_cache USING btree (kept_at);
comment on table shopkeeper.embedding_cache is 'Vectors that left the index, kept in case their texts return.';

create table shopkeeper.escalation (
    id uuid not null default gen_random_uuid(),
    client text not null,
    session_id text,
    answer_id uuid not null,
    reason text not null,
    status text not null default 'open'::text,
    created_at timestamp with time zone not null default now(),
    acked_at timestamp with time zone,
    claimed_by text,
    resolved_at timestamp with time zone,
    constraint escalation_pkey PRIMARY KEY (id),
    constraint escalation_status_check CHECK (status = ANY (ARRAY['open'::text, 'acknowledged'::text, 'resolved'::text])),
    constraint escalation_answer_id_fkey FOREIGN KEY (answer_id) REFERENCES shopkeeper.answer(id) ON DELETE CASCADE
);
CREATE INDEX escalation_answer ON shopkeeper.escalation USING btree (answer_id);
CREATE INDEX escalation_client ON shopkeeper.escalation USING btree (client, status, created_at);
CREATE INDEX escalation_of_session ON shopkeeper.escalation USING btree (client, session_id, created_at DESC) WHERE (session_id IS NOT NULL);
CREATE UNIQUE INDEX escalation_session ON shopkeeper.escalation USING btree (client, session_id) WHERE ((status = 'open'::text) AND (session_id IS NOT NULL));
CREATE INDEX escalation_status ON shopkeeper.escalation USING btree (status, created_at, id);
CREATE TRIGGER open_once BEFORE INSERT ON shopkeeper.escalation FOR EACH ROW EXECUTE FUNCTION shopkeeper.open_once();
comment on table shopkeeper.escalation is 'Questions that a human is asked to look at. A session has at most one that is open.';
comment on column shopkeeper.escalation.claimed_by is 'The human who took it; null if that is not known.';
comment on column shopkeeper.escalation.resolved_at is 'When a human answered it, or gave the session back.';

create table shopkeeper.faq_draft (
    id uuid not null default gen_random_uuid(),
    question text not null,
    answer text not null default ''::text,
    actor text not null,
    created_at timestamp with time zone not null default now(),
    constraint faq_draft_pkey PRIMARY KEY (id),
    constraint faq_draft_question_check CHECK (question <> ''::text)
);
CREATE INDEX faq_draft_created ON shopkeeper.faq_draft USING btree (created_at);
comment on table shopkeeper.faq_draft is 'Drafts of answers for the shop''s own list of questions, which is never written to.';

create table shopkeeper.feedback (
    answer_id uuid not null,
    rating text not null,
    comment text,
    created_at timestamp with time zone not null default now(),
    constraint feedback_pkey PRIMARY KEY (answer_id),
    constraint feedback_rating_check CHECK (rating = ANY (ARRAY['up'::text, 'down'::text])),
    constraint feedback_answer_id_fkey FOREIGN KEY (answer_id) REFERENCES shopkeeper.answer(id) ON DELETE CASCADE
);
comment on table shopkeeper.feedback is 'What customers think of answers. The last rating replaces the earlier ones.';

create table shopkeeper.golden_question (
    id uuid not null default gen_random_uuid(),
    question text not null,
    expected jsonb not null,
    actor text not null,
    created_at timestamp with time zone not null default now(),
    constraint golden_question_pkey PRIMARY KEY (id),
    constraint golden_question_question_check CHECK (question <> ''::text)
);
CREATE INDEX golden_question_created ON shopkeeper.golden_question USING btree (created_at);
comment on table shopkeeper.golden_question is 'Questions with the documents that answer them, for evaluation.';
comment on column shopkeeper.golden_question.expected is 'The documents that answer it, as [{"source", "key"}]; empty if it must be refused.';

create table shopkeeper.handover_fit (
    id integer generated always as identity not null,
    version integer not null,
    fit jsonb not null,
    figures jsonb not null,
    created_at timestamp with time zone not null default now(),
    constraint handover_fit_pkey PRIMARY KEY (id),
    constraint handover_fit_version_fkey FOREIGN KEY (version) REFERENCES shopkeeper.index_version(id) ON DELETE CASCADE
);
CREATE INDEX handover_fit_version ON shopkeeper.handover_fit USING btree (version, id);
comment on table shopkeeper.handover_fit is 'Fitted models of when a human is needed, by index version. The newest of a version decides.';
comment on column shopkeeper.handover_fit.figures is 'How well it does on the questions of its calibration.';

create table shopkeeper.index_version (
    id integer generated always as identity not null,
    model text not null,
    dimensions integer not null,
    state text not null,
    created_at timestamp with time zone not null default now(),
    active_at timestamp with time zone,
    hnsw_deleted bigint,
    document_form jsonb not null default '{"prefix": "", "extra_body": {}}'::jsonb,
    evaluation jsonb,
    constraint index_version_pkey PRIMARY KEY (id),
    constraint index_version_model_dimensions_key UNIQUE (model, dimensions),
    constraint index_version_dimensions_check CHECK (dimensions >= 1 AND dimensions <= 4000),
    constraint index_version_state_check CHECK (state = ANY (ARRAY['building'::text, 'ready'::text, 'active'::text, 'retired'::text, 'dropping'::text]))
);
CREATE UNIQUE INDEX index_version_active ON shopkeeper.index_version USING btree (state) WHERE (state = 'active'::text);
comment on table shopkeeper.index_version is 'One row for each set of vectors of one model and dimension. Searches read the active version.';
comment on column shopkeeper.index_version.state is 'building: is being filled. ready: may become active. active: is searched. retired: was active. dropping: is no longer written.';
comment on column shopkeeper.index_version.active_at is 'When the version last became the active one.';
comment on column shopkeeper.index_version.hnsw_deleted is 'The number of deleted chunks that PostgreSQL had counted when the HNSW index was built. Each later one is a dead node of its graph.';
comment on column shopkeeper.index_version.document_form is 'What is put before each document, and merged into its request, for models that tell documents from questions.';
comment on column shopkeeper.index_version.evaluation is 'The figures of its last evaluation: golden set, time, questions, hit_at_5, mrr and the others.';

create table shopkeeper.job (
    id bigint generated always as identity not null,
    kind text not null,
    key text collate "C",
    group_key text collate "C",
    state text not null default 'ready'::text,
    payload jsonb not null default '{}'::jsonb,
    priority smallint not null default 0,
    run_at timestamp with time zone not null default now(),
    attempts integer not null default 0,
    max_attempts integer,
    time_limit interval,
    worker text,
    fence bigint not null default 0,
    lease_until timestamp with time zone,
    started_at timestamp with time zone,
    shared boolean not null default false,
    alone boolean not null default false,
    dirty boolean not null default false,
    last_error text,
    waits_for text,
    waits_server text,
    waits_model text,
    waits_since timestamp with time zone,
    traceparent text,
    created_at timestamp with time zone not null default now(),
    constraint job_pkey PRIMARY KEY (id),
    constraint job_check CHECK ((state = 'running'::text) = (worker IS NOT NULL) AND (worker IS NULL) = (lease_until IS NULL)),
    constraint job_state_check CHECK (state = ANY (ARRAY['ready'::text, 'scheduled'::text, 'blocked'::text, 'running'::text])),
    constraint job_waits_for_check CHECK (waits_for = ANY (ARRAY['rate_limit'::text, 'daily_budget'::text, 'stop'::text]))
) with (fillfactor=80, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_cost_delay=0);
CREATE INDEX job_alone ON shopkeeper.job USING btree (kind, priority DESC, run_at, id) WHERE ((state = 'ready'::text) AND alone);
CREATE INDEX job_blocked ON shopkeeper.job USING btree (kind, group_key, id) WHERE (state = 'blocked'::text);
CREATE UNIQUE INDEX job_group_head ON shopkeeper.job USING btree (kind, group_key) WHERE ((group_key IS NOT NULL) AND (state <> 'blocked'::text));
CREATE UNIQUE INDEX job_key ON shopkeeper.job USING btree (kind, key) WHERE (key IS NOT NULL);
CREATE INDEX job_ready ON shopkeeper.job USING btree (kind, priority DESC, run_at, id) WHERE (state = 'ready'::text);
CREATE INDEX job_running ON shopkeeper.job USING btree (kind, worker) WHERE (state = 'running'::text);
CREATE INDEX job_scheduled ON shopkeeper.job USING btree (run_at) WHERE (state = 'scheduled'::text);
CREATE INDEX job_waits ON shopkeeper.job USING btree (kind, waits_for, waits_since) WHERE ((state = 'scheduled'::text) AND (waits_for IS NOT NULL));
comment on table shopkeeper.job is 'Live jobs: waiting, or running under a lease.';
comment on column shopkeeper.job.key is 'At most one live job of a kind has this key. Enqueueing it again merges the jobs.';
comment on column shopkeeper.job.group_key is 'Jobs of a kind with the same group key run one at a time, in the order in which they were enqueued.';
comment on column shopkeeper.job.state is 'ready: due. scheduled: due at run_at. blocked: behind another job of its group. running: under a lease.';
comment on column shopkeeper.job.max_attempts is 'Null until the first claim, which writes the value of jobs.toml.';
comment on column shopkeeper.job.time_limit is 'The longest time that one run may take, from the schedule that enqueued the job.';
comment on column shopkeeper.job.fence is 'The number of the current claim, raised by each claim. Writes under an older number are void.';
comment on column shopkeeper.job.shared is 'Claimed for a batch, or before a slot was free. If the worker dies, another job may be to blame.';
comment on column shopkeeper.job.alone is 'The last run crashed, or its worker died. The job is not run in a batch, nor claimed before a slot is free.';
comment on column shopkeeper.job.dirty is 'Enqueued again while it ran: it runs once more afterwards.';
comment on column shopkeeper.job.waits_for is 'What a scheduled job waits for. rate_limit: the budget of a model. daily_budget: the budget of the next day. stop: the stop button. Null: nothing of these.';
comment on column shopkeeper.job.waits_server is 'With rate_limit: the address of the model server.';
comment on column shopkeeper.job.waits_model is 'With rate_limit: the model.';
comment on column shopkeeper.job.waits_since is 'When the job was first postponed for this reason without another reason since.';

create table shopkeeper.job_history (
    id bigint not null,
    kind text not null,
    key text collate "C",
    group_key text collate "C",
    payload jsonb not null,
    priority smallint not null,
    outcome text not null,
    error text,
    rejected_by text,
    attempts integer not null,
    max_attempts integer,
    worker text,
    traceparent text,
    created_at timestamp with time zone not null,
    run_at timestamp with time zone not null,
    started_at timestamp with time zone,
    finished_at timestamp with time zone not null default now(),
    error_class text default md5(regexp_replace("left"(error, 1000), '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]+'::text, '#'::text, 'gi'::text)),
    constraint job_history_outcome_check CHECK (outcome = ANY (ARRAY['done'::text, 'cancelled'::text, 'dead'::text]))
);
CREATE INDEX job_history_cancelled ON shopkeeper.job_history USING btree (finished_at, id) WHERE (outcome = 'cancelled'::text);
CREATE INDEX job_history_dead ON shopkeeper.job_history USING btree (kind, finished_at) WHERE (outcome = 'dead'::text);
CREATE INDEX job_history_dead_document ON shopkeeper.job_history USING btree (key) WHERE ((outcome = 'dead'::text) AND (kind = 'refresh_document'::text));
CREATE INDEX job_history_dead_newest ON shopkeeper.job_history USING btree (finished_at, id) WHERE (outcome = 'dead'::text);
CREATE INDEX job_history_error ON shopkeeper.job_history USING btree (error_class, finished_at, id) WHERE (outcome = 'dead'::text);
CREATE INDEX job_history_finished ON shopkeeper.job_history USING btree (finished_at);
CREATE INDEX job_history_id ON shopkeeper.job_history USING btree (id);
CREATE INDEX job_history_key ON shopkeeper.job_history USING btree (key) WHERE (kind = ANY (ARRAY['answer_question'::text, 'deliver_webhook'::text]));
comment on table shopkeeper.job_history is 'Finished jobs: done, cancelled, or dead with the error that ended them.';
comment on column shopkeeper.job_history.rejected_by is 'The model server that will never accept what a dead job asked. Null if something else ended the job.';
comment on column shopkeeper.job_history.started_at is 'When the last attempt was claimed.';
comment on column shopkeeper.job_history.error_class is 'A hash of the error without its numbers and ids: equal for jobs that failed for the same reason.';

create table shopkeeper.migration (
    version bigint not null,
    description text not null,
    installed_on timestamp with time zone not null default now(),
    success boolean not null,
    checksum bytea not null,
    execution_time bigint not null,
    constraint migration_pkey PRIMARY KEY (version)
);

create table shopkeeper.model_budget (
    server text not null,
    model text not null,
    requests double precision not null,
    tokens double precision not null,
    held double precision not null default 0,
    at timestamp with time zone not null default clock_timestamp(),
    constraint model_budget_pkey PRIMARY KEY (server, model)
);
comment on table shopkeeper.model_budget is 'What all daemons together may still ask of a model.';
comment on column shopkeeper.model_budget.requests is 'The number of requests left at the time in column at. It has no meaning if requests are not limited.';
comment on column shopkeeper.model_budget.tokens is 'The number of tokens left at that time; below zero if a request took more than were left.';
comment on column shopkeeper.model_budget.held is 'Seconds from that time during which no daemon asks, because the server wants a pause.';

create table shopkeeper.model_lesson (
    server text not null,
    model text not null,
    lessons jsonb not null,
    learned_at timestamp with time zone not null default now(),
    constraint model_lesson_pkey PRIMARY KEY (server, model)
);
comment on table shopkeeper.model_lesson is 'What a model server taught: the form of requests that it accepts instead of one that it refuses.';
comment on column shopkeeper.model_lesson.lessons is 'By the names of settings, as far as there are such settings.';

create table shopkeeper.queue_kind (
    kind text not null,
    on_dead text,
    paused_at timestamp with time zone,
    constraint queue_kind_pkey PRIMARY KEY (kind)
);
comment on table shopkeeper.queue_kind is 'The kinds of jobs that daemons have run. Claims of kinds that are limited across all daemons lock the row.';
comment on column shopkeeper.queue_kind.on_dead is 'The function that is given the dead and cancelled jobs of the kind, to end what they were for.';

create table shopkeeper.repeatable_migration (
    name text not null,
    hash bytea not null,
    schema_number bigint not null,
    applied_at timestamp with time zone not null default now(),
    constraint repeatable_migration_pkey PRIMARY KEY (name)
);
comment on table shopkeeper.repeatable_migration is 'The files of functions, views and triggers as they were last applied. The table shopkeeper.migration lists the others.';
comment on column shopkeeper.repeatable_migration.hash is 'The BLAKE3 hash of the text that was applied.';
comment on column shopkeeper.repeatable_migration.schema_number is 'The schema number of the newest program that found this text current. Programs with a lower number do not replace it.';

create table shopkeeper.schedule (
    name text not null,
    last_at timestamp with time zone not null default now(),
    paused_at timestamp with time zone,
    constraint schedule_pkey PRIMARY KEY (name)
);
comment on table shopkeeper.schedule is 'One row for each [[schedule]] of jobs.toml that a daemon has seen.';
comment on column shopkeeper.schedule.last_at is 'The last tick that was handled; at first, the time at which a daemon first saw the schedule.';

create table shopkeeper.schedule_tick (
    schedule text not null,
    tick timestamp with time zone not null,
    fired_at timestamp with time zone not null default now(),
    enqueued integer not null,
    constraint schedule_tick_pkey PRIMARY KEY (schedule, tick)
);
comment on table shopkeeper.schedule_tick is 'One row for each tick. The row and the jobs of the tick are written in one transaction, so a tick fires once.';
comment on column shopkeeper.schedule_tick.enqueued is 'The number of jobs; zero if the previous run had not ended.';

create table shopkeeper.session (
    client text not null,
    id text not null,
    customer_id text,
    owner text not null default 'bot'::text,
    created_at timestamp with time zone not null default now(),
    active_at timestamp with time zone not null default now(),
    constraint session_pkey PRIMARY KEY (client, id),
    constraint session_id_check CHECK (id <> ''::text),
    constraint session_owner_check CHECK (owner = ANY (ARRAY['bot'::text, 'human'::text]))
);
CREATE INDEX session_active ON shopkeeper.session USING btree (active_at);
CREATE INDEX session_any_client ON shopkeeper.session USING btree (id);
CREATE INDEX session_customer ON shopkeeper.session USING btree (client, customer_id) WHERE (customer_id IS NOT NULL);
CREATE INDEX session_of_humans ON shopkeeper.session USING btree (active_at) WHERE (owner = 'human'::text);
comment on table shopkeeper.session is 'Conversations. Adding a question to one locks its row, so that its questions have one order.';
comment on column shopkeeper.session.owner is 'Who answers. While a human does, questions are stored and not answered.';

create table shopkeeper.source (
    name text not null,
    last_sync_at timestamp with time zone,
    poll_mark jsonb,
    polled_at timestamp with time zone,
    watcher text,
    watch_until timestamp with time zone,
    listed bigint,
    removed bigint not null default 0,
    withheld bigint not null default 0,
    withheld_at timestamp with time zone,
    sync_error text,
    set_aside bigint not null default 0,
    set_aside_rows jsonb,
    answers_compared_at timestamp with time zone,
    constraint source_pkey PRIMARY KEY (name)
);
comment on table shopkeeper.source is 'One row for each source that a daemon has seen.';
comment on column shopkeeper.source.last_sync_at is 'When the source was last compared in full.';
comment on column shopkeeper.source.poll_mark is 'How far the last poll of the source came.';
comment on column shopkeeper.source.watcher is 'The daemon that polls the source and reads the notes of its triggers.';
comment on column shopkeeper.source.listed is 'The number of documents in the last complete listing; null before the first.';
comment on column shopkeeper.source.removed is 'The number of documents removed since that listing, or allowed to be.';
comment on column shopkeeper.source.withheld is 'The number of removals that wait because they exceed mass_delete_limit; zero after the next complete listing.';
comment on column shopkeeper.source.withheld_at is 'When removals began to wait.';
comment on column shopkeeper.source.sync_error is 'Why the last listing failed; null after one that did not.';
comment on column shopkeeper.source.set_aside is 'Rows of the last listing that cannot become documents.';
comment on column shopkeeper.source.set_aside_rows is 'The first of these rows: their places in the source, keys and reasons.';
comment on column shopkeeper.source.answers_compared_at is 'When recent answers were last compared with its documents.';

create table shopkeeper.stop (
    is_stopped boolean not null default true,
    since timestamp with time zone not null default now(),
    constraint stop_pkey PRIMARY KEY (is_stopped),
    constraint stop_is_stopped_check CHECK (is_stopped)
);
comment on table shopkeeper.stop is 'The stop button: while the table has a row, no model is asked anything.';

create table shopkeeper.token (
    id uuid not null default gen_random_uuid(),
    hash bytea not null,
    client text not null,
    scopes text[] not null,
    sources text[],
    session_id text,
    customer_id text,
    created_at timestamp with time zone not null default now(),
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    constraint token_pkey PRIMARY KEY (id),
    constraint token_hash_key UNIQUE (hash),
    constraint token_client_check CHECK (client <> ''::text)
);
CREATE INDEX token_customer ON shopkeeper.token USING btree (customer_id) WHERE (customer_id IS NOT NULL);
CREATE INDEX token_expires ON shopkeeper.token USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX token_of_services ON shopkeeper.token USING btree (created_at DESC, id) WHERE (session_id IS NULL);
comment on table shopkeeper.token is 'Bearer tokens. Only their hashes are stored.';
comment on column shopkeeper.token.client is 'The service that holds the token. It sees its own sessions and answers only.';
comment on column shopkeeper.token.sources is 'The sources that the token may search; null means all.';
comment on column shopkeeper.token.session_id is 'The only session of a browser''s token.';
comment on column shopkeeper.token.customer_id is 'The customer of every question asked with a browser''s token.';

create table shopkeeper.unanswered (
    answer_id uuid not null,
    version integer not null,
    embedding public.halfvec not null,
    created_at timestamp with time zone not null default now(),
    dismissed_at timestamp with time zone,
    constraint unanswered_pkey PRIMARY KEY (answer_id),
    constraint unanswered_answer_id_fkey FOREIGN KEY (answer_id) REFERENCES shopkeeper.answer(id) ON DELETE CASCADE
);
CREATE INDEX unanswered_open ON shopkeeper.unanswered USING btree (version, created_at) WHERE (dismissed_at IS NULL);
comment on table shopkeeper.unanswered is 'The vectors of questions that found nothing or were refused. They are erased with their questions.';
comment on column shopkeeper.unanswered.version is 'The index version whose model made the vector.';

create table shopkeeper.usage (
    day date not null default ((now() AT TIME ZONE 'UTC'::text))::date,
    operation text not null,
    shard smallint not null,
    tokens bigint not null,
    usd double precision not null,
    constraint usage_pkey PRIMARY KEY (day, operation, shard),
    constraint usage_operation_check CHECK (operation = ANY (ARRAY['embedding'::text, 'answer'::text]))
);
comment on table shopkeeper.usage is 'Tokens and US dollars for each day (UTC).';
comment on column shopkeeper.usage.shard is 'Chosen at random, so that writers do not wait for each other. Readers add up the shards.';

create table shopkeeper.webhook (
    name text not null,
    events text[] not null,
    constraint webhook_pkey PRIMARY KEY (name)
);
comment on table shopkeeper.webhook is 'The webhooks of the settings and the events that each receives, as written by the daemon that started last.';

create view shopkeeper.answers (
    id uuid,
    client text,
    session_id text,
    customer_id text,
    seq bigint,
    status text,
    outcome text,
    incomplete_reason text,
    question text,
    standalone_question text,
    answer text,
    sources jsonb,
    citations jsonb,
    confidence double precision,
    nearest_distance double precision,
    escalation_threshold double precision,
    needs_escalation boolean,
    escalation_reason text,
    grounding jsonb,
    usage jsonb,
    attempt integer,
    error text,
    metadata jsonb,
    created_at timestamp with time zone,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    answered_by text,
    reply_to uuid,
    doubt jsonb,
    outdated jsonb,
    constraints jsonb
) with (security_barrier=true);
comment on view shopkeeper.answers is 'The answers of the client that reads them. Members of the role that owns the schema see all.';

create view shopkeeper.chunks (
    source text collate "C",
    key text collate "C",
    ordinal integer,
    title text,
    content text,
    url text,
    metadata jsonb,
    embedding public.vector,
    created_at timestamp with time zone
);
comment on view shopkeeper.chunks is 'The chunks of the active index version. For nearest neighbours use shopkeeper.search: an order by distance over this view reads all of it.';

create view shopkeeper.left_behind (
    version integer,
    source text collate "C",
    key text collate "C",
    has_failed boolean
);
comment on view shopkeeper.left_behind is 'Documents whose current revision an index version lacks and no job is about to write.';

create function shopkeeper.accept_question(client text, idempotency_key text, request jsonb, traceparent text DEFAULT NULL::text) returns uuid
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.accept_question(text,text,jsonb,text) is 'Accepts a question; returns the id of its answer.';

create function shopkeeper.add_usage(one jsonb, other jsonb) returns jsonb
    language sql immutable
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.add_usage(jsonb,jsonb) is 'Adds up the tokens and dollars of two runs of a question.';

create function shopkeeper.advance(kind text, group_keys text[] DEFAULT NULL::text[]) returns bigint
    language plpgsql volatile
    set enable_bitmapscan = off
    set enable_seqscan = off
    set enable_sort = off
    set jit = off
    set plan_cache_mode = force_generic_plan
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.advance(text,text[]) is 'Lets the next job of each group run; returns the number of jobs.';

create function shopkeeper.advance_all() returns bigint
    language sql volatile
    set enable_bitmapscan = off
    set enable_seqscan = off
    set enable_sort = off
    set jit = off
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.advance_all() is 'Lets the next job of each group of every kind run; returns the number of jobs.';

create function shopkeeper.answer_object(answer shopkeeper.answer) returns jsonb
    language sql stable
    set enable_seqscan = off
    set jit = off
    set search_path = pg_catalog, pg_temp;
grant execute on function shopkeeper.answer_object(shopkeeper.answer) to public;
comment on function shopkeeper.answer_object(shopkeeper.answer) is 'Returns an answer as the API, webhooks and events show it.';

create function shopkeeper.archive(jobs shopkeeper.job[], outcome text, errors text[] DEFAULT NULL::text[], rejected_by text[] DEFAULT NULL::text[]) returns void
    language plpgsql volatile
    set enable_seqscan = off
    set jit = off
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.archive(shopkeeper.job[],text,text[],text[]) is 'Writes jobs that have ended to the history.';

create function shopkeeper.as_id(key text) returns uuid
    language sql immutable
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.as_id(text) is 'Returns a key as an id, or null if it is none.';

create function shopkeeper.ask(question text, session_id text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text, sources text[] DEFAULT NULL::text[], metadata jsonb DEFAULT NULL::jsonb, customer_id text DEFAULT NULL::text, locale text DEFAULT NULL::text, history jsonb DEFAULT NULL::jsonb, on_busy text DEFAULT NULL::text, priority smallint DEFAULT NULL::smallint, start_before timestamp with time zone DEFAULT NULL::timestamp with time zone, cancel_after_s double precision DEFAULT NULL::double precision, filter jsonb DEFAULT NULL::jsonb, webhook text DEFAULT NULL::text, traceparent text DEFAULT NULL::text) returns uuid
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.ask(text,text,text,text[],jsonb,text,text,jsonb,text,smallint,timestamp with time zone,double precision,jsonb,text,text) is 'Asks a question; listen to shopkeeper_answer, then read shopkeeper.answers.';

create function shopkeeper.cancel(jobs bigint[], OUT kind text, OUT group_key text, OUT was_running boolean) returns SETOF record
    language plpgsql volatile
    set enable_seqscan = off
    set jit = off
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.cancel(bigint[]) is 'Moves jobs to the history as cancelled.';

create function shopkeeper.cancel_answer(answer uuid) returns boolean
    language sql volatile security definer
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.cancel_answer(uuid) is 'Cancels a question of the caller; false if it is settled or not the caller''s.';

create function shopkeeper.check_asked_names() returns trigger
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.check_asked_names() is 'Rejects a question that names an unknown source or webhook.';

create function shopkeeper.claim(kind text, jobs bigint, shared boolean, lone bigint, worker text, lease interval, max_attempts integer) returns SETOF shopkeeper.job
    language plpgsql volatile
    set enable_bitmapscan = off
    set enable_seqscan = off
    set enable_sort = off
    set jit = off
    set plan_cache_mode = force_generic_plan
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.claim(text,bigint,boolean,bigint,text,interval,integer) is 'Claims due jobs of a kind for a worker.';

create function shopkeeper.claim_escalation(escalation uuid, human text) returns boolean
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.claim_escalation(uuid,text) is 'Takes an escalation for a human; false if it is resolved or another''s.';

create function shopkeeper.claimed_by(kind text, worker text, jobs bigint, OUT id bigint, OUT fence bigint) returns SETOF record
    language plpgsql stable
    set enable_bitmapscan = off
    set enable_seqscan = off
    set jit = off
    set plan_cache_mode = force_generic_plan
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.claimed_by(text,text,bigint) is 'Lists the jobs of a kind that a worker holds under a lease.';

create function shopkeeper.create_index(model text, dimensions integer, state text) returns shopkeeper.index_version
    language plpgsql volatile;
comment on function shopkeeper.create_index(text,integer,text) is 'Creates an index version.';

create function shopkeeper.end_answers(answers uuid[], status text, outcome text DEFAULT NULL::text) returns bigint
    language plpgsql volatile
    set enable_seqscan = off
    set jit = off
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.end_answers(uuid[],text,text) is 'Ends questions that are not settled; returns their number.';

create function shopkeeper.end_overdue_answers() returns bigint
    language sql volatile
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.end_overdue_answers() is 'Ends questions past their time: unstarted ones expire, slow ones are cancelled.';

create function shopkeeper.end_untaken(answer uuid) returns bigint
    language sql volatile
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.end_untaken(uuid) is 'Ends a question that is overdue or that a human answers.';

create function shopkeeper.enqueue(kind text, key text DEFAULT NULL::text, payload jsonb DEFAULT '{}'::jsonb, priority smallint DEFAULT 0, run_at timestamp with time zone DEFAULT now(), group_key text DEFAULT NULL::text, max_attempts integer DEFAULT NULL::integer, traceparent text DEFAULT NULL::text) returns bigint
    language sql volatile
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.enqueue(text,text,jsonb,smallint,timestamp with time zone,text,integer,text) is 'Enqueues one job; returns how many will run.';

create function shopkeeper.enqueue_many(kind text, keys text[], payloads jsonb[], priority smallint DEFAULT 0, run_at timestamp with time zone DEFAULT now(), group_keys text[] DEFAULT NULL::text[], max_attempts integer DEFAULT NULL::integer, traceparent text DEFAULT NULL::text) returns bigint
    language plpgsql volatile
    set enable_bitmapscan = off
    set enable_seqscan = off
    set jit = off
    set plan_cache_mode = force_generic_plan
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.enqueue_many(text,text[],jsonb[],smallint,timestamp with time zone,text[],integer,text) is 'Enqueues jobs of one kind; returns how many will run.';

create function shopkeeper.erase_answers(answers uuid[]) returns bigint
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.erase_answers(uuid[]) is 'Erases questions with everything that came of them; returns their number.';

create function shopkeeper.erase_customer(client text, customer text) returns bigint
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.erase_customer(text,text) is 'Erases the sessions, questions and tokens of a customer; returns the number of questions.';

create function shopkeeper.erase_session(client text, session text) returns bigint
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.erase_session(text,text) is 'Erases a session with everything that came of it; returns the number of its questions.';

create function shopkeeper.fail(failures jsonb, OUT id bigint, OUT kind text, OUT group_key text, OUT again boolean) returns SETOF record
    language plpgsql volatile
    set enable_bitmapscan = off
    set enable_seqscan = off
    set jit = off
    set plan_cache_mode = force_generic_plan
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.fail(jsonb) is 'Puts jobs that did not succeed back, or moves them to the history as dead.';

create function shopkeeper.feedback(answer uuid, rating text, comment text DEFAULT NULL::text) returns boolean
    language sql volatile security definer
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.feedback(uuid,text,text) is 'Stores what a customer thinks of an answer: up or down.';

create function shopkeeper.filter_condition(sources text[], filter jsonb, path jsonpath) returns text
    language sql immutable
    set search_path = pg_catalog, pg_temp;
grant execute on function shopkeeper.filter_condition(text[],jsonb,jsonpath) to public;
comment on function shopkeeper.filter_condition(text[],jsonb,jsonpath) is 'Returns a filter as an SQL condition.';

create function shopkeeper.find_vectors(version integer, model text, dimensions integer, input_hashes bytea[]) returns TABLE(input_hash bytea, embedding public.halfvec)
    language plpgsql stable
    set enable_bitmapscan = off
    set enable_seqscan = off
    set jit = off
    set plan_cache_mode = force_generic_plan
    set search_path = pg_catalog, pg_temp;
grant execute on function shopkeeper.find_vectors(integer,text,integer,bytea[]) to public;
comment on function shopkeeper.find_vectors(integer,text,integer,bytea[]) is 'Finds vectors in the index and the cache by the hashes of their inputs.';

create function shopkeeper.finish(jobs bigint[], fences bigint[], OUT id bigint, OUT kind text, OUT group_key text, OUT again boolean) returns SETOF record
    language plpgsql volatile
    set enable_bitmapscan = off
    set enable_seqscan = off
    set jit = off
    set plan_cache_mode = force_generic_plan
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.finish(bigint[],bigint[]) is 'Completes jobs that are held under these fences.';

create function shopkeeper.forget_customer(customer_id text) returns bigint
    language sql volatile security definer
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.forget_customer(text) is 'Removes all sessions and questions of a customer of the caller; returns the number of questions.';

create function shopkeeper.forget_session(session_id text) returns bigint
    language sql volatile security definer
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.forget_session(text) is 'Removes a session of the caller and everything that came of it; returns the number of its questions.';

create function shopkeeper.give_up_answers(jobs shopkeeper.job_history[]) returns bigint
    language sql volatile
    set enable_seqscan = off
    set jit = off
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.give_up_answers(shopkeeper.job_history[]) is 'Ends the answers of dead or cancelled jobs.';

create function shopkeeper.give_up_bulk_actions(jobs shopkeeper.job_history[]) returns void
    language sql volatile
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.give_up_bulk_actions(shopkeeper.job_history[]) is 'Ends the bulk actions of dead or cancelled jobs.';

create function shopkeeper.give_up_deliveries(jobs shopkeeper.job_history[]) returns void
    language sql volatile
    set enable_seqscan = off
    set jit = off
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.give_up_deliveries(shopkeeper.job_history[]) is 'Ends the deliveries of dead or cancelled jobs.';

create function shopkeeper.give_up_documents(jobs shopkeeper.job_history[]) returns void
    language plpgsql volatile
    set enable_seqscan = off
    set jit = off
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.give_up_documents(shopkeeper.job_history[]) is 'Marks the documents of dead or cancelled jobs as failed.';

create function shopkeeper.group_lock(kind text, group_key text) returns bigint
    language sql immutable
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.group_lock(text,text) is 'Returns the key of the advisory lock of a group.';

create function shopkeeper.hand_back(escalation uuid) returns boolean
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.hand_back(uuid) is 'Resolves an escalation without an answer; false if it is resolved.';

create function shopkeeper.hasten(kind text, waits_for text, jobs bigint) returns bigint
    language plpgsql volatile
    set enable_bitmapscan = off
    set enable_seqscan = off
    set enable_sort = off
    set jit = off
    set plan_cache_mode = force_generic_plan
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.hasten(text,text,bigint) is 'Makes jobs ready that wait for a budget or the stop button; returns their number.';

create function shopkeeper.let_leave(source text, documents bigint, share double precision, allowance bigint, by_listing boolean, OUT allowed boolean, OUT known bigint) returns record
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.let_leave(text,bigint,double precision,bigint,boolean) is 'Decides whether so many documents of a source may leave the index.';

create function shopkeeper.lock_documents(sources text[], keys text[]) returns TABLE(source text, key text, revision bigint, may_leave boolean)
    language plpgsql volatile
    set enable_bitmapscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set enable_seqscan = off
    set jit = off
    set plan_cache_mode = force_generic_plan
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.lock_documents(text[],text[]) is 'Locks documents in the order that every writer keeps.';

create function shopkeeper.lock_session(answer uuid) returns shopkeeper.session
    language sql volatile
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.lock_session(uuid) is 'Locks the session of an answer; null if it has none.';

create function shopkeeper.mark_outdated(source text, keys text[], metadata jsonb[], most integer) returns bigint
    language plpgsql volatile
    set enable_seqscan = off
    set jit = off
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.mark_outdated(text,text[],jsonb[],integer) is 'Marks answers whose documents have changed.';

create function shopkeeper.nearest_within(version integer, query public.halfvec, top_k integer, sources text[], filter jsonb, path jsonpath) returns TABLE(source text, key text, title text, content text, link text, metadata jsonb, distance double precision)
    language plpgsql volatile
    set hnsw.iterative_scan = strict_order
    set hnsw.max_scan_tuples = 20000
    set search_path = pg_catalog, pg_temp;
grant execute on function shopkeeper.nearest_within(integer,public.halfvec,integer,text[],jsonb,jsonpath) to public;
comment on function shopkeeper.nearest_within(integer,public.halfvec,integer,text[],jsonb,jsonpath) is 'Finds the nearest chunks that match a filter, nearest first.';

create function shopkeeper.open_index(model text, dimensions integer) returns shopkeeper.index_version
    language plpgsql volatile;
comment on function shopkeeper.open_index(text,integer) is 'Returns the active index version; creates it if there is none.';

create function shopkeeper.open_once() returns trigger
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.open_once() is 'Skips an escalation of an answer that has an open one.';

create function shopkeeper.open_second_index(model text, dimensions integer) returns shopkeeper.index_version
    language plpgsql volatile;
comment on function shopkeeper.open_second_index(text,integer) is 'Returns the index version of a second model; creates it if there is none.';

create function shopkeeper.promote(jobs bigint, OUT promoted bigint, OUT next_in double precision) returns record
    language plpgsql volatile
    set enable_bitmapscan = off
    set enable_seqscan = off
    set enable_sort = off
    set jit = off
    set plan_cache_mode = force_generic_plan
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.promote(bigint) is 'Makes delayed jobs that are due ready.';

create function shopkeeper.rate_answer(client text, answer uuid, rating text, comment text) returns boolean
    language sql volatile
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.rate_answer(text,uuid,text,text) is 'Stores a rating of an answer.';

create function shopkeeper.refresh(source text, key text) returns bigint
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.refresh(text,text) is 'Has one document read again and refreshed.';

create function shopkeeper.reply_as_human(question uuid, escalation uuid, reply text, author text, stays boolean) returns uuid
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.reply_as_human(uuid,uuid,text,text,boolean) is 'Replies to a question as a human; returns the id of the answer.';

create function shopkeeper.rescue(jobs bigint) returns bigint
    language plpgsql volatile
    set enable_bitmapscan = off
    set enable_seqscan = off
    set jit = off
    set plan_cache_mode = force_generic_plan
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.rescue(bigint) is 'Frees jobs whose lease has expired; returns their number.';

create function shopkeeper.search(query public.vector, top_k integer DEFAULT 5, in_source text DEFAULT NULL::text) returns TABLE(source text, key text, title text, content text, distance double precision, score double precision, url text, metadata jsonb)
    language plpgsql stable security definer
    set hnsw.iterative_scan = strict_order
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.search(public.vector,integer,text) is 'Finds the chunks nearest to a vector by cosine distance, nearest first.';

create function shopkeeper.settle(answer uuid, job bigint, fence bigint, settled jsonb, shard smallint, tokens bigint, usd double precision) returns boolean
    language plpgsql volatile
    set enable_seqscan = off
    set jit = off
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.settle(uuid,bigint,bigint,jsonb,smallint,bigint,double precision) is 'Settles a question and completes its job; false if the fence is void.';

create function shopkeeper.settled() returns trigger
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.settled() is 'Opens an escalation and enqueues deliveries when an answer is settled or needs a human.';

create function shopkeeper.take_budget(server text, model text, requests_per_minute double precision, tokens_per_minute double precision, requests double precision, tokens double precision, reserve double precision) returns double precision
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.take_budget(text,text,double precision,double precision,double precision,double precision,double precision) is 'Takes requests out of the budget of a model; returns zero, or the seconds to wait.';

create function shopkeeper.take_question(answer uuid, attempt integer, fence bigint, OUT client text, OUT seq bigint, OUT request jsonb, OUT age double precision, OUT is_paused boolean, OUT usd_today double precision) returns SETOF record
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.take_question(uuid,integer,bigint) is 'Takes a question for a run of its job.';

create function shopkeeper.usd_today(operation text) returns double precision
    language sql stable
    set search_path = pg_catalog, pg_temp;
grant execute on function shopkeeper.usd_today(text) to public;
comment on function shopkeeper.usd_today(text) is 'Returns what an operation has cost today (UTC), in US dollars.';

create function shopkeeper.walk_limit(version integer, top_k integer, sources text[], filter jsonb, path jsonpath) returns integer
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp;
grant execute on function shopkeeper.walk_limit(integer,integer,text[],jsonb,jsonpath) to public;
comment on function shopkeeper.walk_limit(integer,integer,text[],jsonb,jsonpath) is 'Returns how far a filtered search walks through the HNSW index; null if it reads each match.';

create function shopkeeper.watch_answer(answer uuid, settled jsonb) returns void
    language sql volatile
    set enable_seqscan = off
    set jit = off
    set search_path = pg_catalog, pg_temp;
comment on function shopkeeper.watch_answer(uuid,jsonb) is 'Remembers the documents that an answer cites.';
