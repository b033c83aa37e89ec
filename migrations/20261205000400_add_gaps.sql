-- What the catalogue could not answer, and what operators made of it.

create table shopkeeper.unanswered (
    answer_id    uuid primary key references shopkeeper.answer on delete cascade,
    version      integer     not null,
    embedding    public.halfvec not null,
    created_at   timestamptz not null default now(),
    dismissed_at timestamptz
);

comment on table shopkeeper.unanswered is
    'The vectors of questions that found nothing or were refused. They are erased with their questions.';
comment on column shopkeeper.unanswered.version is 'The index version whose model made the vector.';

create index unanswered_open on shopkeeper.unanswered (version, created_at) where dismissed_at is null;

create table shopkeeper.faq_draft (
    id         uuid primary key default gen_random_uuid(),
    question   text        not null check (question <> ''),
    answer     text        not null default '',
    actor      text        not null,
    created_at timestamptz not null default now()
);

comment on table shopkeeper.faq_draft is 'Drafts of answers for the shop''s own list of questions, which is never written to.';

create index faq_draft_created on shopkeeper.faq_draft (created_at);

create table shopkeeper.golden_question (
    id         uuid primary key default gen_random_uuid(),
    question   text        not null check (question <> ''),
    expected   jsonb       not null,
    actor      text        not null,
    created_at timestamptz not null default now()
);

comment on table shopkeeper.golden_question is 'Questions with the documents that answer them, for evaluation.';
comment on column shopkeeper.golden_question.expected is
    'The documents that answer it, as [{"source", "key"}]; empty if it must be refused.';

create index golden_question_created on shopkeeper.golden_question (created_at);
