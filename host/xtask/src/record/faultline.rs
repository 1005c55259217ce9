//! The Faultline that takes down what the shop says.

use std::path::Path;

use anyhow::{Context, Result};

/// Where senders send to, and what lets them in.
#[derive(Clone)]
pub(crate) struct Intake {
    /// Its base, such as `http://127.0.0.1:4318`, without a slash at the end.
    pub(crate) url: String,
    /// An ingest token; sent as `Authorization: Bearer` by all senders.
    pub(crate) token: String,
}

impl Intake {
    /// The URL's scheme and authority, which Prometheus wants apart.
    ///
    /// # Errors
    /// If the URL has a path, or no scheme.
    pub(crate) fn parts(&self) -> Result<(&str, &str)> {
        self.url
            .split_once("://")
            .filter(|(_, authority)| !authority.is_empty() && !authority.contains('/'))
            .with_context(|| {
                format!(
                    "`{}` is not the base of an intake, such as http://127.0.0.1:4318",
                    self.url
                )
            })
    }
}

/// A running Faultline, its connectors `alertmanager` and `cloudevents` bound
/// to the sources of those names.
pub(crate) trait Faultline {
    /// Where the shop sends to.
    fn intake(&self) -> &Intake;

    /// Fails if it does not run any more; called while the recording goes on.
    ///
    /// # Errors
    /// If it ended.
    fn check(&mut self) -> Result<()>;

    /// Writes the journal to a file, once all senders have stopped, and ends.
    /// Gives false if this Faultline is somebody else's and keeps it.
    ///
    /// # Errors
    /// If it cannot.
    fn export(&mut self, file: &Path) -> Result<bool>;
}

/// One that was running before, and goes on afterwards.
pub(crate) struct Elsewhere(pub(crate) Intake);

impl Faultline for Elsewhere {
    fn intake(&self) -> &Intake {
        &self.0
    }

    fn check(&mut self) -> Result<()> {
        Ok(())
    }

    fn export(&mut self, _file: &Path) -> Result<bool> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_base_apart() {
        let parts = |url: &str| {
            let intake = Intake {
                url: url.to_owned(),
                token: String::new(),
            };
            let (scheme, authority) = intake.parts().ok()?;
            Some(format!("{scheme} {authority}"))
        };
        assert_eq!(
            parts("http://127.0.0.1:4318").as_deref(),
            Some("http 127.0.0.1:4318")
        );
        assert_eq!(parts("127.0.0.1:4318"), None);
        assert_eq!(parts("http://127.0.0.1:4318/"), None);
        assert_eq!(parts("http://"), None);
    }
}
