//! What guests take that do nothing.

use std::error::Error;
use std::fs;

use faultline_domain::plugin::DetectorFactory as _;
use faultline_sandbox::Loaded;

use crate::surroundings::Surroundings;
use crate::{Goal, report};

/// Guests that live at the same time.
const GUESTS: usize = 1_000;

/// Measures by how much the process grows.
pub(crate) fn run(surroundings: &Surroundings) -> Result<(), Box<dyn Error>> {
    for name in ["baseline", "log-patterns"] {
        let Loaded::Detector(factory) = surroundings.load(name)? else {
            return Err(format!("{name} is no detector").into());
        };
        // The first brings what all share.
        let first = factory.start()?;
        let before = resident_megabytes()?;
        let guests = (0..GUESTS)
            .map(|_| factory.start())
            .collect::<Result<Vec<_>, _>>()?;
        let grown = resident_megabytes()? - before;
        drop((first, guests));
        let what = format!("memory of {GUESTS} idle guests: {name}");
        report(&what, "MB", Goal::AtMost(100.0), &[grown]);
    }
    Ok(())
}

/// Memory of this process (`proc_pid_status(5)`).
fn resident_megabytes() -> Result<f64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: u32 = line
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or("/proc/self/status has no VmRSS")?;
    Ok(f64::from(kibibytes) * 1_024.0 / 1e6)
}
