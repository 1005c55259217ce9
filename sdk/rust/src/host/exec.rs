//! Commands that the operator named and fixed; the plugin fills declared
//! parameters only.
//!
//! Needs the capability `exec` for the command.

use super::call;
use crate::{Attribute, Fault};

pub use crate::bindings::host::faultline::plugin::exec::Output;

impl Output {
    /// This output if the command ended with 0.
    ///
    /// # Errors
    /// `exec.failed` with the end of what it wrote as an error.
    pub fn ok(self) -> Result<Self, Fault> {
        if self.exit == 0 {
            return Ok(self);
        }
        let stderr = String::from_utf8_lossy(&self.stderr);
        let said = stderr.trim().lines().next_back().unwrap_or("nothing");
        Err(Fault::new(
            "exec.failed",
            format!(
                "the command ended with {}, and said at last: {said}",
                self.exit
            ),
        ))
    }
}

/// Runs a command by its name.
///
/// # Errors
/// `denied`, if the command is not granted; otherwise why it did not run. A
/// command that fails is an output: see [`Output::ok`].
pub fn run(command: &str, parameters: &[Attribute]) -> Result<Output, Fault> {
    call!(
        crate::bindings::host::faultline::plugin::exec::run(command, parameters),
        |fake| fake.exec_run(command, parameters)
    )
}
