-- What listings go by, so that they cost what they show and not what there is.

-- When each alert last changed, beside what it concerns: the alerts of an entity
-- are read in the order in which they are listed.
alter table alert_entity rename to alert_entity_before;
create table alert_entity (
    scope text not null,
    alert text not null,
    entity text not null,
    -- None for what a node of an earlier version has written: at the end.
    changed bigint not null default 0,
    primary key (scope, alert, entity)
);
insert into alert_entity (scope, alert, entity, changed)
    select before.scope, before.alert, before.entity, alert.changed
    from alert_entity_before as before
    join alert on alert.scope = before.scope and alert.id = before.alert;
drop table alert_entity_before;
create index alert_entity_by_change on alert_entity (scope, entity, changed, alert);

-- How many alerts there are, counted as they come and go.
create table alert_total (
    scope text not null primary key,
    alerts bigint not null
);
insert into alert_total (scope, alerts) select scope, count(*) from alert group by scope;

-- What a listing says of the incident, its members included. Empty for one that
-- was written before there were summaries, until the store is opened.
alter table incident add column summary text not null default '';
create index incident_by_lack_of_summary on incident (scope) where summary = '';

-- Alerts of one sender or detector: Faultline looks after its own all the time.
create index alert_by_origin on alert (scope, origin, state, changed, id);
