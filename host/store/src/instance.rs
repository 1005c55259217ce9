//! Installed bundles, the instances made of their components, and what was
//! granted to each.

use std::collections::BTreeMap;

use faultline_domain::audit::Entry;
use faultline_domain::grant::Grant;
use faultline_domain::id::{Digest, InstanceName};
use faultline_domain::plugin::Kind;
use faultline_domain::time::Timestamp;

use crate::Store;
use crate::audit;
use crate::commit::{CommitPoint, Write};
use crate::edition::{self, Edition};
use crate::error::StoreError;
use crate::rows::{insert_rows, text};

/// The files of a bundle, by path.
pub type BundleFiles = BTreeMap<String, Vec<u8>>;

/// An installed bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleRecord {
    /// The bundle's digest.
    pub digest: Digest,
    /// `namespace/name`.
    pub plugin: String,
    /// Semantic version.
    pub version: String,
    /// When it was installed.
    pub installed: Timestamp,
    /// By whom.
    pub installed_by: String,
    /// Where it came from: a folder, or `bundled`.
    pub origin: String,
}

/// An installed component with one configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRecord {
    /// Its name; for connectors also the source that hooks are sent to.
    pub name: InstanceName,
    /// The bundle that the component is from.
    pub bundle: Digest,
    /// The component's name within the bundle.
    pub component: String,
    /// What it is for.
    pub kind: Kind,
    /// The plugin's configuration: JSON, valid against its schema.
    pub config: String,
    /// The operator's settings for it: JSON.
    pub settings: String,
    /// Whether it should run.
    pub enabled: bool,
    /// When it was made.
    pub created: Timestamp,
    /// By whom.
    pub created_by: String,
}

/// A grant with the instance that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRecord {
    /// Which instance.
    pub instance: InstanceName,
    /// What was granted.
    pub grant: Grant,
}

impl Store {
    /// Keeps a bundle with its files, beside its audit row. One that is there
    /// already stays as it is.
    ///
    /// # Errors
    /// If the database refuses; nothing is written then.
    pub async fn bundle_put(
        &self,
        bundle: &BundleRecord,
        files: &BundleFiles,
        entry: Entry,
    ) -> Result<(), StoreError> {
        let mut transaction = self.state.write().await?;
        audit::append(&mut transaction, entry).await?;
        insert_rows(
            &mut transaction,
            "insert into bundle (digest, plugin, version, installed, installed_by, origin) values",
            6,
            "on conflict (digest) do nothing",
            std::slice::from_ref(bundle),
            |query, bundle| {
                query
                    .bind(bundle.digest.to_string())
                    .bind(&bundle.plugin)
                    .bind(&bundle.version)
                    .bind(bundle.installed.as_i64())
                    .bind(text(&bundle.installed_by))
                    .bind(text(&bundle.origin))
            },
        )
        .await?;
        let rows: Vec<(&String, &Vec<u8>)> = files.iter().collect();
        insert_rows(
            &mut transaction,
            "insert into bundle_file (bundle, path, content) values",
            3,
            "on conflict (bundle, path) do nothing",
            &rows,
            |query, (path, content)| {
                query
                    .bind(bundle.digest.to_string())
                    .bind(path.as_str())
                    .bind(content.as_slice())
            },
        )
        .await?;
        transaction.commit(CommitPoint::BundlePut).await?;
        Ok(())
    }

