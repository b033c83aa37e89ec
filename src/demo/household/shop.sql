-- The tables of the sample shop: a small outdoor-and-home catalogue with its questions and policies.
-- Every run drops and recreates them. Their rows are in `shop/`; all brands, names and texts are invented.

drop table if exists public.shop_product, public.shop_faq, public.shop_policy cascade;

create table public.shop_product (
    id          bigint primary key,
    sku         text not null unique,
    slug        text not null,
    name        text not null,
    description text not null,
    category    text not null,
    brand       text not null,
    colour      text,
    size        text,
    price       numeric(10,2) not null,
    currency    text not null default 'EUR',
    stock       integer not null,
    is_active   boolean not null default true,
    updated_at  timestamptz not null default now()
);

create table public.shop_faq (
    id         bigint primary key,
    question   text,
    answer     text,
    topic      text,
    updated_at timestamptz not null default now()
);

create table public.shop_policy (
    id         bigint primary key,
    slug       text,
    title      text,
    body       text,
    updated_at timestamptz not null default now()
);
