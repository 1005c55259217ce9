//! `secrets`: use of a secret without sight of it.
//!
//! Needs the capability `secret` of that id. Secrets are fetched for each use,
//! so that one that was changed is used from then on, and wiped right after.

use faultline_domain::grant::Use;
use faultline_domain::secret::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::bindings::faultline::plugin::secrets::Host;
use crate::bindings::faultline::plugin::types::{Fault, Retry};
use crate::guest::GuestState;
use crate::host::recorded::fault;
use crate::services::ServiceError;

type Answer<T> = wasmtime::Result<Result<T, Fault>>;

impl Host for GuestState {
    fn hmac_sha256(&mut self, secret: String, data: Vec<u8>) -> Answer<Vec<u8>> {
        self.enter_act()?;
        let detail = json!({"bytes": data.len()});
        let action = "secrets.hmac-sha256";
        Ok(
            self.use_secret(action, Use::Secret, &secret, detail, |secret| {
                let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose())
                    .map_err(|_| fault("unavailable", "the secret is no key", Retry::Never))?;
                mac.update(&data);
                Ok(mac.finalize().into_bytes().to_vec())
            }),
        )
    }

    fn equals(&mut self, secret: String, candidate: Vec<u8>) -> Answer<bool> {
        self.enter_act()?;
        let detail = json!({"bytes": candidate.len()});
        let action = "secrets.equals";
        Ok(
            self.use_secret(action, Use::Secret, &secret, detail, |secret| {
                Ok(secret.expose().ct_eq(&candidate).into())
            }),
        )
    }
}

impl GuestState {
    /// Checks that this instance may use this secret so now, records what it is
    /// about to do, does it, and records how it ended.
    pub(super) fn use_secret<T>(
        &mut self,
        action: &str,
        using: Use,
        id: &str,
        detail: serde_json::Value,
        act: impl FnOnce(&Secret) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let found = self.allows_now().and_then(|()| {
            let now = self.instance.now();
            self.instance.spec.grants.secret(id, using, now).cloned()
        });
        let (allowed, reference) = match found {
            Ok(reference) => (Ok(id.to_owned()), Some(reference)),
            Err(why) => (Err(why), None),
        };
        self.recorded(action, allowed, detail, |state| {
            let reference = reference.ok_or_else(|| ServiceError("no secret".to_owned()))?;
            let secret = state.instance.ask(state.meter.wall_left(), |services| {
                services.secret(reference)
            })?;
            Ok(act(&secret))
        })
    }
}
