//! Waiting for something to become so: asked again and again until a deadline,
//! and never for a fixed time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take. Long, for machines that do much else: it is
/// only ever waited for when something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks until there is an answer and gives it. The question says what it sees
/// instead as long as there is none; if there is none in time, the test fails
/// with what was last seen.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(seen) if began.elapsed() > PATIENCE => {
                panic!("{what}: not within {PATIENCE:?}; last seen: {seen}")
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Tells others to stop when it is dropped: also when the test fails, whose end
/// would otherwise wait for them for ever.
pub(crate) struct StopsAtEnd<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopsAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
