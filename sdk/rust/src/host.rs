//! What the host offers, one module an interface.
//!
//! In a component each function calls the host. In a native build, where there
//! is no host, it calls the fake one of [`crate::testkit`], so that a plugin
//! runs in an ordinary `#[test]`.
//!
//! A component imports the interfaces that its code calls and no others. Which
//! it may import is its kind's affair: every kind has [`log`] and [`config`];
//! a poller also [`kv`], [`http`] and [`secrets`]; an action [`http`],
//! [`secrets`] and [`exec`]. The host refuses a component that imports more.

pub mod config;
pub mod exec;
pub mod http;
pub mod kv;
pub mod log;
pub mod secrets;

/// The one place that knows whether there is a host.
///
/// The first expression is the import, the second what the fake host of the
/// native build answers.
macro_rules! call {
    ($import:expr, |$fake:ident| $answer:expr) => {{
        #[cfg(target_family = "wasm")]
        {
            $import
        }
        #[cfg(not(target_family = "wasm"))]
        {
            $crate::testkit::host::current(|$fake| $answer)
        }
    }};
}
use call;
