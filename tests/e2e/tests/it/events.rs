//! A pipeline with the SDK of CloudEvents for Python: what it tells becomes
//! changes, however it is sent.

use std::process::Command;

use serde_json::Value;

use crate::support::programs::{of_package, python};
use crate::support::server::Site;
use crate::support::wait::eventually;

#[test]
fn events_are_taken_in_three_modes() {
    let site = Site::new();
    let server = site.serve();
    server.wait_for_instance("cloudevents", "running");
    for path in ["/events", "/hooks/cloudevents"] {
        let output = Command::new(python())
            .arg(of_package("applications/deployments.py"))
            .arg(format!("http://{}{path}", server.intake.authority()))
            .arg(&server.ingest_token)
            .output()
            .expect("python can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{path}: {said}");
    }
    // Both ways lead to one source: what came twice is one change.
    let changes = eventually("all deployments are changes", || {
        let changes = server.list("/changes?entity=service/shop");
        let titles: Vec<&Value> = changes.iter().map(|change| &change["title"]).collect();
        let all = ["shop 3.1", "shop 3.0", "shop 2.0", "shop 1.0"];
        let mut sorted: Vec<&str> = titles.iter().filter_map(|title| title.as_str()).collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        (sorted == all)
            .then_some(changes.clone())
            .ok_or_else(|| format!("there are {titles:?}"))
    });
    for change in changes {
        assert_eq!(change["attributes"]["subject"], "Größe", "{change}");
    }
    assert!(server.list("/dead-letters").is_empty());
}
