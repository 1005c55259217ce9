-- What processes that share a database need of one another.

-- Who does what only one process may do at a time. A row stays when it is let
-- go of, so that its token never goes back.
create table lease (
    scope text not null,
    -- 'observe', 'correlate', …
    name text not null,
    -- The node that has it, and one life of its process; empty if nobody has.
    node text not null,
    life text not null,
    -- Counted up whenever it is taken: what is committed under an earlier one
    -- is refused.
    token bigint not null,
    -- Counted up whenever its holder shows that it lives. Others compare what
    -- they saw with what they see, so that no clock is compared with another.
    beat bigint not null,
    -- By the clock of its holder, to be shown.
    taken bigint not null,
    renewed bigint not null,
    primary key (scope, name)
);

-- Counted up with each change that other processes must learn of.
create table edition (
    name text not null primary key,
    number bigint not null
);
insert into edition (name, number) values ('plugins', 0), ('tokens', 0);

-- One row, which whoever appends to the audit log updates first: that puts
-- writers in a queue, and keeps the chain a chain.
create table audit_queue (
    id bigint not null primary key,
    appended bigint not null
);
insert into audit_queue (id, appended) values (1, 0);
