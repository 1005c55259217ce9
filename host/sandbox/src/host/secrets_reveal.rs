//! `secrets-reveal`: sight of a secret.
//!
//! Needs the capability `secret-reveal` of that id, which is another than the
//! one for using it. What the guest does with the bytes is out of the host's
//! hands: they are not scrubbed from what it sends.

use faultline_domain::grant::Use;
use serde_json::json;

use crate::bindings::faultline::plugin::secrets_reveal::Host;
use crate::bindings::faultline::plugin::types::Fault;
use crate::guest::GuestState;

impl Host for GuestState {
    fn reveal(&mut self, secret: String) -> wasmtime::Result<Result<Vec<u8>, Fault>> {
        self.enter_act()?;
        let action = "secrets.reveal";
        Ok(
            self.use_secret(action, Use::SecretReveal, &secret, json!({}), |secret| {
                Ok(secret.expose().to_vec())
            }),
        )
    }
}
