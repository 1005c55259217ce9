//! The child's side: reads a component, compiles it, answers with the code.
//!
//! The answer is one byte that says how it went, and then the code or the
//! reason. Whatever else can happen shows in how the process ends.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, nice, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::set_no_new_privs;

use crate::engine::compiling_engine;
use crate::outline::COMPONENT_BYTES_MAX;

/// How an answer begins that has code in it.
pub(super) const COMPILED: u8 = b'+';

/// How an answer begins that has a reason in it.
pub(super) const REFUSED: u8 = b'-';

/// How much less than others it gets of processors: whoever waits for a plugin
/// can wait, and those that run cannot.
const NICENESS: i32 = 10;

/// Files that it may have open: its pipes, and what its libraries look at to
/// find out about the machine.
const FILES_MAX: u64 = 16;

/// Compiles the component that comes in and writes out the code. What this
/// process may take from here on is limited to so much, which cannot be undone:
/// call it in a process that does nothing else, and before it has any threads.
pub fn compile_worker(memory_bytes: u64, cpu: Duration) -> ExitCode {
    match work(memory_bytes, cpu) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The parent reads it; if it is gone, nobody needs it.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn work(memory_bytes: u64, cpu: Duration) -> io::Result<()> {
    confine(memory_bytes, cpu)?;
    let mut wasm = Vec::new();
    io::stdin()
        .lock()
        .take(COMPONENT_BYTES_MAX as u64 + 1)
        .read_to_end(&mut wasm)?;
    let engine = compiling_engine().map_err(|error| io::Error::other(format!("{error:#}")))?;
    let mut out = io::stdout().lock();
    match super::compile(&engine, &wasm) {
        Ok(code) => {
            out.write_all(&[COMPILED])?;
            out.write_all(&code)?;
        }
        Err(reason) => {
            out.write_all(&[REFUSED])?;
            out.write_all(reason.as_bytes())?;
        }
    }
    out.flush()
}

/// Takes away from this process what compiling does not need.
fn confine(memory_bytes: u64, cpu: Duration) -> io::Result<()> {
    // Nobody would read the answer.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    close_inherited()?;
    set_no_new_privs(true)?;
    nice(NICENESS)?;
    let seconds = cpu.as_secs().max(1);
    for (resource, most, last) in [
        (Resource::As, memory_bytes, memory_bytes),
        // The signal of the first says why; the second cannot be caught.
        (Resource::Cpu, seconds, seconds + 1),
        (Resource::Fsize, 0, 0),
        (Resource::Nofile, FILES_MAX, FILES_MAX),
        (Resource::Core, 0, 0),
    ] {
        // Where less is allowed already, it stays at that.
        let allowed = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Rlimit {
            current: Some(most.min(allowed)),
            maximum: Some(last.min(allowed)),
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}

/// Closes everything but the three pipes. What the parent opens is closed by
/// itself when this program starts; what whoever started the parent left open
/// is not.
#[expect(unsafe_code, reason = "there is no safe way to close what nobody owns")]
fn close_inherited() -> io::Result<()> {
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in open {
        // One of them was the folder itself, while it was read.
        if fs::read_link(format!("/proc/self/fd/{number}")).is_ok() {
            // SAFETY: nothing in this process owns it: the process has only just
            // begun, has one thread, and has opened nothing that it still has.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
    Ok(())
}
