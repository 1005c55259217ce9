//! `config`: the instance's own configuration. Always granted; holds no
//! secrets.

use crate::bindings::faultline::plugin::config::Host;
use crate::guest::GuestState;

impl Host for GuestState {
    fn get(&mut self) -> wasmtime::Result<String> {
        self.enter_host()?;
        Ok(self.instance.spec.config.clone())
    }
}
