//! The work is ended on either side of every commit there is. What is then on
//! disk is what was committed, all of it and nothing else, and doing the rest
//! again comes to the same as if nothing had happened.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use faultline_domain::envelope::{Arrival, Envelope, Format, Position};
use faultline_domain::grant::{Grant, Terms};
use faultline_domain::id::{AlertId, Digest, IncidentId, InstanceName, ScopeName};
use faultline_domain::incident::{Author, Facts, Happening, Incident, IncidentEvent};
use faultline_domain::lease::{Fence, Holder, LeaseName};
use faultline_domain::plugin::Failure;
use faultline_domain::poll::PollState;
use faultline_domain::proposal::{Because, Blob, Confidence};
use faultline_domain::severity::Severity;
use faultline_domain::supervision::{Failed, SupervisionPolicy, Supervisor};
use faultline_store::{
    Checkpoint, CommitMoment, CommitPoint, CorrelateCommit, GrantRecord, KvChange, KvCommit,
    Purpose, Range, Retention, Store, StoreError, TokenRecord,
};
use faultline_test_databases::{Database, on_each_database};

use crate::audit::verify;
use crate::crash::Crash;
use crate::people::{bundle, instance};
use crate::stages::{commit, entity, fire};
use crate::{Fresh, at, entry, scope, source};

/// A lease that no commit of a stage looks at.
const LEASE: LeaseName = LeaseName::Timekeeper;

fn arrivals(from: u64, count: u64) -> Vec<Arrival> {
    (from..from + count)
        .map(|number| Arrival {
            source: source("test"),
            format: Format::AlertmanagerAlerts,
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            body: format!("payload {number}").repeat(60).into_bytes(),
            received: at(number),
        })
        .collect()
}

fn keeper() -> InstanceName {
    InstanceName::new("keeper").expect("a name")
}

fn grant() -> GrantRecord {
    GrantRecord {
        instance: keeper(),
        grant: Grant {
            capability: "kv".to_owned(),
            at: at(3),
            by: "dana".to_owned(),
            reason: "for a test".to_owned(),
            expires: None,
            terms: Terms::default(),
        },
    }
}

/// Watches over one that failed once.
fn failed() -> Supervisor {
    let mut supervisor = Supervisor::new(Digest::of(b"one"));
    let failure = Failure::Trap("unreachable".to_owned());
    let failed = Failed::of(&failure, "unreachable", None);
    supervisor.failed(at(5), &failed, 7, &SupervisionPolicy::default());
    supervisor
}

fn token() -> TokenRecord {
    TokenRecord {
        id: "abc".to_owned(),
        name: "ci".to_owned(),
        purpose: Purpose::Ingest(None),
        hash: Digest::of(b"secret"),
        created: at(1),
        created_by: "dana".to_owned(),
        expires: None,
        revoked: None,
    }
}

async fn envelopes(store: &Store) -> Result<Vec<Envelope>, StoreError> {
    store
        .envelope_list(&scope(), Position::START, 100, usize::MAX)
        .await
}

/// What is there before anything is cut off: a bit of everything.
async fn prepare(fresh: &Fresh, point: CommitPoint) -> Result<(), StoreError> {
    let store = &fresh.store;
    store.envelope_append(&scope(), arrivals(1, 3)).await?;
    store
        .observe_commit(&scope(), &commit(0, 3, vec![fire("a", 2)]))
        .await?;
    store
        .instance_create(&instance("keeper"), entry("instance.create", 2))
        .await?;
    let change = KvChange {
        key: "seen".to_owned(),
        value: Some(vec![1]),
        if_version: None,
    };
    store.kv_commit(&keeper(), &[change], 1_000).await?;
    if point == CommitPoint::MembersMove {
        write_as_before(fresh).await?;
    }
    Ok(())
}

/// An incident as an earlier version wrote it, with its members within.
async fn write_as_before(fresh: &Fresh) -> Result<(), StoreError> {
    let store = &fresh.store;
    let events = events();
    let incident = Incident::fold(&events).expect("an incident");
    let body = serde_json::to_string(&incident).expect("plain structures");
    let correlated = CorrelateCommit {
        events,
        incidents: vec![Arc::new(incident)],
        ..CorrelateCommit::default()
    };
    store.correlate_commit(&scope(), &correlated).await?;
    let state = sqlx::AnyPool::connect(&fresh.databases()[1]).await?;
    sqlx::query("update incident set body = $1, summary = ''")
        .bind(body)
        .execute(&state)
        .await?;
    sqlx::query("delete from incident_member")
        .execute(&state)
        .await?;
    state.close().await;
    Ok(())
}

