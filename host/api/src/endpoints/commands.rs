//! Acts of people on incidents, and on instances that failed.
//!
//! An act is an envelope in the journal, in order with everything else, and is
//! carried out or refused by the stages when its turn comes. So the answer to a
//! request is what became of the act, if that is known in time, and else where
//! to look for it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use faultline_domain::audit::Stage;
use faultline_domain::envelope::{Format, Position};
use faultline_domain::id::InstanceName;
use faultline_domain::incidents::Command;
use faultline_store::CommandEnvelope;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::incidents::find;
use super::{Answered, App};
use crate::access::Caller;
use crate::control::InstanceState;
use crate::extract::{NoBody, NoQuery, Path, Query};
use crate::instances;
use crate::problem::Problem;
use crate::shared::Shared;
use crate::views::{CommandKind, CommandOutcome, CommandStatus, Place};

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CommandQuery {
    /// The most seconds to wait until it is carried out; 0 for not at all. Left
    /// out: as long as this server lets anybody wait, ten seconds if nothing
    /// else is configured.
    #[param(minimum = 0, maximum = 10, example = 5)]
    wait: Option<u64>,
}

/// Says that somebody looks after an incident.
#[utoipa::path(
    post, path = "/incidents/{id}/acknowledge", tag = "incidents",
    params(
        ("id" = String, Path, description = "The id, or the first digits of it.",
            pattern = "^(inc_)?[0-9a-fA-F]{4,32}$"),
        CommandQuery,
    ),
    responses(
        (status = 200, description = "It is acknowledged.", body = CommandStatus),
        (status = 202, description = "It is in the journal, and will be carried out or refused.", body = CommandStatus),
        (status = 409, description = "It was refused, for a reason."),
    )
)]
pub(crate) async fn incident_acknowledge(
    State(shared): App,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<CommandQuery>,
    _: NoBody,
) -> Result<Response, Problem> {
    let wait = wait(&shared, &query)?;
    let incident = find(&shared, &id).await?.id;
    act(&shared, &caller, Command::Acknowledge { incident }, wait).await
}

/// Says that an incident is over.
#[utoipa::path(
    post, path = "/incidents/{id}/resolve", tag = "incidents",
    params(
        ("id" = String, Path, description = "The id, or the first digits of it.",
            pattern = "^(inc_)?[0-9a-fA-F]{4,32}$"),
        CommandQuery,
    ),
    responses(
        (status = 200, description = "It is resolved.", body = CommandStatus),
        (status = 202, description = "It is in the journal, and will be carried out or refused.", body = CommandStatus),
        (status = 409, description = "It was refused, for a reason."),
    )
)]
pub(crate) async fn incident_resolve(
    State(shared): App,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<CommandQuery>,
    _: NoBody,
) -> Result<Response, Problem> {
    let wait = wait(&shared, &query)?;
    let incident = find(&shared, &id).await?.id;
    act(&shared, &caller, Command::Resolve { incident }, wait).await
}

/// Lets an instance that is backing off or quarantined be called again, from
/// here on: what it failed on is not shown to it again, unless it polls; then it
/// is asked at once, where it was. Changes nothing about one that runs.
#[utoipa::path(
    post, path = "/instances/{name}/resume", tag = "plugins",
    params(
        ("name" = String, Path, description = "The instance."),
        CommandQuery,
    ),
    responses(
        (status = 200, description = "It is called again.", body = CommandStatus),
        (status = 202, description = "It is in the journal, and will be carried out.", body = CommandStatus),
    )
)]
pub(crate) async fn instance_resume(
    State(shared): App,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<CommandQuery>,
    _: NoBody,
) -> Result<Response, Problem> {
    let wait = wait(&shared, &query)?;
    let instance = instances::find(&shared, &name).await?.name;
    act(&shared, &caller, Command::Resume { instance }, wait).await
}

/// Lets an instance be called again, as [`instance_resume`] does, if it is not
/// called at the moment: for acts that imply it.
pub(crate) async fn resume_if_stopped(
    shared: &Arc<Shared>,
    caller: &Caller,
    instance: &InstanceName,
) -> Result<(), Problem> {
    let statuses = instances::statuses(shared).await;
    let state = statuses.get(instance).map(|status| status.state);
    if matches!(
        state,
        Some(InstanceState::BackingOff | InstanceState::Quarantined)
    ) {
        let instance = instance.clone();
        let wait = shared.limits.command_wait_max;
        act(shared, caller, Command::Resume { instance }, wait).await?;
    }
    Ok(())
}

/// An act on an incident or an instance, and what has become of it.
#[utoipa::path(
    get, path = "/commands/{position}", tag = "incidents",
    params(("position" = u64, Path, description = "The envelope that carries it.")),
    responses((status = 200, description = "What has become of it.", body = CommandStatus))
)]
pub(crate) async fn command_fetch(
    State(shared): App,
    Path(position): Path<u64>,
    _: NoQuery,
) -> Answered<CommandStatus> {
    let position = Position(position);
    let (store, scope) = (&shared.store, shared.scope());
    if let Some(state) = store.command_fetch(scope, position).await? {
        let (command, person) = (&state.record.command, state.record.person);
        return status(&shared, position, command, person, state.outcome)
            .await
            .map(Json);
    }
    // The stages have not come to it yet.
    let envelope = store.envelope_fetch(scope, position).await?;
    let carried = envelope
        .filter(|envelope| envelope.arrival.format == Format::Command)
        .and_then(|envelope| CommandEnvelope::parse(&envelope.arrival.body).ok())
        .ok_or_else(|| {
            Problem::not_found(format!(
                "the envelope {position} carries no act, or is not there"
            ))
        })?;
    status(&shared, position, &carried.command, carried.person, None)
        .await
        .map(Json)
}

