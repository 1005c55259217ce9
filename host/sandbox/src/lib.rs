//! Where plugins run, and the only crate that knows wasmtime.
//!
//! A component is checked (what it imports and exports), compiled in a child
//! process or taken from the cache, linked with what it may use and nothing
//! else, and called through the traits of `faultline_domain::plugin`. Connectors
//! and correlators get a fresh guest for each call, or one of a pool that is kept
//! warm; pollers a fresh one; detectors live long. Every guest runs under limits,
//! each with a
//! name; one that traps or reaches a limit is gone, and the call says why.
//!
//! Guests run on threads that may wait: no call of this crate may be made from
//! an asynchronous task.

mod bindings;
mod cache;
mod code;
mod compile;
mod components;
mod connector;
mod convert;
mod correlator;
mod detector;
mod engine;
mod guest;
mod host;
mod imports;
mod instance;
mod limiter;
mod load_error;
mod meter;
mod outline;
mod poller;
mod pool;
mod repeats;
mod sandbox;
mod services;
mod share;
mod stats;
mod wasi;

pub use cache::{CacheEntry, CacheError, CacheKey, CodeCache};
pub use compile::{CompileLimits, Compiler, WorkerProgram, compile_worker};
pub use components::ComponentUsage;
pub use connector::WasmConnector;
pub use correlator::WasmCorrelator;
pub use detector::WasmDetectorFactory;
pub use imports::ImportError;
pub use instance::{Clock, InstanceSpec};
pub use load_error::LoadError;
pub use outline::COMPONENT_BYTES_MAX;
pub use poller::WasmPoller;
pub use sandbox::{Loaded, Role, Sandbox};
pub use services::{Committed, Item, ItemChange, Pending, ServiceError, Services};
pub use stats::{Calls, Usage, WALL_BUCKETS};
