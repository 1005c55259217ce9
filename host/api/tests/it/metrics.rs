//! Metrics: the API's own and those of the rest of the process, on one page.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, header};
use faultline_api::StageStatus;
use faultline_domain::access::Role;
use faultline_domain::envelope::Position;

use crate::{Bench, at, request};

/// What the stages count about themselves, as the rest of the process says it.
const OF_STAGES: &str = "\
# HELP faultline_stage_lag_seconds How far behind.
# TYPE faultline_stage_lag_seconds gauge
# UNIT faultline_stage_lag_seconds seconds
faultline_stage_lag_seconds{stage=\"observe\"} 1.5
";

/// A metric that is described twice is no page that Prometheus' own check takes.
#[tokio::test]
async fn each_metric_stands_on_the_page_once() {
    let bench = Bench::open().await;
    bench.machinery.tell(|told| {
        OF_STAGES.clone_into(&mut told.metrics);
        told.stages = vec![StageStatus {
            name: "observe".to_owned(),
            position: Position(1),
            clock: at(1),
            reads_journal: true,
            fault: None,
        }];
    });
    for accept in ["*/*", "application/openmetrics-text"] {
        let mut request = request(Method::GET, "/metrics", Role::Viewer, Body::empty());
        let accept = accept.parse().expect("a value");
        request.headers_mut().insert(header::ACCEPT, accept);
        let text = bench.send(request).await.text;
        assert!(text.contains("faultline_stage_lag_seconds{stage=\"observe\"} 1.5\n"));
        for head in ["# HELP ", "# TYPE ", "# UNIT "] {
            let mut seen = BTreeSet::new();
            for line in text.lines().filter_map(|line| line.strip_prefix(head)) {
                let name = line.split(' ').next().unwrap_or_default();
                assert!(seen.insert(name), "{head}{name} stands there twice");
            }
        }
        assert_eq!(text.ends_with("# EOF\n"), text.contains("# UNIT "));
    }
}
