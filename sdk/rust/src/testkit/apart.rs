//! Calls that share no memory of their thread with others: as near as a native
//! test comes to a guest that has just been started. What a plugin keeps in a
//! `static`, all threads share; it shows when the plugin is asked once more.

use std::panic::resume_unwind;
use std::thread;

/// Calls on a thread of its own, and gives what comes of it, panics included.
pub(super) fn apart<T: Send>(call: impl FnOnce() -> T + Send) -> T {
    let outcome = thread::scope(|scope| scope.spawn(call).join());
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}
