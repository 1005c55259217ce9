//! The engine: how guests are compiled, and how they are interrupted.

use std::hash::{Hash as _, Hasher};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often running guests are looked at. A limit is noticed at most this
/// much too late.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// The most instances that are alive at one time.
const INSTANCES_MAX: u32 = 1_200;

/// How much of what they are made of there is for all of these together.
pub(crate) const CORE_INSTANCES_IN_POOL: u32 = INSTANCES_MAX * 3;
pub(crate) const MEMORIES_IN_POOL: u32 = INSTANCES_MAX;
pub(crate) const TABLES_IN_POOL: u32 = INSTANCES_MAX * 2;

/// The most linear memory that any limit can allow.
const MEMORY_BYTES_MAX: usize = 1 << 30;

/// The most elements of a table that any limit can allow.
const TABLE_ELEMENTS_MAX: usize = 100_000;

/// The most core instances, tables and memories of one guest. The pools are
/// shared: one component with a thousand tables would leave none for others.
/// Languages with a dynamic linker have some dozens of instances.
pub(crate) const CORE_INSTANCES_MAX: u32 = 128;
pub(crate) const TABLES_MAX: u32 = 64;
pub(crate) const MEMORIES_MAX: u32 = 4;

/// How deep guests may call.
pub(crate) const STACK_BYTES: usize = 512 << 10;

/// An engine with its clockwork. Engines are not shared between tiers of
/// trust, so that their pools of memory are not either.
pub(crate) struct GuestEngine {
    engine: Engine,
    _ticker: Ticker,
}

impl GuestEngine {
    /// Starts an engine.
    ///
    /// # Errors
    /// If the machine does not allow what it needs.
    pub(crate) fn start() -> wasmtime::Result<Self> {
        // Pools are faster, but reserve terabytes of address space, which not
        // every machine has to give.
        let engine = Engine::new(&config(Allocation::Pooling))
            .or_else(|_| Engine::new(&config(Allocation::OnDemand)))?;
        let ticker = Ticker::start(&engine);
        Ok(Self {
            engine,
            _ticker: ticker,
        })
    }

    pub(crate) const fn engine(&self) -> &Engine {
        &self.engine
    }
}

/// An engine that compiles as the others do and runs nothing: without their
/// pools, which take more address space than a compiler is given.
///
/// # Errors
/// If the machine does not allow what it needs.
pub(crate) fn compiling_engine() -> wasmtime::Result<Engine> {
    Engine::new(&config(Allocation::OnDemand))
}

/// What code has to be compiled for to run in this engine: two engines with the
/// same number can run each other's. Covers wasmtime's version, its settings
/// and the processor's abilities.
pub(crate) fn compatibility(engine: &Engine) -> [u8; 32] {
    let mut hasher = Hashed(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().into()
}

/// The standard library's hashers are neither wide enough nor the same in the
/// next version.
struct Hashed(Sha256);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nobody asks for it.
    fn finish(&self) -> u64 {
        0
    }
}

#[derive(Clone, Copy)]
enum Allocation {
    Pooling,
    OnDemand,
}

fn config(allocation: Allocation) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // Fuel would be exact, but slows guests down by up to a half.
        .consume_fuel(false)
        // The same journal must give the same history on any machine: NaN has
        // one bit pattern, and what may differ between processors is off.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .concurrency_support(false)
        .max_wasm_stack(STACK_BYTES)
        .wasm_backtrace_max_frames(NonZeroUsize::new(16));
    if matches!(allocation, Allocation::Pooling) {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    }
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES_MAX)
        .total_core_instances(CORE_INSTANCES_IN_POOL)
        .total_memories(MEMORIES_IN_POOL)
        .total_tables(TABLES_IN_POOL)
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_memory_size(MEMORY_BYTES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(1 << 20)
        // What a guest wrote is gone when its slot is used again. The kernel
        // says which pages those are (PAGEMAP_SCAN, where it knows it); they
        // are cleared by hand up to here, which holds a call's worth of most
        // guests, and given back beyond.
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(64);
    pool
}

/// A thread that lets time pass for guests. A thread and not a task: a guest
/// that never yields could keep a task from running, and so itself from being
/// stopped.
struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: &Engine) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, weak) = (Arc::clone(&stop), engine.weak());
        let thread = std::thread::Builder::new()
            .name("guest-ticker".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    std::thread::sleep(TICK);
                    match weak.upgrade() {
                        Some(engine) => engine.increment_epoch(),
                        None => return,
                    }
                }
            })
            .expect("a machine that cannot start one thread cannot run this program");
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It cannot panic, and if it did there would be nothing to do.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compiled_without_pools_runs_with_them() {
        let running = GuestEngine::start().expect("an engine");
        let compiling = compiling_engine().expect("an engine");
        assert_eq!(compatibility(running.engine()), compatibility(&compiling));
        let mut other = config(Allocation::OnDemand);
        other.epoch_interruption(false);
        let other = Engine::new(&other).expect("an engine");
        assert_ne!(compatibility(&other), compatibility(&compiling));
    }
}
