//! Telemetry that follows from other telemetry: each result is a series like
//! any other.

pub(crate) mod calls;
pub(crate) mod rates;
pub(crate) mod windows;
