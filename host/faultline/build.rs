//! Puts the bundles of first-party plugins into the binary, so that one file is
//! all there is to install.
//!
//! They are taken from `bundles` in Cargo's target folder, where `cargo xtask
//! plugins` puts them, or from the folder that `FAULTLINE_BUNDLES` names.
//! Without them the binary has none, and says so when it starts.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=FAULTLINE_BUNDLES");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let folder = match env::var_os("FAULTLINE_BUNDLES") {
        Some(folder) => PathBuf::from(folder),
        None => target_of(&out).join("bundles"),
    };
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut code = String::from("&[\n");
    for bundle in sorted(&folder)? {
        code.push_str("    &[\n");
        write_files(&bundle, &bundle, &mut code)?;
        code.push_str("    ],\n");
    }
    code.push_str("]\n");
    fs::write(out.join("bundled.rs"), code)
}

/// The target folder that a build script's own folder is in: its profile's
/// parent.
fn target_of(out: &Path) -> PathBuf {
    out.ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists())
        .unwrap_or(out)
        .to_owned()
}

fn write_files(bundle: &Path, folder: &Path, code: &mut String) -> io::Result<()> {
    for path in sorted(folder)? {
        if path.is_dir() {
            write_files(bundle, &path, code)?;
            continue;
        }
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.strip_prefix(bundle).expect("it is in there");
        let (name, path) = (name.display().to_string(), path.display().to_string());
        // Writing to a string does not fail.
        let _ = writeln!(code, "        ({name:?}, include_bytes!({path:?})),");
    }
    Ok(())
}

/// The entries of a folder in the order of their names; none if there is no
/// such folder.
fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort_unstable();
    Ok(paths)
}
