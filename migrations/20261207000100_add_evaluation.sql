-- The last evaluation of each index version, so that versions can be compared.

alter table shopkeeper.index_version
    add column evaluation jsonb;

comment on column shopkeeper.index_version.evaluation is
    'The figures of its last evaluation: golden set, time, questions, hit_at_5, mrr and the others.';
