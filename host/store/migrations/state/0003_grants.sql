-- What a grant allows in detail, and what was asked for when it was given: JSON,
-- since rules are read and compared as a whole and never searched. Grants that
-- were given before are of `kv`, which has no details.
alter table instance_grant add column terms text not null default '{}';

-- From when on a grant is of no use any more; none: for ever.
alter table instance_grant add column expires bigint;

-- What an instance did is asked for by its name.
create index audit_by_subject on audit (subject, sequence);
