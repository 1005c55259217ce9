-- Everything that is derived from the journal, and everything that operators
-- decide. See the journal's migration for what the two databases share.

create table setting (
    name text not null primary key,
    value text not null
);

-- How far each stage has read. A commit moves it from where the stage thinks
-- it is; if another worker has moved it since, the commit fails as a whole.
create table stage (
    scope text not null,
    stage text not null,
    position bigint not null,
    -- Arrival of the last envelope that the stage has dealt with.
    clock bigint not null,
    -- The latest event time that it has come across.
    now bigint not null,
    primary key (scope, stage)
);

-- What the stage would have to compute anew, as of a position at or before its
-- own: the state of detectors, of derived telemetry, of correlators.
create table checkpoint (
    scope text not null,
    stage text not null,
    name text not null,
    position bigint not null,
    data blob not null,
    primary key (scope, stage, name)
);

-- What each source has sent, and how much of it could be used.
create table source (
    scope text not null,
    name text not null,
    envelopes bigint not null,
    body_bytes bigint not null,
    signals bigint not null,
    samples bigint not null,
    log_lines bigint not null,
    spans bigint not null,
    late bigint not null,
    rejected bigint not null,
    faults bigint not null,
    without_entity bigint not null,
    last_position bigint not null,
    last_received bigint not null,
    primary key (scope, name)
);

create table series (
    scope text not null,
    id bigint not null,
    name text not null,
    unit text not null,
    -- How the sender's values are to be read: a series of which the rate
    -- matters is kept as a rate.
    reading text not null,
    entity text,
    attributes text not null,
    first_position bigint not null,
    primary key (scope, id)
);
create index series_by_entity on series (scope, entity);

-- Samples of one series, compressed: ascending times, then values.
create table series_chunk (
    scope text not null,
    series bigint not null,
    start bigint not null,
    finish bigint not null,
    sample_count bigint not null,
    data blob not null,
    primary key (scope, series, start)
);
create index series_chunk_by_finish on series_chunk (scope, finish);

create table log_source (
    scope text not null,
    id bigint not null,
    entity text,
    attributes text not null,
    first_position bigint not null,
    primary key (scope, id)
);

-- Alerts as they stand. `body` is all of it; the columns beside it are for
-- finding it.
create table alert (
    scope text not null,
    id text not null,
    state text not null,
    severity bigint not null,
    title text not null,
    origin text not null,
    changed bigint not null,
    version bigint not null,
    position bigint not null,
    body text not null,
    primary key (scope, id)
);
create index alert_by_change on alert (scope, changed, id);
create index alert_by_state on alert (scope, state, changed, id);

create table alert_entity (
    scope text not null,
    alert text not null,
    entity text not null,
    primary key (scope, entity, alert)
);
create index alert_entity_by_alert on alert_entity (scope, alert);

-- The history of alerts: what happened, and how the alert looked afterwards.
create table transition (
    scope text not null,
    position bigint not null,
    ordinal bigint not null,
    received bigint not null,
    at bigint not null,
    alert text not null,
    version bigint not null,
    outcome text not null,
    source text,
    detail text not null,
    alert_view text not null,
    primary key (scope, position, ordinal)
);
create index transition_by_alert on transition (scope, alert, version);
create index transition_by_arrival on transition (scope, received);

-- A change that is reported again gets a further row; the last one counts.
create table change (
    scope text not null,
    position bigint not null,
    ordinal bigint not null,
    received bigint not null,
    id text not null,
    at bigint not null,
    kind text not null,
    title text not null,
    source text not null,
    body text not null,
    primary key (scope, position, ordinal)
);
create index change_by_id on change (scope, id, position);
create index change_by_time on change (scope, at);
create index change_by_arrival on change (scope, received);

create table change_entity (
    scope text not null,
    change text not null,
    entity text not null,
    primary key (scope, entity, change)
);

