//! Traces of Faultline's own work, as a collector sees them.

use serde_json::{Value, json};

use crate::support::alerts::{firing, webhook};
use crate::support::bundles::built;
use crate::support::collector::{Collector, Span};
use crate::support::programs::free_port;
use crate::support::server::{CONFIG, Server, Site};
use crate::support::wait::eventually;

/// Of the sender's own trace.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SENDER_SPAN: &str = "00f067aa0ba902b7";

/// What nobody is to find in a trace.
const COLLECTOR_SECRET: &str = "Bearer of-the-collector";

/// Number of OTLP's `SpanKind`.
const SERVER: i32 = 2;

/// A site whose traces go to a collector.
fn site(endpoint: &str, more: &str) -> Site {
    Site::with_config(&format!(
        "{CONFIG}\n[own-traces]\nendpoint = \"{endpoint}\"\n{more}"
    ))
}

/// The spans of a trace, once all of these are there.
fn trace_once(collector: &Collector, trace: &str, names: &[&str]) -> Vec<Span> {
    eventually("the trace is there", || {
        let mut spans = collector.spans();
        spans.retain(|span| span.trace() == trace);
        let is_there = |name: &&str| spans.iter().any(|span| span.name() == *name);
        if names.iter().all(is_there) {
            return Ok(spans);
        }
        let seen: Vec<&str> = spans.iter().map(Span::name).collect();
        Err(format!("{seen:?}"))
    })
}

/// The span with this name and attribute.
#[track_caller]
fn one<'a>(spans: &'a [Span], name: &str, key: &str, value: &str) -> &'a Span {
    let mut found = spans
        .iter()
        .filter(|span| span.name() == name && span.said(key) == value);
    match (found.next(), found.next()) {
        (Some(span), None) => span,
        _ => panic!("not one {name} with {key} {value}: {spans:#?}"),
    }
}

/// A number of the page of metrics.
fn metric(server: &Server, row: &str) -> u64 {
    let page = server.metrics();
    let found = page.lines().find_map(|line| line.strip_prefix(row));
    found.map_or(0, |value| value.trim().parse().expect("a number"))
}

fn spans_that(server: &Server, outcome: &str) -> u64 {
    let row = format!("faultline_own_traces_spans_total{{outcome=\"{outcome}\"}}");
    metric(server, &row)
}

/// Installs a plugin of the tests' own.
fn install(site: &Site, bundle: &str, instance: &str, config: &Value) {
    let file = site.scratch(&format!("{instance}.json"));
    std::fs::write(&file, config.to_string()).expect("a file");
    site.commands().text(&[
        "plugin",
        "install",
        &built(bundle).display().to_string(),
        "--as",
        instance,
        "--instance-config",
        &file.display().to_string(),
    ]);
}

/// How often something stands in the server's log.
fn said(site: &Site, what: &str) -> usize {
    let log = std::fs::read_to_string(site.scratch("server.log")).expect("a log");
    log.lines().filter(|line| line.contains(what)).count()
}

/// Fails if a request has anything of the payload, of a sender or of a secret in
/// it, or anything that the environment wanted.
fn assert_nothing_hidden(collector: &Collector, server: &Server) {
    for received in collector.received() {
        let head = &received.head;
        assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
        assert!(head.contains(COLLECTOR_SECRET), "{head}");
        assert!(!head.contains("x-of-others"), "{head}");
        let body = String::from_utf8_lossy(&received.body);
        for hidden in [
            COLLECTOR_SECRET,
            &server.ingest_token,
            &server.admin_token,
            "DiskWillFill",
            "warehouse-of-secrets",
            "of-others",
            "/metrics",
            "/readyz",
        ] {
            assert!(!body.contains(hidden), "{hidden} in {body}");
        }
    }
}

