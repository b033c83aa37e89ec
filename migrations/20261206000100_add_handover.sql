-- Handing over by a fitted model.

alter table shopkeeper.answer
    add column doubt jsonb;

comment on column shopkeeper.answer.doubt is 'How likely a human is needed, and the signals that say so.';

create table shopkeeper.handover_fit (
    id         integer generated always as identity primary key,
    version    integer     not null references shopkeeper.index_version (id) on delete cascade,
    fit        jsonb       not null,
    figures    jsonb       not null,
    created_at timestamptz not null default now()
);

comment on table shopkeeper.handover_fit is
    'Fitted models of when a human is needed, by index version. The newest of a version decides.';
comment on column shopkeeper.handover_fit.figures is 'How well it does on the questions of its calibration.';

create index handover_fit_version on shopkeeper.handover_fit (version, id);
