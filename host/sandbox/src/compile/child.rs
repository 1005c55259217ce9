//! The parent's side: starts a child, gives it a component, waits no longer than
//! it may take, and says what went wrong.

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use faultline_domain::plugin::Limit;
use rustix::process::{Pid, Signal, kill_process_group};

use super::worker::{COMPILED, REFUSED};
use super::{CompileLimits, WorkerProgram};
use crate::code::Code;
use crate::convert::{clip, line};
use crate::load_error::LoadError;

/// The most bytes that are kept of what a child complains about.
const COMPLAINT_BYTES_MAX: u64 = 4 << 10;

/// The most bytes of a reason.
const REASON_BYTES_MAX: usize = 4 << 10;

/// How often to look whether a child that has answered has also ended.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How the parts of a program that wants more memory than there is complain:
/// Rust's allocator, the operating system, and whoever starts a thread.
const OUT_OF_MEMORY: [&str; 3] = [
    "memory allocation of",
    "Cannot allocate memory",
    "Resource temporarily unavailable",
];

/// Compiles a component in a child.
///
/// # Errors
/// If it is not valid, takes more than it may, or the child cannot do it.
pub(super) fn compile(
    program: &WorkerProgram,
    limits: &CompileLimits,
    wasm: &[u8],
) -> Result<Code, LoadError> {
    let began = Instant::now();
    let mut running = Running::start(program, limits).map_err(|error| {
        LoadError::Compiler(format!(
            "{} cannot be started: {error}",
            program.program.display()
        ))
    })?;
    let (answer, complaint, ended) = running
        .converse(wasm, limits, began + limits.wall)
        .map_err(|error| LoadError::Compiler(error.to_string()))?;
    let Some(status) = ended else {
        let message = format!("compiling took longer than {:?}", limits.wall);
        return Err(LoadError::limit(Limit::CompileTime, message));
    };
    if answer.len() as u64 > limits.output_bytes.saturating_add(1) {
        let message = format!(
            "the component becomes more than {} bytes of machine code",
            limits.output_bytes
        );
        return Err(LoadError::limit(Limit::CompiledSize, message));
    }
    match answer.split_first() {
        Some((&COMPILED, _)) if status.success() => Ok(Code::vouched(answer, 1)),
        Some((&REFUSED, reason)) if status.success() => Err(refused(reason, limits)),
        _ => Err(failed(status, &complaint, limits)),
    }
}

/// The compiler's own word against a component.
fn refused(reason: &[u8], limits: &CompileLimits) -> LoadError {
    let reason = &reason[..reason.len().min(REASON_BYTES_MAX)];
    let reason = line(String::from_utf8_lossy(reason).into_owned());
    if is_out_of_memory(&reason) {
        return too_much_memory(limits);
    }
    LoadError::Malformed(reason)
}

/// The child ended without an answer.
fn failed(status: ExitStatus, complaint: &str, limits: &CompileLimits) -> LoadError {
    let signal = status.signal();
    if signal == Some(Signal::XCPU.as_raw()) {
        let message = format!("compiling took more than {:?} of processors", limits.cpu);
        return LoadError::limit(Limit::CompileTime, message);
    }
    // Nobody here has killed it: the operating system has, for want of memory.
    if signal == Some(Signal::KILL.as_raw()) || is_out_of_memory(complaint) {
        return too_much_memory(limits);
    }
    let complaint = complaint.lines().rfind(|line| !line.trim().is_empty());
    let complaint = line(clip(complaint.unwrap_or("").to_owned(), 500));
    LoadError::Compiler(format!("it ended with {status}: {complaint}"))
}

fn is_out_of_memory(text: &str) -> bool {
    OUT_OF_MEMORY.iter().any(|words| text.contains(words))
}

fn too_much_memory(limits: &CompileLimits) -> LoadError {
    let message = format!(
        "compiling takes more than {} bytes of memory",
        limits.memory_bytes
    );
    LoadError::limit(Limit::CompileMemory, message)
}

/// A child that runs, until this is dropped at the latest.
struct Running {
    child: Child,
    group: Option<Pid>,
    is_waited_for: bool,
}

/// What a child answered, what it complained about, and how it ended; none if it
/// had to be killed because time was up.
type Conversation = (Vec<u8>, String, Option<ExitStatus>);

impl Running {
    fn start(program: &WorkerProgram, limits: &CompileLimits) -> io::Result<Self> {
        let child = Command::new(&program.program)
            .arg0("faultline")
            .args(&program.arguments)
            .arg(limits.memory_bytes.to_string())
            .arg(limits.cpu.as_secs().max(1).to_string())
            // Nothing of ours: no tokens from the environment, and of open files
            // only these three. It closes what others left open for us.
            .env_clear()
            .envs(program.environment.iter().copied())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: whatever it starts goes with it, and Ctrl-C at
            // a terminal is for us to hear.
            .process_group(0)
            .spawn()?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(Self {
            child,
            group,
            is_waited_for: false,
        })
    }

    /// Gives it a component and hears it out, until the deadline.
    fn converse(
        &mut self,
        wasm: &[u8],
        limits: &CompileLimits,
        deadline: Instant,
    ) -> io::Result<Conversation> {
        let pipes = (
            self.child.stdin.take(),
            self.child.stdout.take(),
            self.child.stderr.take(),
        );
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::Error::other("it has no pipes"));
        };
        thread::scope(|scope| {
            let (done, is_done) = mpsc::channel();
            scope.spawn(move || give(stdin, wasm));
            let complaint = scope.spawn(move || complaint(stderr));
            let most = limits.output_bytes.saturating_add(2);
            let answer = scope.spawn(move || {
                let answer = answer(stdout, most);
                // Whoever waited may have given up.
                let _ = done.send(());
                answer
            });
            let left = deadline.saturating_duration_since(Instant::now());
            let answered = is_done.recv_timeout(left).is_ok();
            let ended = if answered {
                self.ended_until(deadline)
            } else {
                Ok(None)
            };
            if !matches!(ended, Ok(Some(_))) {
                // Its pipes close with it, so that the threads end.
                self.kill();
            }
            let answer = answer.join().unwrap_or_default();
            let complaint = complaint.join().unwrap_or_default();
            Ok((answer, complaint, ended?))
        })
    }

    /// Waits for it to end; it has closed its side already.
    fn ended_until(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        loop {
            let ended = self.child.try_wait()?;
            self.is_waited_for = ended.is_some();
            if ended.is_some() || Instant::now() >= deadline {
                return Ok(ended);
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn kill(&mut self) {
        // Whoever was waited for has given back its number, which may be
        // somebody else's by now.
        if self.is_waited_for {
            return;
        }
        if let Some(group) = self.group {
            // Fails only if all of it has ended already.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        self.is_waited_for = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A child that does not want to read any more says why elsewhere.
fn give(mut stdin: ChildStdin, wasm: &[u8]) {
    let _ = stdin.write_all(wasm);
}

/// What cannot be read is missing, and that shows.
fn answer(stdout: ChildStdout, most: u64) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = stdout.take(most).read_to_end(&mut answer);
    answer
}

/// The beginning of what it complains about; it may complain at any length.
fn complaint(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    let _ = (&mut stderr)
        .take(COMPLAINT_BYTES_MAX)
        .read_to_end(&mut kept);
    let _ = io::copy(&mut stderr, &mut io::sink());
    String::from_utf8_lossy(&kept).into_owned()
}
