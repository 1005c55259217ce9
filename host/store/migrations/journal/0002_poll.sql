-- Where pollers stand. Here and not beside the other tables, so that a page and
-- the cursor after it are one commit: after a crash either both are there or
-- neither, and what was fetched stands in the journal once.
create table poll (
    scope text not null,
    instance text not null,
    -- Counts the commits. One is made from where the poller thinks it is; if
    -- another worker has moved it since, it fails as a whole.
    version bigint not null,
    -- 0 while there is no cursor: from the start.
    has_cursor bigint not null,
    cursor blob not null,
    pages bigint not null,
    envelopes bigint not null,
    faults bigint not null,
    pages_in_a_row bigint not null,
    faults_in_a_row bigint not null,
    -- Times; 0 is never, and of `due` at once.
    polled bigint not null,
    caught_up bigint not null,
    due bigint not null,
    -- The last fault; no code if there was none.
    fault_at bigint not null,
    fault_code text not null,
    fault_message text not null,
    primary key (scope, instance)
);