    /// All installed bundles, by plugin and time.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn bundle_list(&self) -> Result<Vec<BundleRecord>, StoreError> {
        let rows: Vec<BundleRow> =
            sqlx::query_as("select * from bundle order by plugin, installed, digest")
                .fetch_all(self.state.read())
                .await?;
        rows.into_iter().map(BundleRow::into_record).collect()
    }

    /// One installed bundle.
    ///
    /// # Errors
    /// If the database refuses, or the row cannot be read.
    pub async fn bundle_fetch(&self, digest: Digest) -> Result<Option<BundleRecord>, StoreError> {
        let row: Option<BundleRow> = sqlx::query_as("select * from bundle where digest = $1")
            .bind(digest.to_string())
            .fetch_optional(self.state.read())
            .await?;
        row.map(BundleRow::into_record).transpose()
    }

    /// One file of a bundle; none if the bundle is not installed or has no such
    /// file.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn bundle_file(
        &self,
        digest: Digest,
        path: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let row: Option<(Vec<u8>,)> =
            sqlx::query_as("select content from bundle_file where bundle = $1 and path = $2")
                .bind(digest.to_string())
                .bind(path)
                .fetch_optional(self.state.read())
                .await?;
        Ok(row.map(|(content,)| content))
    }

    /// The files of a bundle; empty if it is not installed.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn bundle_files(&self, digest: Digest) -> Result<BundleFiles, StoreError> {
        let rows: Vec<(String, Vec<u8>)> =
            sqlx::query_as("select path, content from bundle_file where bundle = $1")
                .bind(digest.to_string())
                .fetch_all(self.state.read())
                .await?;
        Ok(rows.into_iter().collect())
    }

    /// Makes an instance, beside its audit row.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is one of this name, or if the database
    /// refuses; nothing is written then.
    pub async fn instance_create(
        &self,
        instance: &InstanceRecord,
        entry: Entry,
    ) -> Result<(), StoreError> {
        let mut transaction = self.state.write().await?;
        audit::append(&mut transaction, entry).await?;
        edition::next(&mut transaction, Edition::Plugins).await?;
        let created = sqlx::query(
            "insert into instance (name, bundle, component, kind, config, settings, enabled, \
             created, created_by) values ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             on conflict (name) do nothing",
        )
        .bind(instance.name.as_str())
        .bind(instance.bundle.to_string())
        .bind(&instance.component)
        .bind(instance.kind.as_str())
        .bind(&instance.config)
        .bind(&instance.settings)
        .bind(i64::from(instance.enabled))
        .bind(instance.created.as_i64())
        .bind(text(&instance.created_by))
        .execute(&mut **transaction)
        .await?;
        if created.rows_affected() == 0 {
            return Err(StoreError::Exists {
                what: "instance",
                name: instance.name.to_string(),
            });
        }
        transaction.commit(CommitPoint::InstanceCreate).await?;
        Ok(())
    }

    /// Replaces what an instance is made of and how it is configured, beside
    /// its audit row. False, and nothing is written, if there is none of this
    /// name.
    ///
    /// # Errors
    /// If the database refuses; nothing is written then.
    pub async fn instance_update(
        &self,
        instance: &InstanceRecord,
        entry: Entry,
    ) -> Result<bool, StoreError> {
        self.instance_upgrade(instance, &[], entry).await
    }

    /// As [`Store::instance_update`], and takes grants back in the same
    /// transaction, each beside its audit row: those that would mean something
    /// else, or nothing, to what the instance is made of from now on.
    ///
    /// # Errors
    /// If the database refuses; nothing is written then.
    pub async fn instance_upgrade(
        &self,
        instance: &InstanceRecord,
        revoked: &[(String, Entry)],
        entry: Entry,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.state.write().await?;
        audit::queue(&mut transaction).await?;
        let updated = sqlx::query(
            "update instance set bundle = $2, component = $3, config = $4, settings = $5, \
             enabled = $6 where name = $1",
        )
        .bind(instance.name.as_str())
        .bind(instance.bundle.to_string())
        .bind(&instance.component)
        .bind(&instance.config)
        .bind(&instance.settings)
        .bind(i64::from(instance.enabled))
        .execute(&mut **transaction)
        .await?;
        for (capability, entry) in revoked {
            sqlx::query("delete from instance_grant where instance = $1 and capability = $2")
                .bind(instance.name.as_str())
                .bind(capability)
                .execute(&mut **transaction)
                .await?;
            audit::append(&mut transaction, entry.clone()).await?;
        }
        let changed = updated.rows_affected() == 1;
        self.finish(transaction, changed, entry, CommitPoint::InstanceUpgrade)
            .await
    }

    /// All instances, by name.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn instance_list(&self) -> Result<Vec<InstanceRecord>, StoreError> {
        let rows: Vec<InstanceRow> = sqlx::query_as("select * from instance order by name")
            .fetch_all(self.state.read())
            .await?;
        rows.into_iter().map(InstanceRow::into_record).collect()
    }

    /// One instance.
    ///
    /// # Errors
    /// If the database refuses, or the row cannot be read.
    pub async fn instance_fetch(
        &self,
        name: &InstanceName,
    ) -> Result<Option<InstanceRecord>, StoreError> {
        let row: Option<InstanceRow> = sqlx::query_as("select * from instance where name = $1")
            .bind(name.as_str())
            .fetch_optional(self.state.read())
            .await?;
        row.map(InstanceRow::into_record).transpose()
    }

    /// Grants a capability, beside its audit row. Granting it again renews it.
    ///
    /// # Errors
    /// If the database refuses; nothing is written then.
    pub async fn grant_put(&self, record: &GrantRecord, entry: Entry) -> Result<(), StoreError> {
        let mut transaction = self.state.write().await?;
        audit::append(&mut transaction, entry).await?;
        edition::next(&mut transaction, Edition::Plugins).await?;
        let terms = serde_json::to_string(&record.grant.terms)
            .map_err(|error| StoreError::corrupt("instance_grant", error))?;
        sqlx::query(
            "insert into instance_grant (instance, capability, granted, granted_by, reason, \
             terms, expires) values ($1, $2, $3, $4, $5, $6, $7) \
             on conflict (instance, capability) do update set \
             granted = excluded.granted, granted_by = excluded.granted_by, \
             reason = excluded.reason, terms = excluded.terms, expires = excluded.expires",
        )
        .bind(record.instance.as_str())
        .bind(&record.grant.capability)
        .bind(record.grant.at.as_i64())
        .bind(text(&record.grant.by))
        .bind(text(&record.grant.reason))
        .bind(terms)
        .bind(record.grant.expires.map(Timestamp::as_i64))
        .execute(&mut **transaction)
        .await?;
        transaction.commit(CommitPoint::GrantPut).await?;
        Ok(())
    }

    /// Takes a grant back, beside its audit row. False, and nothing is
    /// written, if it was not granted.
    ///
    /// # Errors
    /// If the database refuses; nothing is written then.
    pub async fn grant_revoke(
        &self,
        instance: &InstanceName,
        capability: &str,
        entry: Entry,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.state.write().await?;
        audit::queue(&mut transaction).await?;
        let removed =
            sqlx::query("delete from instance_grant where instance = $1 and capability = $2")
                .bind(instance.as_str())
                .bind(text(capability))
                .execute(&mut **transaction)
                .await?;
        let changed = removed.rows_affected() == 1;
        self.finish(transaction, changed, entry, CommitPoint::GrantRevoke)
            .await
    }

    /// What was granted to an instance, by capability.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn grant_list(&self, instance: &InstanceName) -> Result<Vec<Grant>, StoreError> {
        let rows: Vec<GrantRow> = sqlx::query_as(
            "select capability, granted, granted_by, reason, terms, expires from instance_grant \
             where instance = $1 order by capability",
        )
        .bind(instance.as_str())
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter().map(GrantRow::into_grant).collect()
    }

    /// What was granted to each instance that was granted something, by capability.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn grant_list_all(&self) -> Result<BTreeMap<InstanceName, Vec<Grant>>, StoreError> {
        let rows: Vec<OwnedGrantRow> =
            sqlx::query_as("select * from instance_grant order by instance, capability")
                .fetch_all(self.state.read())
                .await?;
        let mut grants: BTreeMap<InstanceName, Vec<Grant>> = BTreeMap::new();
        for OwnedGrantRow { instance, grant } in rows {
            let instance = InstanceName::new(instance)
                .map_err(|error| StoreError::corrupt("instance_grant", error))?;
            grants
                .entry(instance)
                .or_default()
                .push(grant.into_grant()?);
        }
        Ok(grants)
    }

    /// Ends a change that may have had nothing to change.
    async fn finish(
        &self,
        mut transaction: Write,
        changed: bool,
        entry: Entry,
        point: CommitPoint,
    ) -> Result<bool, StoreError> {
        if changed {
            audit::append(&mut transaction, entry).await?;
            edition::next(&mut transaction, Edition::Plugins).await?;
            transaction.commit(point).await?;
        }
        Ok(changed)
    }
}