#[test]
fn an_alert_is_one_trace_from_its_sender_to_its_incident() {
    let collector = Collector::open();
    let site = site(
        &collector.url(),
        "headers = { authorization = \"env:FAULTLINE_SECRET_COLLECTOR\" }\n",
    );
    let mut command = site.serve_command();
    command
        .env("FAULTLINE_SECRET_COLLECTOR", COLLECTOR_SECRET)
        // For others: nothing of it is heeded.
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-of-others=yes")
        .env("OTEL_TRACES_SAMPLER", "always_off")
        .env("OTEL_SERVICE_NAME", "others");
    let server = site.serve_with(&mut command);
    server.wait_for_instance("alertmanager", "running");
    let parent = format!("00-{TRACE}-{SENDER_SPAN}-01");
    let headers = [
        ("content-type", "application/json"),
        ("traceparent", parent.as_str()),
        ("tracestate", "vendor=of-others"),
    ];
    let body = webhook("DiskWillFill", "warehouse-of-secrets", "firing").to_string();
    server
        .post("/hooks/alertmanager", &headers, body.as_bytes())
        .expect_success();
    let names = [
        "POST /hooks/{source}",
        "commit envelope.append",
        "observe round",
        "call start",
        "call decode",
        "commit observe.commit",
        "correlate round",
        "call correlate",
        "commit correlate.commit",
    ];
    let spans = trace_once(&collector, TRACE, &names);

    // Each is a part of what brought it about.
    let request = one(&spans, names[0], "http.request.method", "POST");
    assert_eq!(request.parent(), SENDER_SPAN);
    assert_eq!(request.span.kind, SERVER);
    assert_eq!(request.said("http.route"), "/hooks/{source}");
    assert_eq!(request.said("http.response.status_code"), "202");
    assert_eq!(request.said("faultline.outcome"), "accepted");
    let append = one(&spans, names[1], "faultline.commit", "envelope.append");
    assert_eq!(append.parent(), request.id());
    assert_eq!(append.said("faultline.envelopes"), "1");
    let observe = one(&spans, names[2], "faultline.stage", "observe");
    assert_eq!(observe.parent(), append.id());
    assert_eq!(observe.said("faultline.transitions"), "1");
    let start = one(
        &spans,
        names[3],
        "faultline.plugin.instance",
        "alertmanager",
    );
    let decode = one(
        &spans,
        names[4],
        "faultline.plugin.instance",
        "alertmanager",
    );
    for call in [start, decode] {
        assert_eq!(call.parent(), observe.id());
        assert_eq!(call.said("faultline.outcome"), "ok");
        assert_eq!(call.said("faultline.plugin.name"), "faultline/alertmanager");
        assert!(!call.is_error());
    }
    let observed = one(&spans, names[5], "faultline.commit", "observe.commit");
    assert_eq!(observed.parent(), observe.id());
    let correlate = one(&spans, names[6], "faultline.stage", "correlate");
    assert_eq!(correlate.parent(), observe.id());
    let call = one(&spans, names[7], "faultline.plugin.function", "correlate");
    assert_eq!(call.parent(), correlate.id());
    let correlated = one(&spans, names[8], "faultline.commit", "correlate.commit");
    assert_eq!(correlated.parent(), correlate.id());

    // Who it comes from.
    assert_eq!(request.of_resource("service.name"), "faultline");
    assert!(!request.of_resource("service.version").is_empty());
    assert!(!request.of_resource("service.instance.id").is_empty());
    assert_eq!(request.of_resource("telemetry.sdk.language"), "rust");

    // What the test itself asked of the API is traced too; what a scraper asks
    // is not. Nothing that is secret, or that others wrote, is in any of it.
    let api = eventually("a request to the API is traced", || {
        let spans = collector.spans();
        let found = spans.into_iter().find(|span| {
            span.name().starts_with("GET /api/v1/instances/{") && span.parent().is_empty()
        });
        found.ok_or_else(|| "none".to_owned())
    });
    assert_eq!(api.said("http.response.status_code"), "200");
    assert_nothing_hidden(&collector, &server);
    server.stop(&site);
    assert_eq!(said(&site, COLLECTOR_SECRET), 0);
    // What was done last is sent last: the end waits for it.
    let last = collector.spans().len();
    assert!(last >= spans.len(), "{last}");
}

