//! The kit, from outside: plugins are written with it and driven by its test
//! kit, as authors would.

mod action;
mod correlator;
mod decoded;
mod detector;
mod golden;
mod host;
mod json;
mod poller;
mod state;
mod telemetry;
