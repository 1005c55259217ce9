//! Changes while payloads come in: whatever an operator does meanwhile, a
//! payload that was acknowledged becomes an alert, or is kept with the reason
//! why not; one that was not acknowledged leaves no trace.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::support::alerts::webhook;
use crate::support::server::{Server, Site};

const SENDERS: usize = 3;

/// How often the connector is configured anew, and switched off and on.
const CHANGES: usize = 4;

/// The most payloads of one sender, should changes take for ever.
const PAYLOADS_MAX: usize = 2_000;

/// What senders were told.
#[derive(Default)]
struct Told {
    /// Services whose alerts were acknowledged.
    acknowledged: BTreeSet<String>,
    /// Those that were refused.
    refused: BTreeSet<String>,
}

/// Sends one payload after the other until there are no more changes.
fn send(server: &Server, sender: usize, changes: &AtomicUsize) -> Told {
    let mut told = Told::default();
    for number in 0..PAYLOADS_MAX {
        if changes.load(Ordering::Relaxed) == CHANGES {
            break;
        }
        let service = format!("service-{sender}-{number}");
        let body = webhook("Down", &service, "firing").to_string();
        let answer = server.post("/hooks/alertmanager", &[], body.as_bytes());
        match answer.status {
            200..300 => told.acknowledged.insert(format!("service/{service}")),
            // While the connector is off, there is no such hook.
            404 => told.refused.insert(format!("service/{service}")),
            _ => panic!("{}: {}", answer.status, answer.text()),
        };
    }
    told
}

/// Changes what the senders send to.
fn change(server: &Server, changes: &AtomicUsize) {
    for number in 0..CHANGES {
        let severity = ["high", "low"][number % 2];
        let config = json!({"config": {"severity-default": severity}});
        server.put("PUT", "/instances/alertmanager/config", &config);
        server.wait_for_instance("alertmanager", "running");
        for act in ["disable", "enable"] {
            let path = format!("/instances/alertmanager/{act}");
            server.ask("POST", &path, None).expect_success();
        }
        server.wait_for_instance("alertmanager", "running");
        changes.store(number + 1, Ordering::Relaxed);
    }
}

#[test]
fn no_payload_is_lost_while_its_connector_is_changed() {
    let site = Site::new();
    let mut server = site.serve();
    let changes = AtomicUsize::new(0);
    let told: Vec<Told> = std::thread::scope(|scope| {
        let (server, changes) = (&server, &changes);
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| scope.spawn(move || send(server, sender, changes)))
            .collect();
        change(server, changes);
        senders
            .into_iter()
            .map(|sender| sender.join().expect("it is answered"))
            .collect()
    });
    server.wait_until_worked();

    let all = |part: fn(&Told) -> &BTreeSet<String>| -> BTreeSet<String> {
        told.iter().flat_map(|told| part(told).clone()).collect()
    };
    let (acknowledged, refused) = (all(|told| &told.acknowledged), all(|told| &told.refused));
    assert!(!acknowledged.is_empty(), "nothing was sent");
    let alerts: BTreeSet<String> = server
        .list("/alerts?origin=prometheus")
        .iter()
        .map(|alert| alert["entities"][0].as_str().expect("a text").to_owned())
        .collect();
    let letters: BTreeSet<String> = server
        .list("/dead-letters")
        .iter()
        .map(|letter| {
            let kept = server.get(&format!("/envelopes/{}", letter["position"]));
            let body = kept["body"]["text"].as_str().expect("a text").to_owned();
            let body: serde_json::Value = serde_json::from_str(&body).expect("what was sent");
            let service = body["alerts"][0]["labels"]["service"].as_str();
            format!("service/{}", service.expect("a text"))
        })
        .collect();
    assert!(alerts.is_disjoint(&letters), "one or the other");
    let kept: BTreeSet<String> = alerts.union(&letters).cloned().collect();
    assert_eq!(kept, acknowledged);
    assert!(kept.is_disjoint(&refused));
    server.assert_serves();
}
