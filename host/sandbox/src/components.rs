//! From the bytes of components to components that can be linked: from the shelf,
//! from the cache, or from the compiler, in this order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use faultline_domain::id::Digest;
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache::{CodeCache, Found, Slot};
use crate::compile::Compiler;
use crate::engine::compatibility;
use crate::load_error::LoadError;

/// How many components are kept at hand beside those that run. One that was just
/// checked is about to be loaded, whether there is a cache or not.
const SHELF_MAX: usize = 4;

/// How components have fared since the sandbox was started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ComponentUsage {
    /// Components that were compiled.
    pub compiled: u64,
    /// Time on the clock that it took, failures included.
    pub compile_time: Duration,
    /// Components that the cache had.
    pub cache_hits: u64,
    /// Components that it did not have.
    pub cache_misses: u64,
    /// Files of the cache that were refused.
    pub cache_refused: u64,
    /// Components that were not loaded, by code: `limit.compile-time`,
    /// `import`, …
    pub refused: BTreeMap<&'static str, u64>,
}

/// Where components come from.
pub(crate) struct Components {
    compiler: Compiler,
    cache: Option<CodeCache>,
    engine: Engine,
    /// What code is compiled for.
    compiled_for: Digest,
    shelf: Mutex<Vec<(Digest, Component)>>,
    work: Work,
    usage: Mutex<ComponentUsage>,
}

impl Components {
    /// `build` names this program: another build compiles anew.
    pub(crate) fn new(
        engine: Engine,
        compiler: Compiler,
        cache: Option<CodeCache>,
        build: &str,
    ) -> Self {
        let compiled_for = Sha256::new()
            .chain_update(compatibility(&engine))
            .chain_update(build)
            .finalize();
        Self {
            compiler,
            cache,
            engine,
            compiled_for: Digest::from_bytes(compiled_for.into()),
            shelf: Mutex::default(),
            work: Work::default(),
            usage: Mutex::default(),
        }
    }

    /// The component of this digest, whose bytes these are. `refused` is told of
    /// a file of the cache that must not be used.
    ///
    /// # Errors
    /// If it cannot be compiled, or needs more than the engine gives to one.
    pub(crate) fn get(
        &self,
        digest: Digest,
        wasm: &[u8],
        refused: impl FnOnce(&str),
    ) -> Result<Component, LoadError> {
        let _work = self.work.begin(digest);
        if let Some(component) = self.on_shelf(digest) {
            return Ok(component);
        }
        let component = self.cached_or_compiled(digest, wasm, refused)?;
        let mut at_hand = self.shelf();
        at_hand.retain(|(other, _)| *other != digest);
        at_hand.insert(0, (digest, component.clone()));
        at_hand.truncate(SHELF_MAX);
        Ok(component)
    }

    fn on_shelf(&self, digest: Digest) -> Option<Component> {
        let at_hand = self.shelf();
        let found = at_hand.iter().find(|(other, _)| *other == digest);
        found.map(|(_, component)| component.clone())
    }

    fn cached_or_compiled(
        &self,
        component: Digest,
        wasm: &[u8],
        refused: impl FnOnce(&str),
    ) -> Result<Component, LoadError> {
        let slot = Slot {
            component,
            engine: self.compiled_for,
        };
        match self.cache.as_ref().map(|cache| cache.find(&slot)) {
            Some(Found::Code(code)) => match code.load(&self.engine) {
                Ok(component) => {
                    self.usage().cache_hits += 1;
                    return Ok(component);
                }
                Err(error) => {
                    self.usage().cache_refused += 1;
                    refused(&format!("it cannot be loaded: {error:#}"));
                }
            },
            Some(Found::Refused(reason)) => {
                self.usage().cache_refused += 1;
                refused(&reason);
            }
            Some(Found::Nothing) => self.usage().cache_misses += 1,
            None => {}
        }
        let began = Instant::now();
        let compiled = self.compiler.compile(&self.engine, wasm);
        self.usage().compile_time += began.elapsed();
        let code = compiled?;
        self.usage().compiled += 1;
        let loaded = code
            .load(&self.engine)
            .map_err(|error| LoadError::Malformed(format!("{error:#}")))?;
        if let Some(cache) = &self.cache
            && let Err(error) = cache.put(&slot, code.as_bytes())
        {
            tracing::warn!(
                "what {component} was compiled to cannot be kept in {}, and is compiled again \
                 next time: {error}",
                cache.path().display()
            );
        }
        Ok(loaded)
    }

    /// A component was not loaded.
    pub(crate) fn note_refusal(&self, error: &LoadError) {
        *self.usage().refused.entry(error.code()).or_default() += 1;
    }

    pub(crate) fn counted(&self) -> ComponentUsage {
        self.usage().clone()
    }

    pub(crate) const fn cache(&self) -> Option<&CodeCache> {
        self.cache.as_ref()
    }

    fn shelf(&self) -> MutexGuard<'_, Vec<(Digest, Component)>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn usage(&self) -> MutexGuard<'_, ComponentUsage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which components are being worked on: whoever wants one that is, waits, and
/// finds it on the shelf.
#[derive(Default)]
struct Work {
    under_way: Mutex<BTreeSet<Digest>>,
    done: Condvar,
}

struct UnderWay<'a> {
    work: &'a Work,
    digest: Digest,
}

impl Work {
    fn begin(&self, digest: Digest) -> UnderWay<'_> {
        let under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut under_way = self
            .done
            .wait_while(under_way, |under_way| under_way.contains(&digest))
            .unwrap_or_else(PoisonError::into_inner);
        under_way.insert(digest);
        UnderWay { work: self, digest }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let under_way = self.work.under_way.lock();
        let mut under_way = under_way.unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&self.digest);
        self.work.done.notify_all();
    }
}
