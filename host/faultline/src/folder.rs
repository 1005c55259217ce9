//! The data folder: who works with it, and how others on this machine reach
//! them.
//!
//! One process at a time works with a folder, and holds a lock on a file in it
//! as long as it lives; the operating system lets go of the lock however the
//! process ends. A server also leaves a note of where it listens. Both the note
//! and the key that goes with it are for the owner of the folder alone: who can
//! read the folder can read the databases anyway.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Held by whoever works with the folder.
const LOCK: &str = "lock";

/// Where a server that runs listens.
const NOTE: &str = "run.json";

/// The key of local commands.
const KEY: &str = "cli.token";

/// What tells this folder's process from others that share a database.
const NODE: &str = "node.id";

/// The key of what is kept of compiled components, and where that is.
const CODE_KEY: &str = "code.key";
const CODE: &str = "code";

/// How long to wait for somebody who works with the folder and does not serve:
/// a command, or a server that starts or ends. And how often to look.
const WAIT_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Nobody but the owner.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
const OTHERS: u32 = 0o077;

/// A data folder that this process, and no other, works with.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunNote {
    /// The base of the API, such as `http://127.0.0.1:7717`.
    pub(crate) api: String,
    /// The base of intake.
    pub(crate) intake: String,
    /// A token of an administrator, for commands of the folder's owner.
    pub(crate) token: String,
}

/// Whether a folder could be had.
pub(crate) enum Taken {
    /// It is ours.
    Ours(Folder),
    /// A process, by its number if it said so, works with it.
    Theirs(Option<u32>),
}

impl Folder {
    /// Takes a folder, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made or written to.
    pub(crate) fn take(path: &Path) -> Result<Taken> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(path)
            .with_context(|| format!("making the data folder {}", path.display()))?;
        let name = path.join(LOCK);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&name)
            .with_context(|| format!("opening {}", name.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Who it is, is good to know and no more.
                let _ = lock.read_to_string(&mut text);
                return Ok(Taken::Theirs(text.trim().parse().ok()));
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", name.display()));
            }
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .with_context(|| format!("writing {}", name.display()))?;
        let folder = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        // Whoever wrote a note that is still there is gone.
        folder.withdraw()?;
        Ok(Taken::Ours(folder))
    }

    /// Takes a folder as [`Folder::take`] does. Somebody who has it is waited for
    /// until they say where they serve, or let go of it, or time is up: so a
    /// server and a command that start at the same time do not fail one another.
    ///
    /// # Errors
    /// If it cannot be made or written to.
    pub(crate) async fn take_patiently(path: &Path) -> Result<Taken> {
        let deadline = tokio::time::Instant::now() + WAIT_MAX;
        loop {
            let taken = Self::take(path)?;
            let is_clear = match &taken {
                Taken::Ours(_) => true,
                Taken::Theirs(_) => RunNote::find(path)?.is_some(),
            };
            if is_clear || tokio::time::Instant::now() >= deadline {
                return Ok(taken);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The key of local commands; none if there is none yet.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn key(&self) -> Result<Option<String>> {
        let path = self.path.join(KEY);
        let text = read_if_there(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(text.map(|text| text.trim().to_owned()))
    }

    /// What tells this folder's process from others that share a database: made
    /// by `make` when it is first asked for, and kept.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub(crate) fn node(&self, make: impl FnOnce() -> Result<String>) -> Result<String> {
        let path = self.path.join(NODE);
        let text = read_if_there(&path).with_context(|| format!("reading {}", path.display()))?;
        if let Some(text) = text {
            return Ok(text.trim().to_owned());
        }
        let made = make()?;
        self.write(NODE, made.as_bytes())?;
        Ok(made)
    }

    /// Keeps the key of local commands.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn keep_key(&self, key: &str) -> Result<()> {
        self.write(KEY, key.as_bytes())
    }

    /// Where compiled components are kept.
    pub(crate) fn code(&self) -> PathBuf {
        self.path.join(CODE)
    }

    /// The key that they are sealed with; it is made if there is none, or none
    /// that only the owner knows.
    ///
    /// # Errors
    /// If it cannot be read or written, or there are no random bytes.
    pub(crate) fn code_key(
        &self,
        fill: impl FnOnce(&mut [u8]) -> io::Result<()>,
    ) -> Result<[u8; 32]> {
        let path = self.path.join(CODE_KEY);
        let known = read_own(&path).with_context(|| format!("reading {}", path.display()))?;
        if let Some(key) = known.and_then(|bytes| bytes.try_into().ok()) {
            return Ok(key);
        }
        let mut key = [0; 32];
        fill(&mut key).context("asking the operating system for random bytes")?;
        self.write(CODE_KEY, &key)?;
        Ok(key)
    }

    /// Says where this process listens.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn announce(&self, note: &RunNote) -> Result<()> {
        self.write(NOTE, &serde_json::to_vec(note)?)
    }

    /// Says that this process does not listen any more.
    ///
    /// # Errors
    /// If it cannot.
    pub(crate) fn withdraw(&self) -> Result<()> {
        let path = self.path.join(NOTE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Writes a file as a whole: whoever reads it sees all of it or none.
    fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.path.join(name);
        let beside = self.path.join(format!("{name}.new"));
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(FILE_MODE)
                .open(&beside)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&beside, &path)
        };
        write().with_context(|| format!("writing {}", path.display()))
    }
}

