-- A checksum of each envelope: a row that a disk or a hand has changed is
-- found when it is read, instead of being worked on. None for envelopes from
-- before.
alter table envelope add column checksum bigint;

-- Envelopes that are lost and known to be: what a repair could not read.
create table journal_loss (
    scope text not null,
    -- The first and the last position, both lost.
    first bigint not null,
    last bigint not null,
    primary key (scope, first)
);
