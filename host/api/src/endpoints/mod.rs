//! The operations, one noun a file.

pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod changes;
pub(crate) mod commands;
pub(crate) mod component_cache;
pub(crate) mod dead_letters;
pub(crate) mod envelopes;
pub(crate) mod events;
pub(crate) mod explanation;
pub(crate) mod grants;
pub(crate) mod incidents;
pub(crate) mod instances;
pub(crate) mod machine;
pub(crate) mod plugins;
pub(crate) mod polls;
pub(crate) mod refusals;
pub(crate) mod series;
pub(crate) mod sources;
pub(crate) mod status;
pub(crate) mod tokens;
pub(crate) mod topology;
pub(crate) mod upgrades;
pub(crate) mod usage;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::problem::Problem;
use crate::shared::Shared;

/// What all handlers are given.
pub(crate) type App = State<Arc<Shared>>;

/// What most handlers answer.
pub(crate) type Answered<T> = Result<Json<T>, Problem>;
