-- Variants of one family, of which a question is answered with one.

alter table shopkeeper.document
    add column family text;

comment on column shopkeeper.document.family is 'What the variants of one product share; null if it has none.';

create index document_family on shopkeeper.document (source, family, key) where family is not null;
