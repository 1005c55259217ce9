//! What host functions have in common: an act is recorded before it is done and
//! after, and a denial is recorded, too.

use faultline_domain::audit::Stage;
use faultline_domain::grant::Use;
use serde_json::{Value, json};

use crate::bindings::faultline::plugin::types::{Fault, Retry};
use crate::guest::{Call, GuestState};
use crate::services::Unanswered;

impl GuestState {
    /// Whether this instance may reach beyond itself during this call.
    ///
    /// # Errors
    /// Why not, in words.
    pub(super) fn allows_now(&self) -> Result<(), String> {
        if self.instance.is_revoked() {
            return Err("what was granted has been taken back".to_owned());
        }
        match self.call {
            Call::Poll => Ok(()),
            // What is decoded must come out the same on any day.
            Call::Decode => Err("decoding is pure: this is denied during `decode`".to_owned()),
            other => Err(format!("this is denied during `{}`", other.as_str())),
        }
    }

    /// Records what is about to be done, does it, and records how it ended.
    /// `allowed` is the capability that allows it, or why nothing does.
    pub(super) fn recorded<T>(
        &mut self,
        action: &str,
        allowed: Result<String, String>,
        mut detail: Value,
        act: impl FnOnce(&Self) -> Result<Result<T, Fault>, Unanswered>,
    ) -> Result<T, Fault> {
        let capability = match allowed {
            Ok(capability) => capability,
            Err(why) => return Err(self.denied(action, &why)),
        };
        detail["capability"] = json!(capability);
        let unavailable = |why: String| fault("unavailable", &why, Retry::Later);
        let intent = self
            .instance
            .audit(action, Stage::Intent, &detail)
            .map_err(|error| unavailable(error.0))?;
        let outcome = act(self);
        let result = match &outcome {
            Ok(Ok(_)) => "ok".to_owned(),
            Ok(Err(fault)) => fault.code.clone(),
            Err(Unanswered::Failed(_)) => "failed".to_owned(),
            Err(Unanswered::Late(_)) => "unknown".to_owned(),
        };
        let stage = Stage::Outcome { intent, result };
        if let Err(error) = self.instance.audit(action, stage, &json!({})) {
            // It was done, and its intent is on record: an intent without
            // outcome is how that shows.
            tracing::error!("the outcome of row {intent} cannot be recorded: {error}");
        }
        outcome.unwrap_or_else(|error| Err(unavailable(error.to_string())))
    }

    /// Counts and records a denial.
    pub(super) fn denied(&self, action: &str, why: &str) -> Fault {
        let detail = json!({ "denied": why });
        self.instance.note_denial(used_by(action), action, detail);
        fault("denied", why, Retry::Never)
    }
}

/// What an action would use, as metrics call it.
fn used_by(action: &str) -> &'static str {
    let word = action.split_once('.').map_or(action, |(word, _)| word);
    match (word, action) {
        ("secrets", "secrets.reveal") => Use::SecretReveal.as_str(),
        ("secrets", _) => Use::Secret.as_str(),
        _ => {
            let mut uses = Use::ALL.into_iter();
            uses.find(|using| using.as_str() == word)
                .map_or("other", Use::as_str)
        }
    }
}

pub(super) fn fault(code: &str, message: &str, retry: Retry) -> Fault {
    Fault {
        code: code.to_owned(),
        message: message.to_owned(),
        retry,
    }
}
