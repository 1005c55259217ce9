//! What operators decide: bundles, instances, grants, tokens.

use faultline_domain::access::Role;
use faultline_domain::grant::{Asked, Grant, Terms};
use faultline_domain::id::{Digest, InstanceName};
use faultline_domain::plugin::Kind;
use faultline_store::{
    AuditFilter, BundleFiles, BundleRecord, GrantRecord, InstanceRecord, Purpose, Retention,
    StoreError, TokenRecord,
};
use faultline_test_databases::{Database, on_each_database};

use crate::{Fresh, at, entry, scope, source};

pub(crate) fn bundle() -> BundleRecord {
    BundleRecord {
        digest: Digest::of(b"manifest"),
        plugin: "faultline/baseline".to_owned(),
        version: "0.1.0".to_owned(),
        installed: at(1),
        installed_by: "dana".to_owned(),
        origin: "bundled".to_owned(),
    }
}

pub(crate) fn instance(name: &str) -> InstanceRecord {
    InstanceRecord {
        name: InstanceName::new(name).expect("a name"),
        bundle: bundle().digest,
        component: "baseline".to_owned(),
        kind: Kind::Detector,
        config: "{}".to_owned(),
        settings: "{}".to_owned(),
        enabled: true,
        created: at(2),
        created_by: "dana".to_owned(),
    }
}

async fn bundles_instances_and_grants_read_back(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let files: BundleFiles = [("plugin.toml".to_owned(), b"schema = 1".to_vec())].into();
    for _ in 0..2 {
        let put = store
            .bundle_put(&bundle(), &files, entry("plugin.install", 1))
            .await;
        put.expect("again is fine");
    }
    assert_eq!(store.bundle_list().await.expect("reads"), [bundle()]);
    assert_eq!(
        store.bundle_files(bundle().digest).await.expect("reads"),
        files
    );
    let fetch = async |digest| store.bundle_fetch(digest).await.expect("reads");
    assert_eq!(fetch(bundle().digest).await, Some(bundle()));
    assert_eq!(fetch(Digest::of(b"other")).await, None);
    let file = async |path| {
        let file = store.bundle_file(bundle().digest, path).await;
        file.expect("reads")
    };
    assert_eq!(file("plugin.toml").await, files.get("plugin.toml").cloned());
    assert_eq!(file("README.md").await, None);

    let mut one = instance("one");
    let created = store
        .instance_create(&one, entry("instance.create", 2))
        .await;
    created.expect("creates");
    let twice = store
        .instance_create(&one, entry("instance.create", 3))
        .await;
    assert!(matches!(twice, Err(StoreError::Exists { .. })));
    one.enabled = false;
    let updated = store
        .instance_update(&one, entry("instance.disable", 4))
        .await;
    assert!(updated.expect("updates"));
    let missing = store
        .instance_update(&instance("two"), entry("instance.disable", 5))
        .await;
    assert!(!missing.expect("answers"));
    assert_eq!(store.instance_list().await.expect("reads"), [one.clone()]);

    let mut grant = Grant::whole("state", Asked::default(), "dana", at(6), "cursor");
    grant.expires = Some(at(60));
    grant.terms = Terms {
        asked: Asked {
            using: None,
            rules: vec!["GET https://*.example.com/**".parse().expect("a rule")],
            attach: None,
        },
        rules: vec!["GET https://a.example.com/**".parse().expect("a rule")],
        networks: vec!["10.0.0.0/8".parse().expect("a network")],
        secret: Some("env:TOKEN".parse().expect("a reference")),
    };
    let record = GrantRecord {
        instance: one.name.clone(),
        grant: grant.clone(),
    };
    store
        .grant_put(&record, entry("plugin.grant", 6))
        .await
        .expect("grants");
    assert_eq!(store.grant_list(&one.name).await.expect("reads"), [grant]);
    let revoke = async |secs| {
        let revoked = store
            .grant_revoke(&one.name, "state", entry("plugin.revoke", secs))
            .await;
        revoked.expect("answers")
    };
    assert!(revoke(7).await);
    assert!(!revoke(8).await);

    // What did not happen has no row.
    let rows = store
        .audit_list(&AuditFilter::default(), 100)
        .await
        .expect("rows");
    let times: Vec<u64> = rows
        .iter()
        .map(|row| row.entry.at.as_micros() / 1_000_000)
        .collect();
    assert_eq!(times, [1, 1, 2, 4, 6, 7]);
}

