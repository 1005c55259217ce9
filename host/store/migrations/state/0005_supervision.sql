-- How instances that failed stand, as the stage that calls them has it. `body`
-- is all of it; the columns beside it are for finding and for people.
create table supervision (
    scope text not null,
    -- Who calls them: 'observe', 'correlate', 'poll'.
    keeper text not null,
    instance text not null,
    state text not null,
    body text not null,
    primary key (scope, keeper, instance)
);

-- What kind of letter: 'fault' (the payload could not be read), 'poison' (it
-- made a plugin fail), 'held' (its reader is not called at the moment), 'failure'
-- (a plugin failed, and no payload is to blame).
alter table dead_letter add column kind text not null default 'fault';
update dead_letter set kind = 'poison' where reader like 'detector:%';
create index dead_letter_by_kind on dead_letter (scope, kind, position);

-- Items over a limit that one source has for itself.
alter table source add column over_limit bigint not null default 0;