#[test]
fn a_poll_and_an_act_of_a_person_are_traces_too() {
    let collector = Collector::open();
    let site = site(&collector.url(), "");
    let server = site.serve();
    install(&site, "keeper", "keeper", &json!({"keys": 3}));
    site.commands()
        .text(&["plugin", "grant", "keeper", "state"]);
    let settings = json!({"settings": {"poll_interval": 1}});
    server.put("PUT", "/instances/keeper/settings", &settings);
    // Its first polls may be refused: it was not granted yet what it needs.
    let poll = eventually("a poll is traced", || {
        let spans = collector.spans();
        let found = spans
            .into_iter()
            .find(|span| span.name() == "poll round" && span.said("faultline.envelopes") == "3");
        found.ok_or_else(|| "none".to_owned())
    });
    assert_eq!(poll.parent(), "", "nothing brought it about");
    assert_eq!(poll.said("faultline.plugin.instance"), "keeper");
    let names = ["call poll", "commit poll.commit", "observe round"];
    let spans = trace_once(&collector, &poll.trace(), &names);
    for name in &names[..2] {
        let span = one(&spans, name, "error.type", "");
        assert_eq!(span.parent(), poll.id(), "{name}");
    }
    let commit = one(&spans, names[1], "faultline.commit", "poll.commit");
    let observe = one(&spans, names[2], "faultline.stage", "observe");
    assert_eq!(observe.parent(), commit.id());

    // What comes in together is one trace: the act is to come alone.
    let disabled = server.ask("POST", "/instances/keeper/disable", None);
    disabled.expect_success();
    server.post_json("/api/v2/alerts", &json!([firing("Down", "somewhere")]));
    let id = eventually("there is an incident", || {
        let incidents = server.list("/incidents");
        let first = incidents.first().ok_or("none")?;
        Ok(first["id"].as_str().expect("an id").to_owned())
    });
    let path = format!("/incidents/{id}/acknowledge");
    server.ask("POST", &path, None).expect_success();
    let act = "POST /api/v1/incidents/{id}/acknowledge";
    let request = eventually("the act is traced", || {
        let spans = collector.spans();
        let found = spans.into_iter().find(|span| span.name() == act);
        found.ok_or_else(|| "none".to_owned())
    });
    let names = ["commit envelope.append", "observe round", "correlate round"];
    let spans = trace_once(&collector, &request.trace(), &names);
    let mut above = request.id();
    for name in names {
        let span = one(&spans, name, "error.type", "");
        assert_eq!(span.parent(), above, "{name}");
        above = span.id();
    }
    server.stop(&site);
}

#[test]
fn a_guest_that_is_stopped_says_at_which_limit() {
    let collector = Collector::open();
    let site = site(&collector.url(), "");
    let server = site.serve();
    install(&site, "hostile", "loop", &json!({"behaviour": "loop"}));
    server.wait_for_instance("loop", "running");
    server
        .post("/hooks/loop", &[], b"for ever")
        .expect_success();
    let call = eventually("the call is traced", || {
        let spans = collector.spans();
        let found = spans.into_iter().find(|span| {
            span.name() == "call decode" && span.said("faultline.plugin.instance") == "loop"
        });
        found.ok_or_else(|| "none".to_owned())
    });
    assert_eq!(call.said("faultline.outcome"), "limit.cpu");
    assert_eq!(call.said("faultline.limit"), "limit.cpu");
    assert_eq!(call.said("error.type"), "limit.cpu");
    assert!(call.is_error(), "{call:?}");
}

