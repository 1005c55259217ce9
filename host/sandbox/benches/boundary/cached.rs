//! How long it takes to have a component again that was compiled before.

use std::error::Error;

use crate::surroundings::Surroundings;
use crate::{Goal, Stopwatch, report, rounds};

/// Sandboxes that find it in the cache, each for the first time.
const ROUNDS: usize = 20;

/// Measures the smallest of the plugins, of about 100 KB: found, its seal
/// verified, made callable.
pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let cache = folder.path().join("code");
    // The first compiles it.
    Surroundings::with_cache(&cache)?.load_from("other-bundles", "hello-rust", "{}")?;
    let (mut reading, mut loading) = (Vec::new(), Vec::new());
    for _ in 0..rounds(ROUNDS) {
        let surroundings = Surroundings::with_cache(&cache)?;
        let began = Stopwatch::start();
        let bundle = Surroundings::read("other-bundles", "hello-rust")?;
        reading.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Stopwatch::start();
        surroundings.load_bundle(&bundle, "hello-rust", "{}")?;
        loading.push(began.elapsed().as_secs_f64() * 1e3);
        if surroundings.compiled() > 0 {
            return Err("the cache does not have what was put into it".into());
        }
    }
    let name = "hello-detector: its bundle read from its folder";
    report(name, "ms", Goal::None, &reading);
    let name = "hello-detector: loaded from the cache";
    report(name, "ms", Goal::AtMost(1.0), &loading);
    Ok(())
}
