//! What is made runnable: components, and what is kept of them in the cache.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

use faultline_sandbox::{CacheKey, CodeCache, Compiler, Loaded, Role, Sandbox};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::mirror;

/// So many others push a component off the shelf, so that the cache is asked.
const OTHERS: usize = 4;

/// More than all of them take.
const CACHE_BYTES_MAX: u64 = 64 << 20;

/// What each component answers with differs, and nothing else.
fn correlator(number: usize) -> Vec<u8> {
    let correlate = format!(
        r#"(func (export "faultline:plugin/correlate@0.1.0#correlate")
            (param i64 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)
            (param i32 i32 i32 i32 i32) (result i32)
            (i32.const {number}))"#
    );
    mirror::component("correlator", &correlate)
}

/// A sandbox with a cache, and the file that is under attack in it.
struct Cached {
    sandbox: Sandbox,
    components: Vec<Vec<u8>>,
    file: PathBuf,
    /// What the file should hold.
    good: Vec<u8>,
    _runtime: Runtime,
    _folder: TempDir,
}

impl Cached {
    fn make() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cache");
        let cache = CodeCache::open(&path, CacheKey([7; 32]), CACHE_BYTES_MAX);
        let cache = cache.expect("a folder of our own");
        let runtime = Runtime::new().expect("a runtime");
        let sandbox =
            mirror::sandbox(&runtime).with_compiler(Compiler::in_process(), Some(cache), "fuzz");
        let mut cached = Self {
            sandbox,
            components: (0..=OTHERS).map(correlator).collect(),
            file: PathBuf::new(),
            good: Vec::new(),
            _runtime: runtime,
            _folder: folder,
        };
        cached.load(0);
        let mut files = fs::read_dir(&path).expect("the cache");
        cached.file = files.next().expect("a file").expect("a file").path();
        cached.good = fs::read(&cached.file).expect("the file");
        cached.forget();
        cached
    }

    fn load(&self, number: usize) {
        let wasm = &self.components[number];
        let loaded = self
            .sandbox
            .load(mirror::spec(), Role::Correlator, wasm, &[]);
        let loaded = loaded.expect("mirrors are good components");
        assert!(matches!(loaded, Loaded::Correlator(_)));
    }

    /// Has others on the shelf.
    fn forget(&self) {
        (1..=OTHERS).for_each(|number| self.load(number));
    }

    /// Puts something in the place of the file.
    fn replace(&self, bytes: &[u8]) {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.file)
            .expect("a file of our own");
        file.write_all(bytes).expect("there is room");
    }
}

/// A file of the cache of machine code: after a first byte that says how, what
/// it holds instead, or what stands at some place in it (two bytes), or where
/// it is cut off, or what is added to it. Nothing runs but what this host has
/// compiled itself.
pub fn code_cache(data: &[u8]) {
    static CACHED: LazyLock<Mutex<Cached>> = LazyLock::new(|| Mutex::new(Cached::make()));
    let Some((how, rest)) = data.split_first() else {
        return;
    };
    let cached = CACHED.lock().expect("no panic");
    let mut bytes = cached.good.clone();
    match (how % 4, rest) {
        (0, _) => bytes = rest.to_vec(),
        (1, [low, high, over @ ..]) => {
            let at = usize::from(u16::from_le_bytes([*low, *high])) % bytes.len();
            for (there, new) in bytes[at..].iter_mut().zip(over) {
                *there = *new;
            }
        }
        (2, [low, high, ..]) => {
            let at = usize::from(u16::from_le_bytes([*low, *high])) % bytes.len();
            bytes.truncate(at);
        }
        (3, _) => bytes.extend_from_slice(rest),
        _ => return,
    }
    let is_good = bytes == cached.good;
    cached.replace(&bytes);
    let before = cached.sandbox.component_usage();
    cached.load(0);
    let after = cached.sandbox.component_usage();
    let (hits, refused) = (u64::from(is_good), u64::from(!is_good));
    assert_eq!(
        after.cache_hits - before.cache_hits,
        hits,
        "runs what it should not"
    );
    assert_eq!(after.cache_refused - before.cache_refused, refused);
    assert_eq!(after.compiled - before.compiled, refused);
    let kept = fs::read(&cached.file).expect("what was compiled is kept");
    assert!(kept == cached.good, "the file is not mended");
    cached.forget();
}

/// The bytes of a component, up to where it would run. What is not loaded is
/// refused by a name.
pub fn component_load(data: &[u8]) {
    static SANDBOX: LazyLock<(Sandbox, Runtime)> = LazyLock::new(|| {
        let runtime = Runtime::new().expect("a runtime");
        (mirror::sandbox(&runtime), runtime)
    });
    let (sandbox, _) = &*SANDBOX;
    match sandbox.load(mirror::spec(), Role::Correlator, data, &[]) {
        Ok(loaded) => assert!(matches!(loaded, Loaded::Correlator(_))),
        Err(error) => assert!(!error.code().is_empty() && !error.to_string().is_empty()),
    }
}
