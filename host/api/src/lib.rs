//! The HTTP API: what people, programs and the command line see of Faultline,
//! and the only way in which they act on it.
//!
//! A request passes the gate (`gate`), which finds out who asks and whether they
//! may; is read by strict extractors (`extract`); and is answered by one of the
//! `endpoints`, in the shapes of [`views`]. Everything that changes something is
//! on the audit log. The description of the API is generated from the handlers
//! and from the one table that says which role each needs.
//!
//! What needs the running machinery (loading plugins, how they fare) is asked of
//! a [`Control`], which the binary implements. Nothing here listens on a
//! socket: [`Api::router`] is a service that can be called directly.

mod access;
mod api;
mod audit;
mod bundles;
pub mod control;
mod endpoints;
mod extract;
mod gate;
mod instance_settings;
mod instances;
mod known;
mod limits;
mod listing;
mod metrics;
mod openapi;
mod overview;
mod prefix;
mod problem;
mod scrapers;
mod shared;
mod usage;
pub mod views;

pub use api::{Api, Clock, Parts, Randomness};
pub use control::{
    Answer, CachedComponent, Candidate, ComponentCache, Condition, Control, InstanceState,
    InstanceStatus, Reason, StageStatus, SupervisionStatus, Usage,
};
pub use instance_settings::{InstanceSettings, LimitOverrides};
pub use limits::ApiLimits;
pub use openapi::document;

/// The service that [`Api::router`] makes, so that whoever serves it can name it.
pub use axum::Router;

/// Where the API lies.
pub const BASE_PATH: &str = "/api/v1";
