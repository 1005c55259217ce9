//! The cache of machine code: what was compiled once is not compiled again.
//!
//! Who can put a file into it could run anything at all in this process. So the
//! folder is its owner's alone, and each file has a seal over what it holds and
//! what for: an HMAC (RFC 2104) with SHA-256, under a key that never leaves this
//! host. A file that was changed, cut off, put in from elsewhere, or is a link,
//! has no valid seal; it is refused, said so, and compiled anew.
//!
//! A file is read as a whole and verified in memory, and the code is loaded from
//! that memory: what was verified is what runs.
//!
//! ```text
//! "FAULTLINE-CODE-1\n"   17 bytes
//! seal                   32 bytes: HMAC(key, head ‖ component ‖ engine ‖ code)
//! code                   what the compiler made
//! ```

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use faultline_domain::id::Digest;
use hmac::{Hmac, KeyInit, Mac};
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW, fstat, futimens,
    openat, renameat, statat, unlinkat,
};
use rustix::process::geteuid;
use sha2::Sha256;
use thiserror::Error;

use crate::code::Code;

/// How each file begins.
const HEAD: &[u8] = b"FAULTLINE-CODE-1\n";

/// Bytes of a seal.
const SEAL_BYTES: usize = 32;

/// Where the code begins in a file.
const CODE_AT: usize = HEAD.len() + SEAL_BYTES;

/// How the names of files end that are complete, and that are being written.
const SUFFIX: &str = ".code";
const UNFINISHED: &str = ".code.new";

/// Nobody but the owner.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const OTHERS: u32 = 0o077;

/// Nanoseconds in a second.
const NANOS_PER_SEC: i128 = 1_000_000_000;

/// The key of the seals. Has no `Debug`, for it is a secret.
pub struct CacheKey(pub [u8; 32]);

/// Why there is no cache.
#[derive(Debug, Error)]
pub enum CacheError {
    /// The folder cannot be had.
    #[error("the cache of compiled components {folder} cannot be opened")]
    Open {
        /// Which.
        folder: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others could put files into it.
    #[error("{folder} is not its owner's alone: `chmod 700` and `chown` it to whoever runs this")]
    Shared {
        /// Which.
        folder: String,
    },
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The component that was compiled.
    pub(crate) component: Digest,
    /// What it was compiled for, and by which build of this program.
    pub(crate) engine: Digest,
}

impl Slot {
    fn name(&self) -> String {
        let hex = |digest: &Digest| digest.to_string().replace("sha256:", "");
        let engine = hex(&self.engine);
        format!("{}-{}{SUFFIX}", hex(&self.component), &engine[..16])
    }
}

/// What there is for a component.
pub(crate) enum Found {
    /// Its code.
    Code(Code),
    /// Nothing.
    Nothing,
    /// A file that must not be used, and why.
    Refused(String),
}

/// A file of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// The component that was compiled.
    pub component: Digest,
    /// Its size.
    pub bytes: u64,
    /// When it was last used, in seconds since the beginning of 1970.
    pub used_secs: u64,
}

/// A folder of files with seals.
pub struct CodeCache {
    path: PathBuf,
    folder: OwnedFd,
    key: CacheKey,
    bytes_max: u64,
    /// Files are counted and written one at a time.
    writing: Mutex<()>,
}

