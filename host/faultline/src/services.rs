//! What the sandbox needs of the rest of the host, over the store.

use faultline_domain::audit::Entry;
use faultline_domain::id::InstanceName;
use faultline_domain::secret::{Secret, SecretRef};
use faultline_sandbox::{Committed, Item, ItemChange, Pending, ServiceError, Services};
use faultline_store::{KvChange, KvCommit, KvEntry, Store, StoreError};

use crate::vault::Vault;

/// The store and the secrets, as the sandbox sees them.
pub(crate) struct StoreServices(pub(crate) Store, pub(crate) Vault);

impl Services for StoreServices {
    fn audit(&self, entry: Entry) -> Pending<'_, u64> {
        Box::pin(async move { self.0.audit_append(entry).await.map_err(|e| refused(&e)) })
    }

    fn secret(&self, reference: SecretRef) -> Pending<'_, Secret> {
        let vault = self.1.clone();
        Box::pin(async move {
            // Files can lie on disks that are slow to answer.
            let fetching = tokio::task::spawn_blocking(move || vault.fetch(&reference));
            match fetching.await {
                Ok(fetched) => fetched.map_err(|error| {
                    tracing::warn!("a plugin cannot use its secret: {error}");
                    ServiceError("the secret cannot be had: the host's log says why".to_owned())
                }),
                Err(_) => Err(ServiceError("the secret cannot be had".to_owned())),
            }
        })
    }

    fn kv_fetch(&self, instance: InstanceName, keys: Vec<String>) -> Pending<'_, Vec<Item>> {
        Box::pin(async move {
            let entries = self.0.kv_fetch(&instance, &keys).await;
            Ok(items(entries.map_err(|e| refused(&e))?))
        })
    }

    fn kv_scan(
        &self,
        instance: InstanceName,
        prefix: String,
        after: Option<String>,
        most: u32,
    ) -> Pending<'_, Vec<Item>> {
        Box::pin(async move {
            let scanned = self
                .0
                .kv_scan(&instance, &prefix, after.as_deref(), most)
                .await;
            Ok(items(scanned.map_err(|e| refused(&e))?))
        })
    }

    fn kv_commit(
        &self,
        instance: InstanceName,
        changes: Vec<ItemChange>,
        quota_bytes: u64,
    ) -> Pending<'_, Committed> {
        Box::pin(async move {
            let changes: Vec<KvChange> = changes
                .into_iter()
                .map(|change| KvChange {
                    key: change.key,
                    value: change.value,
                    if_version: change.if_version,
                })
                .collect();
            let committed = self.0.kv_commit(&instance, &changes, quota_bytes).await;
            Ok(match committed.map_err(|e| refused(&e))? {
                KvCommit::Written(version) => Committed::Written(version),
                KvCommit::Conflict => Committed::Conflict,
                KvCommit::OverQuota(bytes) => Committed::OverQuota(bytes),
            })
        })
    }
}

/// What a guest is told: that it did not work, and not why in detail.
fn refused(error: &StoreError) -> ServiceError {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "the store refused a plugin"
    );
    ServiceError("the store does not answer".to_owned())
}

fn items(entries: Vec<KvEntry>) -> Vec<Item> {
    entries
        .into_iter()
        .map(|entry| Item {
            key: entry.key,
            value: entry.value,
            version: entry.version,
        })
        .collect()
}
