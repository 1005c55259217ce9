//! What the tests are made of: the binary, a server over a folder of its own,
//! its command line, and what senders send.

pub(crate) mod alerts;
pub(crate) mod binary;
pub(crate) mod bundles;
pub(crate) mod collector;
pub(crate) mod commands;
pub(crate) mod guests;
pub(crate) mod history;
pub(crate) mod http;
pub(crate) mod paths;
pub(crate) mod process;
pub(crate) mod programs;
pub(crate) mod prometheus;
pub(crate) mod random;
pub(crate) mod remote_write;
pub(crate) mod server;
pub(crate) mod shop;
pub(crate) mod telemetry;
pub(crate) mod wait;