fn wait(shared: &Shared, query: &CommandQuery) -> Result<Duration, Problem> {
    let most = shared.limits.command_wait_max;
    match query.wait.map(Duration::from_secs) {
        None => Ok(most),
        Some(wait) if wait <= most => Ok(wait),
        Some(_) => {
            let detail = format!("must be a number of seconds from 0 to {}", most.as_secs());
            Err(Problem::malformed(Place::Query, "wait", detail))
        }
    }
}

/// Puts an act into the journal, between its intent and its outcome on the
/// audit log, and waits for what becomes of it.
async fn act(
    shared: &Arc<Shared>,
    caller: &Caller,
    command: Command,
    wait: Duration,
) -> Result<Response, Problem> {
    let (what, subject) = match &command {
        Command::Acknowledge { incident } | Command::Resolve { incident } => {
            ("incident", incident.to_string())
        }
        Command::Resume { instance } => ("instance", instances::subject(instance)),
    };
    let action = format!("{what}.{}", CommandKind::from(&command).as_str());
    let entry = |stage, detail| caller.entry(shared.now(), &action, &subject, stage, detail);
    let intent = shared
        .store
        .audit_append(entry(Stage::Intent, json!({})))
        .await?;
    let person = caller.principal.name.clone();
    let envelope = CommandEnvelope {
        person: person.clone(),
        command: command.clone(),
    };
    let arrival = envelope.into_arrival(shared.now());
    let appended = shared.append(arrival).await;
    let ended = match appended {
        Ok(position) => Ok((position, outcome(shared, position, wait).await)),
        Err(error) => Err(Problem::from(error)),
    };
    let (result, detail) = match &ended {
        Err(problem) => ("failed", json!({ "reason": problem.detail })),
        Ok((position, outcome)) => {
            let position = position.0;
            match outcome {
                Ok(None) => ("pending", json!({ "position": position })),
                Ok(Some(Ok(()))) => ("ok", json!({ "position": position })),
                Ok(Some(Err(reason))) => {
                    ("refused", json!({ "position": position, "reason": reason }))
                }
                // It is in the journal, and will be carried out or refused.
                Err(_) => ("unknown", json!({ "position": position })),
            }
        }
    };
    let result = result.to_owned();
    let written = entry(Stage::Outcome { intent, result }, detail);
    shared.store.audit_append(written).await?;
    let (position, outcome) = ended?;
    let outcome = outcome?;
    let code = match &outcome {
        None => StatusCode::ACCEPTED,
        Some(Ok(())) => StatusCode::OK,
        Some(Err(reason)) => {
            return Err(Problem::conflict(format!(
                "{subject} stays as it is: {reason}"
            )));
        }
    };
    let status = status(shared, position, &command, person, outcome).await?;
    Ok((code, Json(status)).into_response())
}

/// What became of the act at this position; none if that is not known in time.
async fn outcome(
    shared: &Shared,
    position: Position,
    wait: Duration,
) -> Result<Option<Result<(), String>>, Problem> {
    let deadline = Instant::now() + wait;
    let mut committed = shared.committed.clone();
    loop {
        // From here on, a commit wakes us: none falls between looking and
        // waiting.
        committed.mark_unchanged();
        let outcome = shared
            .store
            .command_outcome(shared.scope(), position)
            .await?;
        let now = Instant::now();
        if outcome.is_some() || now >= deadline {
            return Ok(outcome);
        }
        let look_again = deadline.min(now + shared.limits.command_poll);
        tokio::select! {
            // Nothing commits any more: the process is about to stop.
            changed = committed.changed() => if changed.is_err() {
                return Ok(None);
            },
            () = tokio::time::sleep_until(look_again) => {}
        }
    }
}

async fn status(
    shared: &Shared,
    position: Position,
    command: &Command,
    by: String,
    outcome: Option<Result<(), String>>,
) -> Result<CommandStatus, Problem> {
    let (incident, instance) = match command {
        Command::Acknowledge { incident } | Command::Resolve { incident } => {
            (Some(incident.to_string()), None)
        }
        Command::Resume { instance } => (None, Some(instance.to_string())),
    };
    let (outcome, detail) = match outcome {
        None => (
            CommandOutcome::Pending,
            Some(pending(shared, position).await),
        ),
        Some(Ok(())) => (CommandOutcome::Done, None),
        Some(Err(reason)) => (CommandOutcome::Refused, Some(reason)),
    };
    Ok(CommandStatus {
        position: position.0,
        command: command.into(),
        incident,
        instance,
        by,
        outcome,
        detail,
    })
}

/// What to do while an act waits.
async fn pending(shared: &Shared, position: Position) -> String {
    let stages = shared.control.stages().await;
    let stuck = stages
        .into_iter()
        .find_map(|stage| stage.fault.map(|fault| (stage.name, fault)));
    match stuck {
        Some((stage, fault)) => format!(
            "it is in the journal and will not be lost, but the stage {stage} does not go on: \
             {fault}"
        ),
        None => format!(
            "it is in the journal; see {}/commands/{position} for what becomes of it",
            crate::BASE_PATH
        ),
    }
}
