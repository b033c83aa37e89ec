-- Who may ask by HTTP.

create table shopkeeper.token (
    id           uuid primary key default gen_random_uuid(),
    hash         bytea       not null unique,
    client       text        not null check (client <> ''),
    scopes       text[]      not null,
    sources      text[],
    session_id   text,
    created_at   timestamptz not null default now(),
    expires_at   timestamptz,
    revoked_at   timestamptz
);

comment on table shopkeeper.token is 'Bearer tokens. Only their hashes are kept.';
comment on column shopkeeper.token.client is 'The service that has it: it sees its own sessions and answers.';
comment on column shopkeeper.token.sources is 'The sources that it may search; null is all.';
comment on column shopkeeper.token.session_id is 'The only session that it is for, when it is a browser''s.';

create index token_expires on shopkeeper.token (expires_at) where expires_at is not null;