impl CodeCache {
    /// Opens a folder, which is made if it is not there. All files together come
    /// to so many bytes at most; those that were not used for longest go.
    ///
    /// # Errors
    /// If it cannot be opened, or is not its owner's alone.
    pub fn open(path: &Path, key: CacheKey, bytes_max: u64) -> Result<Self, CacheError> {
        let name = || path.display().to_string();
        let open = |source| CacheError::Open {
            folder: name(),
            source,
        };
        match DirBuilder::new().mode(FOLDER_MODE).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(open(error)),
            _ => {}
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| open(e.into()))?;
        let stat = fstat(&folder).map_err(|e| open(e.into()))?;
        if !is_ours_alone(&stat) {
            return Err(CacheError::Shared { folder: name() });
        }
        Ok(Self {
            path: path.to_owned(),
            folder,
            key,
            bytes_max,
            writing: Mutex::default(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The most bytes of all files together.
    pub const fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Looks for code. A file that must not be used is removed.
    pub(crate) fn find(&self, slot: &Slot) -> Found {
        let name = slot.name();
        let refused = match self.read(&name) {
            Ok(None) => return Found::Nothing,
            Ok(Some(bytes)) => match self.verify(slot, &bytes) {
                Ok(()) => return Found::Code(Code::vouched(bytes, CODE_AT)),
                Err(reason) => reason.to_owned(),
            },
            Err(reason) => reason,
        };
        self.remove(&name);
        Found::Refused(refused)
    }

    /// Keeps code, in place of what is least needed.
    ///
    /// # Errors
    /// If it cannot be written. It is then compiled again next time.
    pub(crate) fn put(&self, slot: &Slot, code: &[u8]) -> io::Result<()> {
        let bytes = (CODE_AT + code.len()) as u64;
        if bytes > self.bytes_max {
            return Ok(());
        }
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.make_room(bytes)?;
        let name = slot.name();
        let beside = name.replace(SUFFIX, UNFINISHED);
        // Somebody who ended in the midst of it may have left one.
        self.remove(&beside);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(FILE_MODE);
        let mut file = File::from(openat(&self.folder, &beside, flags, mode)?);
        let seal: [u8; SEAL_BYTES] = self.seal(slot, code).finalize().into_bytes().into();
        let written = file
            .write_all(HEAD)
            .and_then(|()| file.write_all(&seal))
            .and_then(|()| file.write_all(code))
            // One that is cut off by a crash would be taken for tampering.
            .and_then(|()| file.sync_data())
            .and_then(|()| {
                let to = &self.folder;
                renameat(to, &beside, to, &name).map_err(io::Error::from)
            });
        if written.is_err() {
            self.remove(&beside);
        }
        written
    }

    /// What there is, the latest used first.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn entries(&self) -> io::Result<Vec<CacheEntry>> {
        let mut entries: Vec<CacheEntry> = self
            .files()?
            .into_iter()
            .filter(|file| file.name.ends_with(SUFFIX))
            .filter_map(|file| {
                let (component, _) = file.name.split_once('-')?;
                Some(CacheEntry {
                    component: format!("sha256:{component}").parse().ok()?,
                    bytes: file.bytes,
                    used_secs: u64::try_from(file.used_nanos / NANOS_PER_SEC).unwrap_or(0),
                })
            })
            .collect();
        entries.reverse();
        Ok(entries)
    }

    /// Removes all files; gives how many there were.
    ///
    /// # Errors
    /// If the folder cannot be read, or a file not removed.
    pub fn clear(&self) -> io::Result<usize> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.files()?;
        for file in &files {
            unlinkat(&self.folder, &file.name, AtFlags::empty())?;
        }
        Ok(files.len())
    }

    /// The bytes of a file; none if there is no such file.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        // Nothing is followed, and nothing is waited for, such as a pipe.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match openat(&self.folder, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(rustix::io::Errno::LOOP) => return Err("it is a link".to_owned()),
            Err(error) => return Err(format!("it cannot be opened: {error}")),
        };
        let unreadable = |error: io::Error| format!("it cannot be read: {error}");
        let stat = fstat(&file).map_err(|error| unreadable(error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err("it is no file".to_owned());
        }
        if !is_ours_alone(&stat) || stat.st_nlink != 1 {
            return Err("it is not its owner's alone".to_owned());
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size > self.bytes_max {
            return Err(format!("it has {size} bytes"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        (&mut file)
            .take(size)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        // That it was used is good to know and no more.
        let _ = futimens(
            &file,
            &Timestamps {
                last_access: now,
                last_modification: now,
            },
        );
        Ok(Some(bytes))
    }

    fn verify(&self, slot: &Slot, bytes: &[u8]) -> Result<(), &'static str> {
        let sealed = bytes.strip_prefix(HEAD).ok_or("it begins otherwise")?;
        let (seal, code) = sealed.split_at_checked(SEAL_BYTES).ok_or("it is cut off")?;
        self.seal(slot, code)
            .verify_slice(seal)
            .map_err(|_| "its seal is not valid")
    }

    fn seal(&self, slot: &Slot, code: &[u8]) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.key.0)
            .expect("a key of any length is a key")
            .chain_update(HEAD)
            .chain_update(slot.component.as_bytes())
            .chain_update(slot.engine.as_bytes())
            .chain_update(code)
    }

    /// Removes what was not used for longest until there is room for so much.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let files = self.files()?;
        let mut all: u64 = files.iter().map(|file| file.bytes).sum();
        for file in files {
            if all.saturating_add(bytes) <= self.bytes_max {
                break;
            }
            self.remove(&file.name);
            all = all.saturating_sub(file.bytes);
        }
        Ok(())
    }

    /// Our files, the one that was not used for longest first. Others are not
    /// touched.
    fn files(&self) -> io::Result<Vec<FileOfOurs>> {
        let mut files = Vec::new();
        for entry in Dir::read_from(&self.folder)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let Some(name) = name.to_str() else { continue };
            if !name.ends_with(SUFFIX) && !name.ends_with(UNFINISHED) {
                continue;
            }
            // It may have gone since.
            let Ok(stat) = statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                continue;
            }
            files.push(FileOfOurs {
                name: name.to_owned(),
                bytes: u64::try_from(stat.st_size).unwrap_or(0),
                used_nanos: i128::from(stat.st_mtime) * NANOS_PER_SEC
                    + i128::from(stat.st_mtime_nsec),
            });
        }
        files.sort_by(|a, b| (a.used_nanos, &a.name).cmp(&(b.used_nanos, &b.name)));
        Ok(files)
    }

    /// What cannot be removed is refused again next time.
    fn remove(&self, name: &str) {
        let _ = unlinkat(&self.folder, name, AtFlags::empty());
    }
}

struct FileOfOurs {
    name: String,
    bytes: u64,
    /// When it was last used, since the beginning of 1970.
    used_nanos: i128,
}

/// Whether it belongs to whoever runs this, and nobody else may do anything with
/// it.
fn is_ours_alone(stat: &Stat) -> bool {
    stat.st_uid == geteuid().as_raw() && stat.st_mode & OTHERS == 0
}

#[cfg(test)]
mod tests;