impl RunNote {
    /// What the server of a folder has left; none if none runs.
    ///
    /// # Errors
    /// If there is a note that cannot be read.
    pub(crate) fn find(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(NOTE);
        let text = read_if_there(&path).with_context(|| format!("reading {}", path.display()))?;
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .with_context(|| format!("reading {}", path.display()))
    }
}

/// The content of a file that nobody but its owner could read or write; nothing
/// if it is not there, or not such a file.
fn read_own(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let about = file.metadata()?;
    let is_own = about.is_file()
        && about.uid() == rustix::process::geteuid().as_raw()
        && about.mode() & OTHERS == 0;
    if !is_own {
        return Ok(None);
    }
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    Ok(Some(content))
}

fn read_if_there(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let Taken::Ours(ours) = Folder::take(folder.path()).unwrap() else {
            panic!("nobody else has it");
        };
        let Taken::Theirs(process) = Folder::take(folder.path()).unwrap() else {
            panic!("it is taken");
        };
        assert_eq!(process, Some(std::process::id()));
        drop(ours);
        assert!(matches!(
            Folder::take(folder.path()).unwrap(),
            Taken::Ours(_)
        ));
    }

    #[test]
    fn the_key_of_compiled_components_is_made_once_and_kept_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let Taken::Ours(ours) = Folder::take(folder.path()).unwrap() else {
            panic!("nobody else has it");
        };
        let fill = |byte: u8| {
            move |bytes: &mut [u8]| {
                bytes.fill(byte);
                Ok(())
            }
        };
        assert_eq!(ours.code_key(fill(1)).unwrap(), [1; 32]);
        assert_eq!(ours.code_key(fill(2)).unwrap(), [1; 32]);
        let path = folder.path().join(CODE_KEY);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        // One that others could have read, or made, is none.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(ours.code_key(fill(3)).unwrap(), [3; 32]);
        fs::write(&path, b"short").unwrap();
        assert_eq!(ours.code_key(fill(4)).unwrap(), [4; 32]);
    }

    #[tokio::test]
    async fn a_command_is_waited_for_and_a_server_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let Taken::Ours(command) = Folder::take(folder.path()).unwrap() else {
            panic!("nobody else has it");
        };
        let ends = async { drop(command) };
        let (taken, ()) = tokio::join!(Folder::take_patiently(folder.path()), ends);
        let Taken::Ours(server) = taken.unwrap() else {
            panic!("the command has ended");
        };
        let note = RunNote {
            api: "http://127.0.0.1:1".to_owned(),
            intake: "http://127.0.0.1:2".to_owned(),
            token: "flt_x".to_owned(),
        };
        let announces = async { server.announce(&note).unwrap() };
        let (taken, ()) = tokio::join!(Folder::take_patiently(folder.path()), announces);
        assert!(matches!(taken.unwrap(), Taken::Theirs(_)));
    }

    #[test]
    fn a_note_lives_no_longer_than_its_writer() {
        let folder = tempfile::tempdir().unwrap();
        let note = RunNote {
            api: "http://127.0.0.1:1".to_owned(),
            intake: "http://127.0.0.1:2".to_owned(),
            token: "flt_x".to_owned(),
        };
        let Taken::Ours(ours) = Folder::take(folder.path()).unwrap() else {
            panic!("nobody else has it");
        };
        ours.announce(&note).unwrap();
        assert_eq!(RunNote::find(folder.path()).unwrap(), Some(note));
        // As if it were killed.
        drop(ours);
        let Taken::Ours(_later) = Folder::take(folder.path()).unwrap() else {
            panic!("nobody else has it");
        };
        assert_eq!(RunNote::find(folder.path()).unwrap(), None);
    }
}
