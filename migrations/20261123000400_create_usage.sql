-- What models cost, by day.

create table shopkeeper.usage (
    day       date             not null default (now() at time zone 'UTC')::date,
    operation text             not null check (operation in ('embedding', 'answer')),
    shard     smallint         not null,
    tokens    bigint           not null,
    usd       double precision not null,
    primary key (day, operation, shard)
);

comment on table shopkeeper.usage is 'Tokens and dollars a day (UTC).';
comment on column shopkeeper.usage.shard is 'Chosen at random, so that writers do not wait for each other; summed when read.';
