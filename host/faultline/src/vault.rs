//! Where secrets are kept that grants name: variables of the environment, and
//! files in folders that the operator set aside for them.
//!
//! Whoever may grant must not thereby read any file of the machine, nor the
//! host's own settings: hence the folders, and the names that are refused.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use faultline_domain::secret::{SECRET_BYTES_MAX, Secret, SecretRef};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::SecretsConfig;

/// Variables that begin so are the host's own settings, with passwords in some.
const OURS: &str = "FAULTLINE_";

/// Those that begin so are for plugins all the same.
const FOR_PLUGINS: &str = "FAULTLINE_SECRET_";

/// Others must not write it, nor people who are neither the owner nor in the
/// group read it.
const MODE_REFUSED: u32 = 0o027;

/// Fetches secrets.
#[derive(Debug, Clone)]
pub(crate) struct Vault {
    folders: Vec<PathBuf>,
}

/// Why a secret cannot be had. Never with a part of it.
#[derive(Debug, Error)]
pub(crate) enum VaultError {
    #[error("{0} is not set in the environment of the server")]
    NotSet(SecretRef),
    #[error("{0} is a setting of Faultline's own: name the variable `{FOR_PLUGINS}…`")]
    Ours(SecretRef),
    #[error("{reference} cannot be read")]
    Unreadable {
        reference: SecretRef,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "{reference} lies in none of the folders for secrets ({folders}): put it there, or name \
         its folder in [plugins.secrets] folders"
    )]
    Elsewhere {
        reference: SecretRef,
        folders: String,
    },
    #[error("{0} is no ordinary file")]
    NoFile(SecretRef),
    #[error(
        "{reference} has mode {mode:o}: others could read or change it; `chmod 600` takes that \
         from them"
    )]
    Mode { reference: SecretRef, mode: u32 },
    #[error("{0} has no or more than {SECRET_BYTES_MAX} bytes")]
    Size(SecretRef),
}

impl Vault {
    /// For a data folder and its settings.
    pub(crate) fn new(data: &Path, config: &SecretsConfig) -> Self {
        let mut folders = vec![data.join("secrets")];
        folders.extend(config.folders.iter().cloned());
        Self { folders }
    }

    /// The secret as it is now.
    pub(crate) fn fetch(&self, reference: &SecretRef) -> Result<Secret, VaultError> {
        let bytes = match reference {
            SecretRef::Env(name) if name.starts_with(OURS) && !name.starts_with(FOR_PLUGINS) => {
                return Err(VaultError::Ours(reference.clone()));
            }
            SecretRef::Env(name) => std::env::var_os(name)
                .ok_or_else(|| VaultError::NotSet(reference.clone()))?
                .into_encoded_bytes(),
            SecretRef::File(path) => self.read(reference, Path::new(path))?,
        };
        Secret::new(bytes).ok_or_else(|| VaultError::Size(reference.clone()))
    }

    fn read(&self, reference: &SecretRef, path: &Path) -> Result<Vec<u8>, VaultError> {
        let unreadable = |source| VaultError::Unreadable {
            reference: reference.clone(),
            source,
        };
        // Where links lead to counts, and not what they are called.
        let real = path.canonicalize().map_err(unreadable)?;
        let is_within = |folder: &PathBuf| {
            let folder = folder.canonicalize();
            folder.is_ok_and(|folder| real.starts_with(folder))
        };
        if !self.folders.iter().any(is_within) {
            let folders = self
                .folders
                .iter()
                .map(|folder| folder.display().to_string());
            return Err(VaultError::Elsewhere {
                reference: reference.clone(),
                folders: folders.collect::<Vec<_>>().join(", "),
            });
        }
        let listed = real.symlink_metadata().map_err(unreadable)?;
        // Opening a pipe would wait for somebody to write.
        if !listed.is_file() {
            return Err(VaultError::NoFile(reference.clone()));
        }
        let file = File::open(&real).map_err(unreadable)?;
        let opened = file.metadata().map_err(unreadable)?;
        let mode = opened.mode() & 0o777;
        if mode & MODE_REFUSED != 0 {
            let reference = reference.clone();
            return Err(VaultError::Mode { reference, mode });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(256));
        file.take(SECRET_BYTES_MAX as u64 + 2)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        // Editors end files with a line break, which is no part of the secret.
        if bytes.ends_with(b"\n") {
            bytes.pop();
            if bytes.ends_with(b"\r") {
                bytes.pop();
            }
        }
        Ok(std::mem::take(&mut *bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn put(folder: &Path, name: &str, content: &[u8], mode: u32) -> SecretRef {
        let path = folder.join(name);
        fs::write(&path, content).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("sets the mode");
        SecretRef::File(path.display().to_string())
    }

    #[test]
    fn a_file_is_read_as_it_is_now() {
        let data = tempfile::tempdir().expect("a folder");
        let vault = Vault::new(data.path(), &SecretsConfig::default());
        let folder = data.path().join("secrets");
        fs::create_dir(&folder).expect("makes");
        let fetch = |reference: &SecretRef| {
            let fetched = vault.fetch(reference);
            fetched
                .map(|secret| String::from_utf8_lossy(secret.expose()).into_owned())
                .map_err(|error| error.to_string())
        };
        let token = put(&folder, "token", b"first\r\n", 0o600);
        assert_eq!(fetch(&token).as_deref(), Ok("first"));
        put(&folder, "token", b"second", 0o640);
        assert_eq!(fetch(&token).as_deref(), Ok("second"));

        for mode in [0o644, 0o660, 0o602] {
            put(&folder, "token", b"open", mode);
            let error = fetch(&token).expect_err("others can read it");
            assert!(error.contains("chmod 600"), "{error}");
        }
        let empty = put(&folder, "empty", b"\n", 0o600);
        assert!(
            fetch(&empty)
                .expect_err("empty")
                .contains("no or more than")
        );
        let long = put(&folder, "long", &vec![b'x'; SECRET_BYTES_MAX + 1], 0o600);
        assert!(fetch(&long).is_err());

        let elsewhere = put(data.path(), "state.db", b"not a secret", 0o600);
        let error = fetch(&elsewhere).expect_err("elsewhere");
        assert!(error.contains("[plugins.secrets] folders"), "{error}");
        let around = SecretRef::File(format!("{}/../state.db", folder.display()));
        assert!(fetch(&around).is_err());
        let link = folder.join("link");
        std::os::unix::fs::symlink(data.path().join("state.db"), &link).expect("links");
        assert!(fetch(&SecretRef::File(link.display().to_string())).is_err());
        assert!(fetch(&SecretRef::File(folder.display().to_string())).is_err());
        assert!(fetch(&SecretRef::File("/nowhere/x".to_owned())).is_err());
    }

    #[test]
    fn settings_of_the_host_are_no_secrets_of_plugins() {
        let data = tempfile::tempdir().expect("a folder");
        let vault = Vault::new(data.path(), &SecretsConfig::default());
        let fetch = |name: &str| {
            let fetched = vault.fetch(&SecretRef::Env(name.to_owned()));
            fetched.map(drop).map_err(|error| error.to_string())
        };
        assert!(fetch("PATH").is_ok());
        let error = fetch("FAULTLINE__DATA__URL").expect_err("ours");
        assert!(error.contains("FAULTLINE_SECRET_"), "{error}");
        let error = fetch("FAULTLINE_SECRET_NOT_SET").expect_err("not set");
        assert!(error.contains("not set"), "{error}");
    }
}
