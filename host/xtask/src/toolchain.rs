//! The compiler of guests: Rust for `wasm32-unknown-unknown`.
//!
//! rustup has the target where its server can be reached. Where it cannot,
//! Debian's `rustc-web` is a compiler that can make guests, without a standard
//! library for them; that is built here from Debian's sources, once, into a
//! sysroot of our own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::install;
use crate::progress::{say, target};

/// What guests are compiled for.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// What of WebAssembly guests are made of: what the default takes, with vectors
/// (`simd128`) and without `bulk-memory`. With that the compiler makes an
/// instruction of every copy of more than eight bytes, which in the sandbox is
/// a call out of the guest; without it, a load and a store or two.
const FEATURES: &str =
    "-Ctarget-cpu=mvp -Ctarget-feature=+mutable-globals,+nontrapping-fptoint,+sign-ext,+simd128";

/// Chooses the toolchain, instead of what works first: `rustup` or
/// `distribution`.
const CHOICE: &str = "FAULTLINE_GUEST_TOOLCHAIN";

/// The flags of a compiler of guests, for Cargo.
const RUSTFLAGS: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS";

/// Debian's compiler, its sources, and the linker for WebAssembly.
const PACKAGES: [&str; 4] = ["rustc-web", "rust-web-src", "rust-web-llvm", "lld-22"];

/// Where Debian puts that compiler.
const DISTRIBUTION_RUSTC: &str = "/usr/bin/rustc";

/// A compiler that can make guests.
pub(crate) enum Toolchain {
    /// The one that compiles the host, too.
    Rustup,
    /// Debian's, with a standard library in this sysroot.
    Distribution { sysroot: PathBuf },
}

impl Toolchain {
    /// Finds one that works, installing it if need be.
    ///
    /// # Errors
    /// If neither rustup nor the distribution's packages give one.
    pub(crate) fn ensure() -> Result<Self> {
        match std::env::var(CHOICE).as_deref() {
            Ok("rustup") => Self::rustup(),
            Ok("distribution") => Self::distribution(),
            Ok(other) => bail!("{CHOICE} is `{other}`; it can be `rustup` or `distribution`"),
            Err(_) => Self::rustup().or_else(|error| {
                say(format_args!("guests: {error:#}"));
                say("guests: falling back on the distribution's compiler for WebAssembly");
                Self::distribution()
            }),
        }
    }

    /// A Cargo that makes guests, with a target folder of its own: guests and
    /// host must not invalidate each other's builds.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = install::cargo();
        cargo
            .env("CARGO_TARGET_DIR", guests_folder())
            // Cargo has set these for this program; they are not for that one.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        let mut flags = FEATURES.to_owned();
        if let Toolchain::Distribution { sysroot } = self {
            cargo.env("RUSTC", DISTRIBUTION_RUSTC);
            flags = format!("{flags} --sysroot={}", sysroot.display());
        }
        cargo.env(RUSTFLAGS, flags);
        cargo
    }

    fn rustup() -> Result<Self> {
        if has_std_of("rustc")? {
            return Ok(Toolchain::Rustup);
        }
        say(format_args!("guests: rustup target add {TARGET}"));
        let added = Command::new("rustup")
            .args(["target", "add", TARGET])
            .stdout(Stdio::null())
            .status()
            .context("rustup cannot be started")?;
        if !added.success() || !has_std_of("rustc")? {
            bail!("rustup does not get the target {TARGET}");
        }
        Ok(Toolchain::Rustup)
    }

    fn distribution() -> Result<Self> {
        install::debian_packages(&PACKAGES)?;
        let version = rustc_version(DISTRIBUTION_RUSTC)?;
        let sysroot = target().join("guest-sysroot").join(&version);
        // Written last, so that its presence says that all went well.
        let done = sysroot.join("complete");
        if !done.exists() {
            build_sysroot(&sysroot)?;
            fs::write(&done, &version).with_context(|| format!("writing {}", done.display()))?;
        }
        Ok(Toolchain::Distribution { sysroot })
    }
}

/// Where guests are built.
pub(crate) fn guests_folder() -> PathBuf {
    target().join("guests")
}

/// Whether a compiler has a standard library for guests.
fn has_std_of(rustc: &str) -> Result<bool> {
    let output =
        install::run(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]))?;
    let folder = String::from_utf8_lossy(&output.stdout);
    let Ok(entries) = fs::read_dir(folder.trim()) else {
        return Ok(false);
    };
    Ok(entries
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-")))
}

fn rustc_version(rustc: &str) -> Result<String> {
    let output = install::run(Command::new(rustc).arg("--version"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace()
        .nth(1)
        .map(str::to_owned)
        .with_context(|| format!("`{rustc} --version` says `{text}`"))
}

/// The machine that a compiler runs on, such as `x86_64-unknown-linux-gnu`.
fn host_tuple(rustc: &str) -> Result<String> {
    let output = install::run(Command::new(rustc).args(["--print", "host-tuple"]))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Builds the standard library for guests by building a crate that is empty,
/// and keeps what that took.
fn build_sysroot(sysroot: &Path) -> Result<()> {
    say("guests: building Rust's standard library for WebAssembly, once (a minute or two)");
    let began = Instant::now();
    let seed = sysroot.join("seed");
    fs::create_dir_all(seed.join("src"))
        .and_then(|()| fs::write(seed.join("src/lib.rs"), "#![no_std]\n"))
        .and_then(|()| fs::write(seed.join("Cargo.toml"), SEED))
        .with_context(|| format!("writing {}", seed.display()))?;
    let mut cargo = install::cargo();
    cargo
        .current_dir(&seed)
        .args(["build", "--quiet", "--release", "--target", TARGET])
        .arg("-Zbuild-std=std,panic_abort")
        .env("RUSTC", DISTRIBUTION_RUSTC)
        // Lets a released compiler build its own standard library, which is
        // what it was built with.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", seed.join("target"))
        // Guests are optimised as a whole, which takes the bitcode.
        .env(RUSTFLAGS, format!("{FEATURES} -Cembed-bitcode=yes"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    install::run(&mut cargo)?;
    let libraries = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    fs::create_dir_all(&libraries).with_context(|| format!("making {}", libraries.display()))?;
    let built = seed.join("target").join(TARGET).join("release/deps");
    for entry in fs::read_dir(&built).with_context(|| format!("reading {}", built.display()))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_library = path
            .extension()
            .is_some_and(|extension| extension == "rlib");
        if is_library && !name.contains("seed") {
            fs::copy(&path, libraries.join(&name))
                .with_context(|| format!("copying {}", path.display()))?;
        }
    }
    // The linker for guests is a program of the machine that builds them.
    let host = host_tuple(DISTRIBUTION_RUSTC)?;
    let link = sysroot.join("lib/rustlib").join(&host);
    if !link.exists() {
        std::os::unix::fs::symlink(Path::new("/usr/lib/rustlib").join(&host), &link)
            .with_context(|| format!("linking {}", link.display()))?;
    }
    fs::remove_dir_all(&seed).with_context(|| format!("removing {}", seed.display()))?;
    say(format_args!(
        "guests: built in {} s",
        began.elapsed().as_secs()
    ));
    Ok(())
}

const SEED: &str = r#"[package]
name = "seed"
version = "0.0.0"
edition = "2021"

[profile.release]
panic = "abort"

[workspace]
"#;