#[derive(sqlx::FromRow)]
struct BundleRow {
    digest: String,
    plugin: String,
    version: String,
    installed: i64,
    installed_by: String,
    origin: String,
}

impl BundleRow {
    fn into_record(self) -> Result<BundleRecord, StoreError> {
        Ok(BundleRecord {
            digest: self
                .digest
                .parse()
                .map_err(|error| StoreError::corrupt("bundle", error))?,
            plugin: self.plugin,
            version: self.version,
            installed: Timestamp::from_i64(self.installed),
            installed_by: self.installed_by,
            origin: self.origin,
        })
    }
}

#[derive(sqlx::FromRow)]
struct InstanceRow {
    name: String,
    bundle: String,
    component: String,
    kind: String,
    config: String,
    settings: String,
    enabled: i64,
    created: i64,
    created_by: String,
}

impl InstanceRow {
    fn into_record(self) -> Result<InstanceRecord, StoreError> {
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == self.kind)
            .ok_or_else(|| StoreError::corrupt("instance", format!("kind `{}`", self.kind)))?;
        Ok(InstanceRecord {
            name: InstanceName::new(self.name)
                .map_err(|error| StoreError::corrupt("instance", error))?,
            bundle: self
                .bundle
                .parse()
                .map_err(|error| StoreError::corrupt("instance", error))?,
            component: self.component,
            kind,
            config: self.config,
            settings: self.settings,
            enabled: self.enabled != 0,
            created: Timestamp::from_i64(self.created),
            created_by: self.created_by,
        })
    }
}

#[derive(sqlx::FromRow)]
struct GrantRow {
    capability: String,
    granted: i64,
    granted_by: String,
    reason: String,
    terms: String,
    expires: Option<i64>,
}

/// With whose it is.
#[derive(sqlx::FromRow)]
struct OwnedGrantRow {
    instance: String,
    #[sqlx(flatten)]
    grant: GrantRow,
}

impl GrantRow {
    fn into_grant(self) -> Result<Grant, StoreError> {
        Ok(Grant {
            capability: self.capability,
            by: self.granted_by,
            at: Timestamp::from_i64(self.granted),
            reason: self.reason,
            expires: self.expires.map(Timestamp::from_i64),
            terms: serde_json::from_str(&self.terms)
                .map_err(|error| StoreError::corrupt("instance_grant", error))?,
        })
    }
}
