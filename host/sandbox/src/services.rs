//! What the sandbox needs of the rest of the host.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use faultline_domain::audit::Entry;
use faultline_domain::id::InstanceName;
use faultline_domain::secret::{Secret, SecretRef};
use thiserror::Error;

/// A future on the heap, so that the trait can be an object.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, ServiceError>> + Send + 'a>>;

/// The rest of the host could not do it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ServiceError(pub String);

/// Why the rest of the host was asked for something and gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Unanswered {
    /// It could not be done.
    #[error(transparent)]
    Failed(#[from] ServiceError),
    /// Nobody waited any longer: it may have been done all the same.
    #[error("no answer within {0:?}; whether it was done is not known")]
    Late(Duration),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The name.
    pub key: String,
    /// The bytes.
    pub value: Vec<u8>,
    /// Grows with each write of this key; never 0.
    pub version: u64,
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemChange {
    /// Which key.
    pub key: String,
    /// None deletes it.
    pub value: Option<Vec<u8>>,
    /// Only if it is at this version; 0: only if it is not there.
    pub if_version: Option<u64>,
}

/// How a commit of writes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// All was written; the version that the keys have now.
    Written(u64),
    /// A key was not at the version it should be at; nothing was written.
    Conflict,
    /// All values together would come to so many bytes; nothing was written.
    OverQuota(u64),
}

/// Implemented by the binary over the store, and by tests in memory.
pub trait Services: Send + Sync {
    /// Writes a row of the audit log and gives its number. If this fails, what
    /// was to be recorded must not happen.
    fn audit(&self, entry: Entry) -> Pending<'_, u64>;

    /// The items of these keys, in no particular order; those that there are
    /// not are left out.
    fn kv_fetch(&self, instance: InstanceName, keys: Vec<String>) -> Pending<'_, Vec<Item>>;

    /// Items whose key begins so and comes after `after`, by key.
    fn kv_scan(
        &self,
        instance: InstanceName,
        prefix: String,
        after: Option<String>,
        most: u32,
    ) -> Pending<'_, Vec<Item>>;

    /// Writes all of the changes or none, if they stay within the quota.
    fn kv_commit(
        &self,
        instance: InstanceName,
        changes: Vec<ItemChange>,
        quota_bytes: u64,
    ) -> Pending<'_, Committed>;

    /// The secret that is kept there now. A host that keeps none says so.
    fn secret(&self, reference: SecretRef) -> Pending<'_, Secret> {
        let text = format!("this host keeps no secrets, and `{reference}` is none");
        Box::pin(async move { Err(ServiceError(text)) })
    }
}
