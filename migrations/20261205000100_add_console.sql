-- The console: who is logged in, what was done, and the key that its forms are signed with.

create table shopkeeper.console_key (
    only_one boolean primary key default true check (only_one),
    key      bytea not null default sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
);

comment on table shopkeeper.console_key is
    'The key with which all daemons sign the forms of the console. Deleting the row voids the forms that are open.';

insert into shopkeeper.console_key default values;

create table shopkeeper.console_session (
    hash       bytea primary key,
    token      uuid        not null references shopkeeper.token on delete cascade,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);

comment on table shopkeeper.console_session is
    'Logins to the console. Only hashes of their cookies are stored. A login ends with its token.';

create index console_session_expires on shopkeeper.console_session (expires_at);
create index console_session_token on shopkeeper.console_session (token);

create table shopkeeper.audit (
    id     bigint generated always as identity primary key,
    at     timestamptz not null default now(),
    actor  text        not null,
    action text        not null,
    target text        not null default '',
    number bigint      not null default 1
);

create index audit_at on shopkeeper.audit (at);

-- For the chunks that were embedded in a day. Chunks are written about in the order of their times.
create index chunk_created on shopkeeper.chunk using brin (created_at);

comment on table shopkeeper.audit is 'What was done in the console.';
comment on column shopkeeper.audit.actor is 'The client of the token; `local` without one.';
comment on column shopkeeper.audit.target is 'What it was done to: a name, an id, or the filter of a bulk action.';
comment on column shopkeeper.audit.number is 'How many rows it applied to.';
