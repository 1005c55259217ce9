//! The Faultline that a recording starts for itself.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};

use crate::installation::{Installation, Profile, Server, Token};
use crate::record::faultline::{Faultline, Intake};

/// A Faultline with its data in a folder of the recording.
pub(crate) struct Started {
    installation: Installation,
    /// None once it was stopped.
    server: Option<Server>,
    intake: Intake,
}

/// Builds and starts one. What it waits for ends early if the flag is set.
///
/// # Errors
/// If it does not build, or does not start.
pub(crate) fn start(folder: &Path, interrupted: Arc<AtomicBool>) -> Result<Started> {
    let installation = Installation::make(Profile::Dev, folder, "")?;
    let server = installation.serve(interrupted)?;
    let token: Token = installation
        .ask(&["token", "create", "recorder", "--ingest"])
        .context("making a token for the senders")?;
    let intake = Intake {
        url: server.addresses().intake.clone(),
        token: token.token,
    };
    Ok(Started {
        installation,
        server: Some(server),
        intake,
    })
}

impl Faultline for Started {
    fn intake(&self) -> &Intake {
        &self.intake
    }

    fn check(&mut self) -> Result<()> {
        match &mut self.server {
            Some(server) => server.processes().check(),
            None => Ok(()),
        }
    }

    fn export(&mut self, file: &Path) -> Result<bool> {
        // Stopping ends it in order; what it acknowledged is in the journal.
        self.server = None;
        self.installation
            .show(&["journal", "export", &file.display().to_string()])?;
        Ok(true)
    }
}
