-- The shop's database: a role for each service, so that who holds connections
-- can be seen from outside, and one for the exporter. It is a superuser
-- because those keep a few connections in reserve: what watches a database
-- should not go blind when the database is full.
create role orders login;
create role inventory login;
create role exporter login superuser;

create table products (
    sku         text primary key,
    title       text not null,
    price_cents integer not null check (price_cents > 0),
    available   integer not null check (available >= 0)
);

create table orders (
    id          bigint generated always as identity primary key,
    customer    integer not null,
    total_cents integer not null,
    placed      timestamptz not null default now()
);

-- Written by release 1.5.0 of orders.
create table order_audit (
    customer    integer not null,
    items       jsonb not null,
    written     timestamptz not null default now()
);

grant select, update on products to inventory;
grant select, insert on orders to orders;
grant select, insert on order_audit to orders;

insert into products (sku, title, price_cents, available)
select
    'sku-' || to_char(n, 'FM0000'),
    'Product ' || n,
    500 + (n * 7919) % 7500,
    200 + (n * 104729) % 400
from generate_series(1, 200) as n;
