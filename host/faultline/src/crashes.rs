//! The bundled plugins at work, as components in the sandbox, and a crash at a
//! commit: what they find is what they find without one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use faultline_domain::envelope::{Arrival, Format, Position};
use faultline_domain::id::{InstanceName, ScopeName, SourceName};
use faultline_domain::time::Timestamp;
use faultline_pipeline::{CorrelateStage, Counters, ObserveStage, PipelineSettings, Plugins};
use faultline_store::{SourceRecord, StageName, Store};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::config::Config;
use crate::folder::{Folder, Taken};
use crate::node::Node;

#[path = "../../store/tests/it/crash.rs"]
mod crash;

use crash::Crash;

/// When the story begins, in seconds.
const BEGIN: u64 = 1_700_000_000;

/// Every so many sides of commits there is a crash: each costs starting all
/// detectors again.
const STRIDE: usize = 5;

fn arrival(secs: u64, format: Format, body: &Value) -> Arrival {
    Arrival {
        source: SourceName::new("test").expect("a name"),
        format,
        content_type: "application/json".to_owned(),
        headers: Vec::new(),
        body: body.to_string().into_bytes(),
        received: Timestamp::from_secs(BEGIN + secs),
    }
}

fn webhook(secs: u64, service: &str, status: &str) -> Arrival {
    let started = Timestamp::from_secs(BEGIN + 100).to_string();
    let ended = match status {
        "resolved" => Timestamp::from_secs(BEGIN + secs).to_string(),
        _ => "0001-01-01T00:00:00Z".to_owned(),
    };
    let body = json!({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": status,
        "receiver": "faultline", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "alerts": [{
            "status": status,
            "labels": {"alertname": "Down", "service": service, "severity": "critical"},
            "annotations": {}, "startsAt": started, "endsAt": ended,
            "generatorURL": "", "fingerprint": "0",
        }],
    });
    let connector = InstanceName::new("alertmanager").expect("a name");
    arrival(secs, Format::Connector(connector), &body)
}

fn latency(secs: u64, value: f64) -> Arrival {
    let service = json!([{"key": "service.name", "value": {"stringValue": "shop"}}]);
    let nanos = format!("{}000000000", BEGIN + secs);
    let points = json!([{"timeUnixNano": nanos, "asDouble": value}]);
    let body = json!({"resourceMetrics": [{
        "resource": {"attributes": service},
        "scopeMetrics": [{"metrics": [{"name": "latency", "gauge": {"dataPoints": points}}]}],
    }]});
    arrival(secs, Format::OtlpMetrics, &body)
}

/// What comes in, and what of it at once.
fn story() -> Vec<Vec<Arrival>> {
    let minutes = (0..8).map(|minute| {
        (0..10)
            .map(|number| {
                let secs = minute * 60 + number * 6;
                let wobble = f64::from(u32::try_from(number % 3).expect("small"));
                latency(secs, if minute == 6 { 500.0 } else { 10.0 + wobble })
            })
            .collect()
    });
    let mut story: Vec<Vec<Arrival>> = minutes.collect();
    story[2].push(webhook(179, "shop", "firing"));
    story[3].push(webhook(239, "orders", "firing"));
    story[5].push(webhook(359, "shop", "resolved"));
    story.push(vec![arrival(4_000, Format::Clock, &Value::Null)]);
    story
}

/// One life of a process after another, over one folder.
struct Lives {
    plugins: Plugins,
    folder: TempDir,
    done: usize,
    head: Position,
}

#[derive(Debug, PartialEq)]
struct Everything {
    history: String,
    sources: Vec<SourceRecord>,
    head: Position,
    observed: Position,
}

impl Lives {
    fn new(plugins: &Plugins) -> Self {
        Self {
            plugins: plugins.clone(),
            folder: tempfile::tempdir().expect("a folder"),
            done: 0,
            head: Position::START,
        }
    }

    async fn open(&self) -> Store {
        Store::open(self.folder.path()).await.expect("opens")
    }

    /// Until the crash. Whether it came to the end.
    async fn live(&mut self, crash: &Arc<Crash>) -> bool {
        let store = self.open().await.watched(crash.watch());
        let counters = Arc::new(Counters::default());
        let settings = PipelineSettings::default();
        let (plugins, scope) = (&self.plugins, ScopeName::default_scope());
        let mut observe = ObserveStage::new(
            store.clone(),
            scope.clone(),
            settings.observe,
            plugins.clone(),
            Arc::clone(&counters),
        );
        let mut correlate = CorrelateStage::new(
            store.clone(),
            scope.clone(),
            settings.correlate,
            plugins.clone(),
            counters,
        );
        let story = story();
        let mut is_over = true;
        while let Some(together) = story.get(self.done) {
            let head = store.journal_head(&scope).await.expect("reads").position;
            let work = async {
                if head == self.head {
                    let appended = store.envelope_append(&scope, together.clone()).await;
                    appended.expect("appends");
                }
                observe.drain().await.expect("observes");
                correlate.drain().await.expect("correlates");
            };
            if crash.cut(work).await.is_none() {
                is_over = false;
                break;
            }
            self.done += 1;
            self.head = store.journal_head(&scope).await.expect("reads").position;
        }
        drop((observe, correlate));
        store.close().await;
        is_over
    }

    async fn everything(&self) -> Everything {
        let (store, scope) = (self.open().await, ScopeName::default_scope());
        let observed = store.stage_position(&scope, StageName::Observe).await;
        let everything = Everything {
            history: store
                .history_digest(&scope)
                .await
                .expect("reads")
                .to_string(),
            sources: store.source_list(&scope).await.expect("reads"),
            head: store.journal_head(&scope).await.expect("reads").position,
            observed: observed.expect("reads").position,
        };
        let (_, alerts) = store.alert_count(&scope).await.expect("counts");
        assert!(alerts >= 2, "the connector finds alerts: {alerts}");
        store.close().await;
        everything
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_find_the_same_after_a_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let Taken::Ours(taken) = Folder::take(folder.path()).expect("can be had") else {
        panic!("nobody else has it");
    };
    let mut config = Config::default();
    folder.path().clone_into(&mut config.data.folder);
    let node = Node::open(config, taken).await.expect("opens");
    let reload = node.host.reload().await.expect("loads");
    node.host.loaded(&reload).await;
    let plugins = node.host.plugins().borrow().plugins.clone();
    assert!(
        !plugins.detectors.is_empty() && !plugins.correlators.is_empty(),
        "built without the bundled plugins: `cargo xtask plugins` builds them"
    );
    let never = Crash::after(usize::MAX);
    let mut undisturbed = Lives::new(&plugins);
    assert!(undisturbed.live(&never).await);
    let expected = undisturbed.everything().await;
    for number in (0..never.passed.load(Ordering::SeqCst)).step_by(STRIDE) {
        let mut lives = Lives::new(&plugins);
        assert!(
            !lives.live(&Crash::after(number)).await,
            "no crash at {number}"
        );
        assert!(lives.live(&Crash::after(usize::MAX)).await);
        assert_eq!(lives.everything().await, expected, "a crash at {number}");
    }
    node.close().await;
}
