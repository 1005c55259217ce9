-- What an incident knows of each of its alerts, and why that is a member: a
-- value of its own, so that one alert that joins a thousand others is one row
-- to write and not the whole incident. Empty for an alert that was a member
-- once and is none any more.
alter table incident_member add column body text not null default '';