/// An incident with a member.
fn events() -> Vec<IncidentEvent> {
    let because = Because {
        reason: "it fires".to_owned(),
        confidence: Confidence::new(0.5).expect("a confidence"),
        evidence: Vec::new(),
        against: Vec::new(),
    };
    let facts = Facts {
        episode: 1,
        firing: true,
        severity: Severity::Warning,
        started: at(1),
        at: at(2),
        entities: vec![entity("service/a")],
        source: None,
    };
    let opened = Happening::Opened {
        title: "a".to_owned(),
        split_from: None,
    };
    let joined = Happening::Joined {
        alert: AlertId::derive([b"a".as_slice()]),
        facts,
        because,
        said: None,
    };
    (1..)
        .zip([opened, joined])
        .map(|(version, happening)| IncidentEvent {
            incident: IncidentId::derive([b"i".as_slice()]),
            version,
            at: at(2),
            position: Position(1),
            author: Author::Host,
            happening,
        })
        .collect()
}

/// Takes a lease that nobody has had.
async fn take(store: &Store) -> Result<Fence, StoreError> {
    let holder = Holder {
        node: "a".to_owned(),
        life: "one".to_owned(),
    };
    let taken = store
        .lease_take(&scope(), LEASE, &holder, None, at(5))
        .await?;
    Ok(taken.expect("it is free"))
}

/// Something that commits here. Whatever must be there first is part of it: its
/// commits are cut off as well. There is no way to leave a place out.
#[expect(clippy::too_many_lines, reason = "an arm for each place")]
async fn act(store: &Store, point: CommitPoint) -> Result<(), StoreError> {
    match point {
        CommitPoint::AuditAppend => {
            store.audit_append(entry("test", 5)).await?;
        }
        CommitPoint::EnvelopeSweep | CommitPoint::StateSweep | CommitPoint::AuditSweep => {
            let keeps_nothing = Retention {
                journal: Duration::ZERO,
                series: Duration::ZERO,
                alerts: Duration::ZERO,
                incidents: Duration::ZERO,
                changes: Duration::ZERO,
                dead_letters: Duration::ZERO,
                audit: Duration::ZERO,
            };
            store.sweep(&scope(), &keeps_nothing, at(1_000)).await?;
        }
        CommitPoint::BundlePut => {
            let files = [("plugin.toml".to_owned(), b"schema = 1".to_vec())].into();
            store
                .bundle_put(&bundle(), &files, entry("plugin.install", 5))
                .await?;
        }
        CommitPoint::CorrelateCommit => {
            let correlated = CorrelateCommit {
                to: commit(0, 3, Vec::new()).to,
                states: vec![(
                    keeper(),
                    Blob {
                        media_type: "text/plain".to_owned(),
                        bytes: vec![1, 2, 3],
                    },
                )],
                ..CorrelateCommit::default()
            };
            store.correlate_commit(&scope(), &correlated).await?;
        }
        CommitPoint::EnvelopeAppend => {
            store.envelope_append(&scope(), arrivals(4, 600)).await?;
        }
        CommitPoint::EnvelopeRestore => {
            let restored = envelopes(store).await?;
            let elsewhere = ScopeName::new("elsewhere").expect("a name");
            store.envelope_restore(&elsewhere, restored).await?;
        }
        CommitPoint::JournalClose => {
            let elsewhere = ScopeName::new("elsewhere").expect("a name");
            let lost = [Range {
                first: Position(4),
                last: Position(9),
            }];
            store.journal_close(&elsewhere, Position(9), &lost).await?;
        }
        CommitPoint::GrantPut => store.grant_put(&grant(), entry("grant", 5)).await?,
        CommitPoint::GrantRevoke => {
            store.grant_put(&grant(), entry("grant", 5)).await?;
            store
                .grant_revoke(&keeper(), "kv", entry("revoke", 6))
                .await?;
        }
        CommitPoint::InstanceCreate => {
            store
                .instance_create(&instance("other"), entry("instance.create", 5))
                .await?;
        }
        CommitPoint::InstanceUpgrade => {
            let mut upgraded = instance("keeper");
            "{\"a\":1}".clone_into(&mut upgraded.config);
            store
                .instance_update(&upgraded, entry("instance.upgrade", 5))
                .await?;
        }
        CommitPoint::KvCommit => {
            let changes = ["seen", "new"].map(|key| KvChange {
                key: key.to_owned(),
                value: Some(vec![2]),
                if_version: None,
            });
            let written = store.kv_commit(&keeper(), &changes, 1_000).await?;
            assert!(matches!(written, KvCommit::Written(_)), "{written:?}");
        }
        CommitPoint::LeaseTake => {
            take(store).await?;
        }
        CommitPoint::LeaseRenew => {
            let fence = take(store).await?;
            let renewed = store.lease_renew(&scope(), LEASE, fence, at(6)).await?;
            assert!(renewed, "nobody else has it");
        }
        CommitPoint::LeaseRelease => {
            let fence = take(store).await?;
            store.lease_release(&scope(), LEASE, fence).await?;
        }
        CommitPoint::MembersMove => store.move_members().await?,
        CommitPoint::PollCommit => {
            let fetched = PollState {
                cursor: Some(vec![7]),
                pages: 1,
                supervisor: Some(failed()),
                ..PollState::default()
            };
            store
                .poll_commit(&scope(), &keeper(), 0, &fetched, arrivals(4, 2))
                .await?;
        }
        CommitPoint::ObserveCommit => {
            let mut observed = commit(3, 5, vec![fire("b", 4)]);
            observed.checkpoints = vec![Checkpoint {
                name: "telemetry".to_owned(),
                data: vec![7; 100],
            }];
            store.observe_commit(&scope(), &observed).await?;
        }
        CommitPoint::SettingPropose => {
            let value = store.setting_propose("test", "a value").await?;
            assert_eq!(value, "a value", "nobody has set it");
        }
        CommitPoint::SettingPut => store.setting_put("test", "a value").await?,
        CommitPoint::TokenCreate => {
            store
                .token_create(&token(), entry("token.create", 5))
                .await?;
        }
        CommitPoint::TokenRevoke => {
            store
                .token_create(&token(), entry("token.create", 5))
                .await?;
            store
                .token_revoke("abc", at(6), entry("token.revoke", 6))
                .await?;
        }
    }
    Ok(())
}

