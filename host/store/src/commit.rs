//! Transactions that write, and every place where one is committed.
//!
//! A commit is the only moment at which anything becomes so. Each has a name,
//! so that tests can end the work right before and right after it, go on with
//! what is then on disk, and compare. Nothing can be committed without naming
//! its place, and a name without a test does not compile.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;

use sqlx::{Any, Transaction};

use crate::error::StoreError;
use crate::open_file::OpenFile;

/// Makes the enumeration, its list and its words of one table.
macro_rules! commit_points {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)+) => {
        /// A place where the store commits.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum CommitPoint {
            $($(#[$doc])* $name,)+
        }

        impl CommitPoint {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its name: what it is about, and what is done.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

commit_points! {
    /// A row of the audit log by itself.
    AuditAppend = "audit.append",
    /// The oldest rows of the audit log go.
    AuditSweep = "audit.sweep",
    /// A bundle is kept.
    BundlePut = "bundle.put",
    /// What the correlate stage has made of some rounds, with its position.
    CorrelateCommit = "correlate.commit",
    /// Envelopes come into the journal.
    EnvelopeAppend = "envelope.append",
    /// Envelopes of a damaged journal are written where they lay.
    EnvelopeRestore = "envelope.restore",
    /// The oldest envelopes go.
    EnvelopeSweep = "envelope.sweep",
    /// A capability is granted.
    GrantPut = "grant.put",
    /// A grant is taken back.
    GrantRevoke = "grant.revoke",
    /// An instance is made.
    InstanceCreate = "instance.create",
    /// An instance is made of something else, or configured otherwise.
    InstanceUpgrade = "instance.upgrade",
    /// A journal that was restored gets its end.
    JournalClose = "journal.close",
    /// A plugin writes keys and values.
    KvCommit = "kv.commit",
    /// A lease is let go of.
    LeaseRelease = "lease.release",
    /// The holder of a lease shows that it lives.
    LeaseRenew = "lease.renew",
    /// A lease is taken.
    LeaseTake = "lease.take",
    /// Members of incidents that an earlier version wrote get rows of their own.
    MembersMove = "members.move",
    /// What the observe stage has made of some envelopes, with its position.
    ObserveCommit = "observe.commit",
    /// What a poller fetched comes into the journal, with its cursor.
    PollCommit = "poll.commit",
    /// A fact about the installation, unless somebody has said it before.
    SettingPropose = "setting.propose",
    /// A fact about the installation.
    SettingPut = "setting.put",
    /// The oldest alerts, incidents, changes and the like go.
    StateSweep = "state.sweep",
    /// A token is made.
    TokenCreate = "token.create",
    /// A token is revoked.
    TokenRevoke = "token.revoke",
}

impl fmt::Display for CommitPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which side of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommitMoment {
    /// Everything is written and nothing is committed.
    Before,
    /// It is committed, and nobody has been told.
    After,
}

impl CommitMoment {
    /// Both, in order.
    pub const ALL: [Self; 2] = [Self::Before, Self::After];
}

/// Is told of each commit, on either side of it; the work goes on when the
/// future is done. One that is never done ends the work there, as a crash
/// would: whoever waits for it has to be dropped.
pub type CommitWatch = Arc<
    dyn Fn(CommitPoint, CommitMoment) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync,
>;

/// A transaction that writes; it is rolled back unless committed.
pub(crate) struct Write {
    transaction: Transaction<'static, Any>,
    /// What it writes to, if it is a file.
    file: Option<Arc<OpenFile>>,
    watch: Option<CommitWatch>,
}

impl Write {
    /// A transaction that has begun.
    ///
    /// # Errors
    /// If the file is not there any more.
    pub(crate) fn begun(
        transaction: Transaction<'static, Any>,
        file: Option<Arc<OpenFile>>,
        watch: Option<CommitWatch>,
    ) -> Result<Self, StoreError> {
        if let Some(file) = &file {
            file.check()?;
        }
        Ok(Self {
            transaction,
            file,
            watch,
        })
    }

    /// Makes it so. It is durable when this returns, unless it is derived.
    pub(crate) async fn commit(self, point: CommitPoint) -> Result<(), StoreError> {
        let Self {
            transaction,
            file,
            watch,
        } = self;
        if let Some(file) = &file {
            file.check()?;
        }
        if let Some(watch) = &watch {
            watch(point, CommitMoment::Before).await;
        }
        transaction.commit().await?;
        if let Some(watch) = &watch {
            watch(point, CommitMoment::After).await;
        }
        Ok(())
    }
}

impl Deref for Write {
    type Target = Transaction<'static, Any>;

    fn deref(&self) -> &Self::Target {
        &self.transaction
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.transaction
    }
}
