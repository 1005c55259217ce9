-- The journal: every payload that was accepted, in order, as it came.
--
-- The SQL of this folder and of `state` runs on SQLite and on PostgreSQL alike:
-- numbers are bigint (times are microseconds since the epoch), structured
-- values are JSON in text, and bytes are blob (on PostgreSQL a domain over
-- bytea).

-- One row a scope: the last position that was given away, and when that
-- envelope arrived. Appending updates it first, which puts writers in a queue
-- and keeps positions without gaps and in the order of commits.
create table journal_head (
    scope text not null primary key,
    position bigint not null,
    received bigint not null
);

create table envelope (
    scope text not null,
    position bigint not null,
    source text not null,
    format text not null,
    content_type text not null,
    headers text not null,
    -- 'identity' or 'zstd'.
    encoding text not null,
    body blob not null,
    -- Before compression.
    body_bytes bigint not null,
    received bigint not null,
    primary key (scope, position)
);
