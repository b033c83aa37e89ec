-- Bearer tokens: who may ask by HTTP.

create table shopkeeper.token (
    id          uuid primary key default gen_random_uuid(),
    hash        bytea       not null unique,
    client      text        not null check (client <> ''),
    scopes      text[]      not null,
    sources     text[],
    session_id  text,
    customer_id text,
    created_at  timestamptz not null default now(),
    expires_at  timestamptz,
    revoked_at  timestamptz
);

comment on table shopkeeper.token is 'Bearer tokens. Only their hashes are stored.';
comment on column shopkeeper.token.client is
    'The service that holds the token. It sees its own sessions and answers only.';
comment on column shopkeeper.token.sources is 'The sources that the token may search; null means all.';
comment on column shopkeeper.token.session_id is 'The only session of a browser''s token.';
comment on column shopkeeper.token.customer_id is 'The customer of every question asked with a browser''s token.';

create index token_expires on shopkeeper.token (expires_at) where expires_at is not null;
create index token_of_services on shopkeeper.token (created_at desc, id) where session_id is null;
-- For erasing the tokens of a customer.
create index token_customer on shopkeeper.token (customer_id) where customer_id is not null;