-- Sightings of edges of the topology, at a granularity; the last one counts.
create table dependency (
    scope text not null,
    position bigint not null,
    ordinal bigint not null,
    received bigint not null,
    dependent text not null,
    provider text not null,
    relation text not null,
    seen bigint not null,
    source text not null,
    primary key (scope, position, ordinal)
);
create index dependency_by_edge on dependency (scope, dependent, provider, relation, position);
create index dependency_by_arrival on dependency (scope, received);

create table ticket (
    scope text not null,
    source text not null,
    id text not null,
    position bigint not null,
    received bigint not null,
    title text not null,
    status text not null,
    body text not null,
    primary key (scope, source, id)
);

-- Acts of people, in their place in the journal, and what became of them.
create table command (
    scope text not null,
    position bigint not null,
    received bigint not null,
    person text not null,
    body text not null,
    -- Empty until the correlate stage has dealt with it; then 'done' or the
    -- reason why not.
    outcome text not null,
    primary key (scope, position)
);
create index command_by_arrival on command (scope, received);

-- The life of incidents: what is true about them.
create table incident_event (
    scope text not null,
    incident text not null,
    version bigint not null,
    -- Numbers the events of a scope in the order of their commits, without
    -- gaps: what live updates go by.
    sequence bigint not null,
    position bigint not null,
    at bigint not null,
    kind text not null,
    body text not null,
    primary key (scope, incident, version)
);
create unique index incident_event_by_sequence on incident_event (scope, sequence);

-- The fold of their events: what is shown.
create table incident (
    scope text not null,
    id text not null,
    phase text not null,
    severity bigint not null,
    title text not null,
    opened bigint not null,
    last bigint not null,
    version bigint not null,
    body text not null,
    primary key (scope, id)
);
create index incident_by_opening on incident (scope, opened, id);
create index incident_by_phase on incident (scope, phase, opened, id);

create table incident_member (
    scope text not null,
    incident text not null,
    alert text not null,
    primary key (scope, alert, incident)
);
create index incident_member_by_incident on incident_member (scope, incident);

-- What correlators proposed in vain.
create table refusal (
    scope text not null,
    position bigint not null,
    ordinal bigint not null,
    at bigint not null,
    correlator text not null,
    proposal text not null,
    reason text not null,
    summary text not null,
    primary key (scope, position, ordinal)
);

-- Payloads, or rows of them, that a decoder, detector or correlator could not
-- deal with. The payload itself lies in the journal, at this position.
create table dead_letter (
    scope text not null,
    position bigint not null,
    reader text not null,
    received bigint not null,
    source text not null,
    code text not null,
    message text not null,
    primary key (scope, position, reader)
);
create index dead_letter_by_arrival on dead_letter (scope, received);

create table bundle (
    digest text not null primary key,
    plugin text not null,
    version text not null,
    installed bigint not null,
    installed_by text not null,
    origin text not null
);

create table bundle_file (
    bundle text not null,
    path text not null,
    content blob not null,
    primary key (bundle, path)
);

-- An installed component with one configuration.
create table instance (
    name text not null primary key,
    bundle text not null,
    component text not null,
    kind text not null,
    config text not null,
    settings text not null,
    enabled bigint not null,
    created bigint not null,
    created_by text not null
);

create table instance_grant (
    instance text not null,
    capability text not null,
    granted bigint not null,
    granted_by text not null,
    reason text not null,
    primary key (instance, capability)
);

create table kv (
    instance text not null,
    name text not null,
    value blob not null,
    version bigint not null,
    primary key (instance, name)
);

-- The last version that was given to a key of the instance.
create table kv_counter (
    instance text not null primary key,
    version bigint not null
);

create table token (
    id text not null primary key,
    name text not null,
    -- 'api' or 'ingest': one is good for nothing that the other is for.
    purpose text not null,
    role text,
    source text,
    hash text not null,
    created bigint not null,
    created_by text not null,
    expires bigint,
    revoked bigint
);
create unique index token_by_hash on token (hash);

create table audit (
    sequence bigint not null primary key,
    at bigint not null,
    actor text not null,
    action text not null,
    subject text not null,
    stage text not null,
    intent bigint,
    result text,
    detail text not null,
    previous text not null,
    hash text not null
);
