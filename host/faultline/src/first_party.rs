//! The plugins that come with the binary: installed at the first start, and
//! replaced when a later binary starts.

use std::collections::BTreeMap;

use anyhow::Result;
use faultline_bundle::{Bundle, Component};
use faultline_domain::audit::{Entry, Stage};
use faultline_domain::grant::{Grant, Request};
use faultline_domain::id::{Digest, InstanceName};
use faultline_store::{BundleRecord, InstanceRecord, Store};
use serde_json::json;

use crate::clock::now;

/// Who installs them, and where they come from.
const HOST: &str = "host";
const BUNDLED: &str = "bundled";

/// A setting that remembers, for each component, from which bundle the host
/// last made an instance of it: so that one that an operator did away with does
/// not come back, and one that they made of something else stays what it is.
const OFFERED: &str = "plugins.offered";

/// Digests of bundles, by `namespace/name/component`.
type Offered = BTreeMap<String, Digest>;

/// Installs all of them.
pub(crate) async fn install(store: &Store, bundles: Vec<Bundle>) -> Result<()> {
    let installed = store.bundle_list().await?;
    let instances = store.instance_list().await?;
    let mut offered: Offered = store
        .setting_fetch(OFFERED)
        .await?
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    for bundle in bundles {
        let digest = bundle.digest();
        if !installed.iter().any(|known| known.digest == digest) {
            keep(store, &bundle).await?;
        }
        for component in &bundle.manifest().components {
            let key = format!("{}/{}", bundle.manifest().id, component.name);
            let goes_along = match offered.get(&key) {
                None => {
                    offer(store, &bundle, component).await?;
                    true
                }
                Some(before) if *before == digest => continue,
                Some(before) => {
                    let instance = instances.iter().find(|instance| {
                        instance.created_by == HOST
                            && instance.name.as_str() == component.name
                            && instance.bundle == *before
                    });
                    match instance {
                        Some(instance) => follow(store, &bundle, component, instance).await?,
                        None => false,
                    }
                }
            };
            if goes_along {
                offered.insert(key, digest);
            }
        }
    }
    store
        .setting_put(OFFERED, &json!(offered).to_string())
        .await?;
    Ok(())
}

async fn keep(store: &Store, bundle: &Bundle) -> Result<()> {
    let manifest = bundle.manifest();
    let record = BundleRecord {
        digest: bundle.digest(),
        plugin: manifest.id.to_string(),
        version: manifest.version.to_string(),
        installed: now(),
        installed_by: HOST.to_owned(),
        origin: BUNDLED.to_owned(),
    };
    let subject = format!("bundle:{}", bundle.digest());
    let detail = json!({"plugin": record.plugin, "version": record.version, "origin": BUNDLED});
    let entry = entry("plugin.install", subject, &detail);
    store.bundle_put(&record, bundle.files(), entry).await?;
    Ok(())
}

