//! Compiling components, which is where untrusted input meets the most code and
//! has the least bounds: a small component can take minutes and gigabytes.
//!
//! So it is done by a [child process](child) with limits of its own, which are
//! the operating system's to keep; a compiler that fails takes nothing else
//! along. Tests that have no binary at hand compile in process.

mod child;
mod worker;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::{CodeBuilder, Engine};

pub use worker::compile_worker;

use crate::code::Code;
use crate::convert::{clip, line};
use crate::load_error::LoadError;

/// What compiling one component may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// Bytes of address space, the program itself included.
    pub memory_bytes: u64,
    /// Time on processors, all of its threads together; counted in whole
    /// seconds.
    pub cpu: Duration,
    /// Time on the clock.
    pub wall: Duration,
    /// Bytes of machine code.
    pub output_bytes: u64,
}

impl Default for CompileLimits {
    /// Enough for the runtime of a scripting language, on a slow machine.
    fn default() -> Self {
        Self {
            memory_bytes: 4 << 30,
            cpu: Duration::from_secs(180),
            wall: Duration::from_secs(300),
            output_bytes: 512 << 20,
        }
    }
}

/// The program that compiles, and what it has to be told before the limits:
/// it ends up in [`compile_worker`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerProgram {
    /// The program.
    pub program: PathBuf,
    /// Its first arguments.
    pub arguments: Vec<OsString>,
    /// What stands in its environment: nothing else does.
    pub environment: Vec<(&'static str, &'static str)>,
}

/// Makes machine code of components.
#[derive(Debug)]
pub struct Compiler {
    place: Place,
    turns: Turns,
}

#[derive(Debug)]
enum Place {
    InProcess,
    Child {
        program: WorkerProgram,
        limits: CompileLimits,
    },
}

impl Compiler {
    /// Compiles in this process, without limits: for tests and benches.
    pub fn in_process() -> Self {
        Self {
            place: Place::InProcess,
            turns: Turns::new(NonZeroUsize::MAX),
        }
    }

    /// Compiles in child processes, so many at a time; others wait.
    pub fn in_child(program: WorkerProgram, limits: CompileLimits, at_once: NonZeroUsize) -> Self {
        Self {
            place: Place::Child { program, limits },
            turns: Turns::new(at_once),
        }
    }

    /// Compiles a component for an engine. Waits for its turn, and for as long
    /// as the limits allow.
    ///
    /// # Errors
    /// If it is not valid, or takes more than it may.
    pub(crate) fn compile(&self, engine: &Engine, wasm: &[u8]) -> Result<Code, LoadError> {
        let _turn = self.turns.take();
        match &self.place {
            Place::InProcess => {
                let code = compile(engine, wasm).map_err(LoadError::Malformed)?;
                Ok(Code::vouched(code, 0))
            }
            Place::Child { program, limits } => child::compile(program, limits, wasm),
        }
    }
}

/// Compiles, here and now.
fn compile(engine: &Engine, wasm: &[u8]) -> Result<Vec<u8>, String> {
    let compiled = CodeBuilder::new(engine)
        // From bytes of WebAssembly only: what was compiled elsewhere could be
        // any code at all.
        .wasm_binary(wasm, None)
        .and_then(|builder| builder.compile_component_serialized());
    compiled.map_err(|error| line(clip(format!("{error:#}"), 1_000)))
}

/// So many at a time.
#[derive(Debug)]
struct Turns {
    free: Mutex<usize>,
    freed: Condvar,
}

struct Turn<'a>(&'a Turns);

impl Turns {
    fn new(most: NonZeroUsize) -> Self {
        Self {
            free: Mutex::new(most.get()),
            freed: Condvar::new(),
        }
    }

    fn take(&self) -> Turn<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self
            .freed
            .wait_while(free, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let free = self.0.free.lock();
        *free.unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests;
