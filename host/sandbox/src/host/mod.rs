//! What guests can call, one file for each interface. Each function checks,
//! records and acts, in this order and in one place.

mod config;
mod http;
mod kv;
mod log;
mod recorded;
mod secrets;
mod secrets_reveal;

use faultline_domain::grant::Use;
use wasmtime::component::{HasSelf, Linker};

use crate::bindings::faultline::plugin as wit;
use crate::guest::GuestState;
pub(crate) use log::log_line;

/// A linker with what a component may import. What the manifest declares is
/// linked; whether it was granted is looked up at each call.
pub(crate) fn linker(
    engine: &wasmtime::Engine,
    declared: &[Use],
) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    wit::types::add_to_linker::<_, HasSelf<GuestState>>(&mut linker, itself)?;
    wit::signals::add_to_linker::<_, HasSelf<GuestState>>(&mut linker, itself)?;
    wit::log::add_to_linker::<_, HasSelf<GuestState>>(&mut linker, itself)?;
    wit::config::add_to_linker::<_, HasSelf<GuestState>>(&mut linker, itself)?;
    if declared.contains(&Use::Kv) {
        wit::kv::add_to_linker::<_, HasSelf<GuestState>>(&mut linker, itself)?;
    }
    if declared.contains(&Use::Http) {
        wit::http::add_to_linker::<_, HasSelf<GuestState>>(&mut linker, itself)?;
    }
    if declared.contains(&Use::Secret) {
        wit::secrets::add_to_linker::<_, HasSelf<GuestState>>(&mut linker, itself)?;
    }
    if declared.contains(&Use::SecretReveal) {
        wit::secrets_reveal::add_to_linker::<_, HasSelf<GuestState>>(&mut linker, itself)?;
    }
    Ok(linker)
}

impl wit::types::Host for GuestState {}
impl wit::signals::Host for GuestState {}

/// Host functions are methods of the state as a whole.
fn itself(state: &mut GuestState) -> &mut GuestState {
    state
}