async fn an_upgrade_takes_grants_back_or_does_not_happen(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let put = store
        .bundle_put(&bundle(), &BundleFiles::new(), entry("plugin.install", 1))
        .await;
    put.expect("puts");
    let one = instance("one");
    let created = store
        .instance_create(&one, entry("instance.create", 2))
        .await;
    created.expect("creates");
    for capability in ["net", "state"] {
        let record = GrantRecord {
            instance: one.name.clone(),
            grant: Grant::whole(capability, Asked::default(), "dana", at(3), ""),
        };
        let granted = store.grant_put(&record, entry("plugin.grant", 3)).await;
        granted.expect("grants");
    }
    let later = InstanceRecord {
        component: "other".to_owned(),
        ..one.clone()
    };
    let revoked = [("net".to_owned(), entry("plugin.revoke", 4))];
    let upgrade = async |instance: &InstanceRecord| {
        let entry = entry("instance.upgrade", 5);
        let upgraded = store.instance_upgrade(instance, &revoked, entry).await;
        upgraded.expect("answers")
    };
    assert!(!upgrade(&instance("two")).await);
    assert!(upgrade(&later).await);
    assert_eq!(
        store.instance_fetch(&one.name).await.expect("reads"),
        Some(later)
    );
    let left = store.grant_list(&one.name).await.expect("reads");
    let left: Vec<&str> = left.iter().map(|grant| grant.capability.as_str()).collect();
    assert_eq!(left, ["state"]);
    let rows = store
        .audit_list(&AuditFilter::default(), 100)
        .await
        .expect("rows");
    let actions: Vec<&str> = rows.iter().map(|row| row.entry.action.as_str()).collect();
    assert_eq!(
        actions[actions.len() - 2..],
        ["plugin.revoke", "instance.upgrade"]
    );
    assert_eq!(rows.len(), 6);
}

async fn tokens_expire_and_are_revoked(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let person = TokenRecord {
        id: "one".to_owned(),
        name: "dana's".to_owned(),
        purpose: Purpose::Api(Role::Operator),
        hash: Digest::of(b"secret one"),
        created: at(1),
        created_by: "dana".to_owned(),
        expires: Some(at(100)),
        revoked: None,
    };
    let sender = TokenRecord {
        id: "two".to_owned(),
        purpose: Purpose::Ingest(Some(source("shop"))),
        hash: Digest::of(b"secret two"),
        ..person.clone()
    };
    for token in [&person, &sender] {
        let created = store.token_create(token, entry("token.create", 1)).await;
        created.expect("creates");
    }
    let found = store
        .token_find(Digest::of(b"secret one"))
        .await
        .expect("reads");
    assert_eq!(found.as_ref(), Some(&person));
    assert!(person.is_valid(at(99)) && !person.is_valid(at(100)));
    assert_eq!(
        store.token_find(Digest::of(b"guess")).await.expect("reads"),
        None
    );

    let revoked = store
        .token_revoke("two", at(50), entry("token.revoke", 50))
        .await;
    assert!(revoked.expect("revokes"));
    let again = store
        .token_revoke("two", at(51), entry("token.revoke", 51))
        .await;
    assert!(!again.expect("answers"));
    let listed = store.token_list().await.expect("reads");
    assert_eq!(listed[1].revoked, Some(at(50)));
    assert!(!listed[1].is_valid(at(50)));

    // Gone once no row of the audit log that is kept can name them.
    let retention = Retention::default();
    let mut kept = Vec::new();
    for now in [50, 51, 101] {
        let now = at(now).plus(retention.audit);
        store
            .sweep(&scope(), &retention, now)
            .await
            .expect("sweeps");
        let listed = store.token_list().await.expect("reads");
        kept.push(listed.len());
    }
    assert_eq!(kept, [2, 1, 0]);
}

on_each_database!(
    bundles_instances_and_grants_read_back,
    an_upgrade_takes_grants_back_or_does_not_happen,
    tokens_expire_and_are_revoked,
);
