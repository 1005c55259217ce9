//! Seeds and findings hold, and so does what is near them.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use faultline_fuzz::{TARGETS, Target};

/// What there is of a target: its seeds, and what once broke it.
fn inputs(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["seeds", "findings"]
        .iter()
        .filter_map(|kind| fs::read_dir(here.join(kind).join(name)).ok())
        .flatten()
        .map(|entry| entry.expect("a folder can be listed").path())
        .map(|path| {
            let content = fs::read(&path).expect("a file can be read");
            (path, content)
        })
        .collect()
}

/// The input, shortened, and with one byte different, at places that depend on
/// nothing but its length.
fn neighbours(input: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let step = (input.len() / 24).max(1);
    let cut = (0..input.len())
        .step_by(step)
        .map(|at| input[..at].to_vec());
    let changed = (0..input.len()).step_by(step).flat_map(|at| {
        [0x00, 0x01, 0x7f, 0x80, 0xff].map(|byte| {
            let mut other = input.to_vec();
            other[at] ^= byte;
            other
        })
    });
    cut.chain(changed)
}

fn hold(name: &str, target: Target, what: &str, input: &[u8]) {
    let held = catch_unwind(AssertUnwindSafe(|| target(input)));
    assert!(
        held.is_ok(),
        "{name} does not hold for {what}: {}",
        String::from_utf8_lossy(input)
    );
}

#[test]
fn whatever_the_bytes_are_every_target_holds() {
    for (name, target) in TARGETS {
        let inputs = inputs(name);
        assert!(!inputs.is_empty(), "{name} has no seeds");
        for (path, input) in inputs {
            hold(name, target, &path.display().to_string(), &input);
            for neighbour in neighbours(&input) {
                let what = format!("a neighbour of {}", path.display());
                hold(name, target, &what, &neighbour);
            }
        }
    }
}

#[test]
fn every_target_has_a_binary_and_every_folder_a_target() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(here.join(folder)).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("can be listed").path())
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        names
    };
    let mut targets: Vec<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    targets.sort();
    assert_eq!(names("targets"), targets);
    assert_eq!(names("seeds"), targets);
    for name in names("findings") {
        assert!(targets.contains(&name), "findings of no target: {name}");
    }
}
