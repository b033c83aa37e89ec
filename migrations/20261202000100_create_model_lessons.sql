-- What model servers refuse, and how an index version gives documents to its model.

create table shopkeeper.model_lesson (
    server     text        not null,
    model      text        not null,
    lessons    jsonb       not null,
    learned_at timestamptz not null default now(),
    primary key (server, model)
);

comment on table shopkeeper.model_lesson is
    'What a model server taught: the form of requests that it accepts instead of one that it refuses.';
comment on column shopkeeper.model_lesson.lessons is 'By the names of settings, as far as there are such settings.';

alter table shopkeeper.index_version add column document_form jsonb not null default '{"prefix": "", "extra_body": {}}';

comment on column shopkeeper.index_version.document_form is
    'What is put before each document, and merged into its request, for models that tell documents from questions.';
