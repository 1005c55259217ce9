-- How pollers that failed are supervised. Beside their cursors, of which it is
-- true that they failed on them, and in the same commit: unlike that of the
-- stages, it cannot be computed again from the journal.
--
-- JSON; empty if its component never failed.
alter table poll add column supervision text not null default '';
-- The last position of the journal when it failed: acts of people up to there
-- are none that let it run again.
alter table poll add column heard bigint not null default 0;
