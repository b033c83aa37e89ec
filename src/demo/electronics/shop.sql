-- The tables of the second sample shop: consumer electronics and its help pages.
-- Every run drops and recreates them. All brands, names and texts are invented.

drop table if exists public.product, public.help cascade;

create table public.product (
    id              bigint primary key,
    family          bigint not null,
    sku             text not null unique,
    slug            text not null,
    name            text not null,
    description     text not null,
    category        text not null,
    brand           text not null,
    colour          text,
    capacity        text,
    price           numeric(10,2) not null,
    currency        text not null default 'EUR',
    stock           integer not null,
    is_active       boolean not null default true,
    warranty_months integer not null,
    connector       text,
    updated_at      timestamptz not null default now()
);

create table public.help (
    id         bigint primary key,
    title      text not null,
    body       text not null,
    category   text,
    updated_at timestamptz not null default now()
);