/// Makes an instance of a component that needs neither configuration nor
/// grants.
async fn offer(store: &Store, bundle: &Bundle, component: &Component) -> Result<()> {
    let configurable = bundle.config_schema(component)?.resolve("{}").is_ok();
    let needs_grants = component
        .capabilities
        .iter()
        .any(|request| request.required);
    if !configurable || needs_grants {
        return Ok(());
    }
    let record = InstanceRecord {
        name: InstanceName::new(component.name.as_str())?,
        bundle: bundle.digest(),
        component: component.name.clone(),
        kind: component.kind,
        config: "{}".to_owned(),
        settings: "{}".to_owned(),
        enabled: true,
        created: now(),
        created_by: HOST.to_owned(),
    };
    let detail = json!({"plugin": bundle.manifest().id.to_string(), "bundle": bundle.digest()});
    let entry = entry(
        "instance.create",
        format!("instance:{}", record.name),
        &detail,
    );
    match store.instance_create(&record, entry).await {
        // Somebody has made one of this name for something else.
        Ok(()) | Err(faultline_store::StoreError::Exists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// An instance that the host made follows the binary, as long as the later
/// component asks for no more than the earlier one and takes its configuration.
/// Gives whether it does.
async fn follow(
    store: &Store,
    bundle: &Bundle,
    component: &Component,
    instance: &InstanceRecord,
) -> Result<bool> {
    let takes_config = bundle
        .config_schema(component)?
        .resolve(&instance.config)
        .is_ok();
    let asked = asked_for(store, instance).await?;
    let asks_for_more = component.capabilities.iter().any(|request| {
        let asked_then = |before: &Request| request.asks_no_more_than(before);
        request.required || !asked.iter().any(asked_then)
    });
    if asks_for_more || !takes_config {
        tracing::warn!(
            plugin.instance = %instance.name,
            "instance {} stays with the plugin it has: the one that comes with this binary asks \
             for more, or does not take its configuration",
            instance.name
        );
        return Ok(false);
    }
    let later = InstanceRecord {
        bundle: bundle.digest(),
        ..instance.clone()
    };
    let subject = format!("instance:{}", instance.name);
    // A grant for what is not asked for any more would keep it from running.
    let granted = store.grant_list(&instance.name).await?;
    let is_asked_for = |grant: &Grant| {
        let mut requests = component.capabilities.iter();
        requests.any(|request| request.id == grant.capability)
    };
    let revoked: Vec<(String, Entry)> = granted
        .into_iter()
        .filter(|grant| !is_asked_for(grant))
        .map(|grant| {
            let detail = json!({"capability": grant.capability, "because": "upgrade"});
            let entry = entry("plugin.revoke", subject.clone(), &detail);
            (grant.capability, entry)
        })
        .collect();
    let detail = json!({"from": instance.bundle, "to": bundle.digest()});
    let entry = entry("instance.upgrade", subject.clone(), &detail);
    Ok(store.instance_upgrade(&later, &revoked, entry).await?)
}

/// What an instance asks for as it is; nothing if its bundle cannot be read.
async fn asked_for(store: &Store, instance: &InstanceRecord) -> Result<Vec<Request>> {
    let files = store.bundle_files(instance.bundle).await?;
    let Ok(bundle) = Bundle::from_files(files) else {
        return Ok(Vec::new());
    };
    let component = bundle.manifest().component(&instance.component);
    Ok(component.map_or_else(Vec::new, |component| component.capabilities.clone()))
}

fn entry(action: &str, subject: String, detail: &serde_json::Value) -> Entry {
    Entry {
        at: now(),
        actor: HOST.to_owned(),
        action: action.to_owned(),
        subject,
        stage: Stage::Event,
        detail: detail.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The preamble of a component in the binary format.
    const COMPONENT: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

    fn bundle(version: &str, more: &str) -> Bundle {
        let manifest = format!(
            "schema = 1\n[plugin]\nid = \"acme/eye\"\nversion = \"{version}\"\napi = \"0.1\"\n\
             license = \"Apache-2.0\"\nsummary = \"Looks\"\n[[component]]\nname = \"eye\"\n\
             kind = \"correlator\"\nwasm = \"eye.wasm\"\nwasi = false\n{more}"
        );
        let files = [
            ("plugin.toml".to_owned(), manifest.into_bytes()),
            ("eye.wasm".to_owned(), COMPONENT.to_vec()),
        ];
        Bundle::from_files(files.into()).expect("a bundle")
    }

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).await.expect("a store");
        (folder, store)
    }

    async fn only_instance(store: &Store) -> InstanceRecord {
        let mut instances = store.instance_list().await.expect("reads");
        assert_eq!(instances.len(), 1);
        instances.remove(0)
    }

    #[tokio::test]
    async fn instances_follow_the_binary() {
        let (_folder, store) = store().await;
        for version in ["1.0.0", "1.1.0", "1.1.0"] {
            let bundle = bundle(version, "");
            install(&store, vec![bundle.clone()]).await.expect(version);
            assert_eq!(only_instance(&store).await.bundle, bundle.digest());
        }
        let all = faultline_store::AuditFilter::default();
        let rows = store.audit_list(&all, 10);
        let actions: Vec<String> = rows
            .await
            .expect("reads")
            .into_iter()
            .map(|row| row.entry.action)
            .collect();
        let expected = [
            "plugin.install",
            "instance.create",
            "plugin.install",
            "instance.upgrade",
        ];
        assert_eq!(actions, expected);
    }

    #[tokio::test]
    async fn what_an_operator_made_of_an_instance_stays() {
        let (_folder, store) = store().await;
        install(&store, vec![bundle("1.0.0", "")])
            .await
            .expect("installs");
        let theirs = bundle("9.0.0", "");
        let chosen = InstanceRecord {
            bundle: theirs.digest(),
            ..only_instance(&store).await
        };
        let entry = entry("instance.upgrade", "a test".to_owned(), &json!({}));
        store.instance_update(&chosen, entry).await.expect("writes");
        for version in ["1.0.0", "1.1.0"] {
            install(&store, vec![bundle(version, "")])
                .await
                .expect("installs");
            assert_eq!(only_instance(&store).await.bundle, theirs.digest());
        }
    }

    #[tokio::test]
    async fn who_asks_for_more_is_not_followed_until_they_do_not() {
        let (_folder, store) = store().await;
        let first = bundle("1.0.0", "");
        install(&store, vec![first.clone()])
            .await
            .expect("installs");
        let greedy = "[[component.capability]]\nid = \"state\"\nuse = \"kv\"\n\
                      required = false\nreason = \"to remember\"\n";
        install(&store, vec![bundle("1.1.0", greedy)])
            .await
            .expect("installs");
        assert_eq!(only_instance(&store).await.bundle, first.digest());
        let modest = bundle("1.2.0", "");
        install(&store, vec![modest.clone()])
            .await
            .expect("installs");
        assert_eq!(only_instance(&store).await.bundle, modest.digest());
    }

    #[tokio::test]
    async fn who_needs_consent_has_no_instance_made() {
        let (_folder, store) = store().await;
        let needy = "[[component.capability]]\nid = \"state\"\nuse = \"kv\"\n\
                     required = true\nreason = \"to remember\"\n";
        install(&store, vec![bundle("1.0.0", needy)])
            .await
            .expect("installs");
        assert!(store.instance_list().await.expect("reads").is_empty());
        assert_eq!(store.bundle_list().await.expect("reads").len(), 1);
    }
}