#[test]
fn a_collector_that_is_not_there_costs_nothing_but_the_spans() {
    let port = free_port();
    let site = site(&format!("http://127.0.0.1:{port}"), "");
    let mut server = site.serve();
    for service in ["one", "two", "three"] {
        server.post_json("/api/v2/alerts", &json!([firing("Down", service)]));
        // A batch for each, or more: it is said once all the same.
        let before = spans_that(&server, "failed");
        eventually("what cannot be sent is counted", || {
            let failed = spans_that(&server, "failed");
            (failed > before).then_some(()).ok_or(failed.to_string())
        });
    }
    server.wait_until_worked();
    assert_eq!(server.list("/alerts").len(), 3);
    assert_eq!(said(&site, "own traces cannot be sent"), 1);
    assert_eq!(spans_that(&server, "sent"), 0);
    server.assert_serves();

    let collector = Collector::open_at(port);
    server.post_json("/api/v2/alerts", &json!([firing("Down", "four")]));
    eventually("they are sent again", || {
        let sent = spans_that(&server, "sent");
        (sent > 0).then_some(()).ok_or(sent.to_string())
    });
    assert!(!collector.spans().is_empty());
    server.stop(&site);
    assert_eq!(said(&site, "are sent to http://127.0.0.1"), 1);
}

#[test]
fn a_collector_that_does_not_answer_holds_up_nobody() {
    let collector = Collector::open();
    collector.mute();
    let site = site(&collector.url(), "queue-max = 3\ntimeout = \"1m\"\n");
    let mut server = site.serve();
    eventually(
        "the collector has a request that it does not answer",
        || {
            (collector.held() > 0)
                .then_some(())
                .ok_or("none".to_owned())
        },
    );
    for number in 0..5 {
        let alert = firing("Down", &format!("service-{number}"));
        server.post_json("/api/v2/alerts", &json!([alert]));
    }
    server.wait_until_worked();
    assert_eq!(server.list("/alerts").len(), 5);
    let dropped = spans_that(&server, "queue-full");
    assert!(dropped > 0, "{dropped}");
    assert!(metric(&server, "faultline_own_traces_waiting") <= 3);
    server.assert_serves();
    // Nor does the end wait for it for longer than it may.
    server.stop(&site);
    assert_eq!(said(&site, "the last of the own traces were not sent"), 1);
}

#[test]
fn one_that_watches_itself_does_not_trace_that() {
    let port = free_port();
    let config = CONFIG.replace(
        "[intake]\nlisten = \"127.0.0.1:0\"",
        &format!("[intake]\nlisten = \"127.0.0.1:{port}\"\nrequire-token = false"),
    );
    assert_ne!(config, CONFIG);
    let site = Site::with_config(&format!(
        "{config}\n[own-traces]\nendpoint = \"http://127.0.0.1:{port}\"\n"
    ));
    let server = site.serve();
    server.post_json("/api/v2/alerts", &json!([firing("Down", "somewhere")]));
    let received =
        |server: &Server| metric(server, "faultline_source_envelopes_total{source=\"otlp\"}");
    let position = |server: &Server| metric(server, "faultline_stage_position{stage=\"observe\"}");
    eventually("it sees itself", || {
        let received = received(&server);
        (received > 0).then_some(()).ok_or(received.to_string())
    });
    // From here on only the page of metrics is asked for, which has no trace.
    // Time is noted every few seconds, and spans are sent more often than that:
    // once nothing comes in over several notes, nothing brings itself about.
    let mut before = (received(&server), position(&server));
    eventually("it falls silent", || {
        let now = (received(&server), position(&server));
        if now.0 != before.0 {
            before = now;
        }
        let silent_for = now.1 - before.1;
        (silent_for >= 3)
            .then_some(())
            .ok_or(silent_for.to_string())
    });
    // What it measures of that comes when the window of its spans is over, and
    // that may take until it counts as silent.
    eventually("it is a service like any other", || {
        let series = server.list("/series?entity=service/faultline");
        (!series.is_empty())
            .then_some(())
            .ok_or("no series".to_owned())
    });
}