/// Which commits an act comes by, and what is on disk after each of them; the
/// first is before all.
async fn undisturbed(database: Database, point: CommitPoint) -> (Vec<CommitPoint>, Vec<String>) {
    let fresh = Fresh::open(database).await;
    prepare(&fresh, point).await.expect("prepares");
    let points = Arc::new(Mutex::new(Vec::new()));
    let contents = Arc::new(Mutex::new(vec![fresh.contents().await]));
    let databases = fresh.databases();
    let (seen, kept) = (Arc::clone(&points), Arc::clone(&contents));
    let watched = fresh.store.clone().watched(Arc::new(move |point, moment| {
        let (seen, kept) = (Arc::clone(&seen), Arc::clone(&kept));
        let databases = databases.clone();
        Box::pin(async move {
            if moment == CommitMoment::After {
                seen.lock().expect("unpoisoned").push(point);
                let contents = crate::contents::of(&databases).await;
                kept.lock().expect("unpoisoned").push(contents);
            }
        })
    }));
    act(&watched, point).await.expect("nothing is in its way");
    let points = points.lock().expect("unpoisoned").clone();
    let contents = contents.lock().expect("unpoisoned").clone();
    (points, contents)
}

async fn a_crash_at_any_commit_leaves_all_of_it_or_nothing(database: Database) {
    for point in CommitPoint::ALL {
        let (points, contents) = undisturbed(database, *point).await;
        assert!(points.contains(point), "the act never comes by {point}");
        let last = contents.last().expect("the first at least");
        for (number, passed) in points.iter().enumerate() {
            for moment in CommitMoment::ALL {
                let place = format!("{point}: {moment:?} commit {number}, {passed}");
                let mut fresh = Fresh::open(database).await;
                prepare(&fresh, *point).await.expect("prepares");
                let is_after = moment == CommitMoment::After;
                let crash = Crash::after(2 * number + usize::from(is_after));
                let watched = fresh.store.clone().watched(crash.watch());
                let done = crash.cut(act(&watched, *point)).await;
                assert!(done.is_none(), "{place}: it came to an end");
                drop(watched);
                fresh = fresh.reopen().await;
                let committed = number + usize::from(is_after);
                let expected = match point {
                    // Opening a store is to do that.
                    CommitPoint::MembersMove => last,
                    _ => &contents[committed],
                };
                assert_eq!(fresh.contents().await, *expected, "{place}");
                if committed == 0 || repeats(*point) {
                    act(&fresh.store, *point).await.expect("goes on");
                    let again = uncounted(&fresh.contents().await);
                    assert_eq!(again, uncounted(last), "{place}, and again");
                }
                verify(&fresh.store).await.expect("the audit log is intact");
            }
        }
    }
}

/// All but how often it was swept.
fn uncounted(contents: &str) -> String {
    let lines = contents
        .lines()
        .filter(|line| !line.contains("name=sweeps "));
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether it comes to the same if it is done again from wherever it was cut
/// off.
const fn repeats(point: CommitPoint) -> bool {
    matches!(
        point,
        CommitPoint::EnvelopeSweep | CommitPoint::StateSweep | CommitPoint::AuditSweep
    )
}

on_each_database!(a_crash_at_any_commit_leaves_all_of_it_or_nothing);
