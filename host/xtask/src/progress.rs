//! What tasks tell the person who started them: one line a step, with the time.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use faultline_domain::time::Timestamp;

/// The clock.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
}

/// Prints a line, preceded by the time of day in UTC.
#[expect(clippy::print_stdout, reason = "a task's output is for its caller")]
pub(crate) fn say(text: impl Display) {
    let now = now().to_string();
    // Of `2026-01-31T10:15:00.123Z`.
    let time = now.get(11..19).unwrap_or_default();
    println!("{time} {text}");
}

/// Prints something that is itself what was asked for.
#[expect(clippy::print_stdout, reason = "a task's output is for its caller")]
pub(crate) fn show(text: impl Display) {
    println!("{text}");
}

/// The checkout's root.
pub(crate) fn workspace() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root.pop();
    root
}

/// Where builds go, and whatever else can be made again: Cargo's target
/// folder.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        // Cargo reads a relative path from where it was started, and so do we.
        Some(folder) => std::path::absolute(&folder).unwrap_or_else(|_| PathBuf::from(folder)),
        None => workspace().join("target"),
    }
}
