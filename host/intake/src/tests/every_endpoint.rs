//! What holds wherever a request comes in: what is wrong with it is said in
//! the sender's words, nothing is stored, and the next one is served.

use axum::http::{Method, StatusCode};

use super::bench::{Bench, gzip, post, snappy};
use crate::endpoint::Endpoint;
use crate::formats::otlp::Encoding;
use crate::formats::write;
use crate::limits::ListenerLimits;
use crate::tests::bench::MemoryJournal;

/// An endpoint, and a request that it takes.
struct Case {
    endpoint: Endpoint,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: Vec<u8>,
    dialect: &'static str,
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const PROTOBUF: &[(&str, &str)] = &[("content-type", "application/x-protobuf")];
const REMOTE_WRITE: &[(&str, &str)] = &[
    ("content-type", "application/x-protobuf"),
    ("content-encoding", "snappy"),
];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (format, content_type, body) in crate::formats::otlp::tests::samples() {
        let (endpoint, path) = match format.to_string().as_str() {
            "otlp-metrics" => (Endpoint::OtlpMetrics, "/v1/metrics"),
            "otlp-logs" => (Endpoint::OtlpLogs, "/v1/logs"),
            _ => (Endpoint::OtlpTraces, "/v1/traces"),
        };
        let encoding = Encoding::of_content_type(content_type).expect("one of two");
        let (headers, dialect) = match encoding {
            Encoding::Json => (JSON, "application/json"),
            Encoding::Protobuf => (PROTOBUF, "application/x-protobuf"),
        };
        cases.push(Case {
            endpoint,
            path,
            headers,
            body,
            dialect,
        });
    }
    cases.push(Case {
        endpoint: Endpoint::RemoteWrite,
        path: "/api/v1/write",
        headers: REMOTE_WRITE,
        body: snappy(&crate::formats::remote_write::tests::sample()),
        dialect: "application/problem+json",
    });
    cases.push(Case {
        endpoint: Endpoint::Alerts,
        path: "/api/v2/alerts",
        headers: JSON,
        body: br#"[{"labels":{"alertname":"Down"}}]"#.to_vec(),
        dialect: "application/json",
    });
    cases.push(Case {
        endpoint: Endpoint::Hook,
        path: "/hooks/deploys",
        headers: JSON,
        body: b"{\"any\":\"thing\"}".to_vec(),
        dialect: "application/problem+json",
    });
    cases
}

impl Case {
    /// Sends a body with other headers than it should have.
    async fn refused(
        &self,
        bench: &Bench,
        headers: &[(&str, &str)],
        body: Vec<u8>,
        outcome: &'static str,
        status: u16,
    ) {
        let before = bench.metrics.requests(self.endpoint, outcome);
        let answer = bench.post(self.path, headers, body).await;
        let place = format!("{} {headers:?}: {}", self.path, answer.text());
        assert_eq!(answer.status.as_u16(), status, "{place}");
        assert!(!answer.body.is_empty(), "{place}");
        let counted = bench.metrics.requests(self.endpoint, outcome);
        assert_eq!(counted, before + 1, "{place}");
        if headers == self.headers {
            assert_eq!(answer.header("content-type"), self.dialect, "{place}");
        }
    }

    async fn taken(&self, bench: &Bench) {
        let before = bench.stored().len();
        let answer = bench.post(self.path, self.headers, self.body.clone()).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        assert_eq!(bench.stored().len(), before + 1);
    }

    fn is_compressed(&self) -> bool {
        self.endpoint == Endpoint::RemoteWrite
    }

    fn is_read(&self) -> bool {
        self.endpoint != Endpoint::Hook
    }
}

#[tokio::test]
async fn what_is_taken_is_stored_before_the_answer() {
    let bench = Bench::new();
    for case in cases() {
        case.taken(&bench).await;
    }
}

#[tokio::test]
async fn damaged_bodies_are_malformed() {
    let bench = Bench::new();
    for case in cases().iter().filter(|case| case.is_read()) {
        let half = case.body[..case.body.len() / 2].to_vec();
        for body in [half, b"\xff\xff\xff\xff".to_vec(), b"{".to_vec()] {
            case.refused(&bench, case.headers, body, "malformed", 400)
                .await;
        }
    }
    assert_eq!(bench.stored(), []);
    for case in cases() {
        case.taken(&bench).await;
    }
}

#[tokio::test]
async fn wrong_compression_is_malformed() {
    let bench = Bench::new();
    for case in cases() {
        let good = case.body.clone();
        if case.is_compressed() {
            case.refused(&bench, case.headers, gzip(&good), "malformed", 400)
                .await;
            continue;
        }
        let with_gzip = [case.headers, &[("content-encoding", "gzip")]].concat();
        let zipped = gzip(&good);
        case.refused(&bench, &with_gzip, good, "malformed", 400)
            .await;
        let half = zipped[..zipped.len() / 2].to_vec();
        case.refused(&bench, &with_gzip, half, "malformed", 400)
            .await;
        assert_eq!(bench.stored(), []);
        let answer = bench.post(case.path, &with_gzip, zipped).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        let stored = bench.journal.batches.lock().expect("unpoisoned").pop();
        assert_eq!(stored.expect("a batch")[0].body, case.body);
    }
}

#[tokio::test]
async fn unknown_encodings_and_types_are_named() {
    let bench = Bench::new();
    for case in cases() {
        let types = if case.is_compressed() { 2 } else { 1 };
        for encoding in ["br", "gzip, gzip", "zstd"] {
            let headers = [&case.headers[..1], &[("content-encoding", encoding)]].concat();
            case.refused(&bench, &headers, case.body.clone(), "media-type", 415)
                .await;
        }
        if !case.is_read() {
            continue;
        }
        let encoding = &case.headers[1..types];
        for content_type in ["text/plain", "application/json2", ""] {
            let headers = [&[("content-type", content_type)], encoding].concat();
            case.refused(&bench, &headers, case.body.clone(), "media-type", 415)
                .await;
        }
        case.refused(&bench, encoding, case.body.clone(), "media-type", 415)
            .await;
    }
    assert_eq!(bench.stored(), []);
}

#[tokio::test]
async fn oversized_bodies_and_bombs_are_too_large() {
    let limits = ListenerLimits {
        body_bytes_max: 100_000,
        decoded_body_bytes_max: 2 << 20,
        decoding_ratio_max: 30,
        ..ListenerLimits::default()
    };
    let bench = Bench::with(limits, MemoryJournal::default());
    let zeros = vec![b' '; 8 << 20];
    for case in cases() {
        let long = vec![b' '; 100_001];
        case.refused(&bench, case.headers, long.clone(), "too-large", 413)
            .await;
        let (bomb, headers) = if case.is_compressed() {
            // Claims 2 GiB.
            let mut bomb = Vec::new();
            write::varint(&mut bomb, 1 << 31);
            (bomb, case.headers.to_vec())
        } else {
            let headers = [case.headers, &[("content-encoding", "gzip")]].concat();
            (gzip(&zeros), headers)
        };
        assert!(bomb.len() < 100_000);
        case.refused(&bench, &headers, bomb, "too-large", 413).await;
        // Says at once that it is too long, and does not have to send it.
        let stated = [case.headers, &[("content-length", "100001")]].concat();
        case.refused(&bench, &stated, Vec::new(), "too-large", 413)
            .await;
    }
    assert_eq!(bench.stored(), []);
}

#[tokio::test]
async fn who_is_not_known_is_not_let_in() {
    let bench = Bench::new();
    for case in cases() {
        for authorisation in ["Bearer wrong", "Basic d3Jvbmc6d3Jvbmc=", "none"] {
            let headers = [case.headers, &[("authorization", authorisation)]].concat();
            let request = post(case.path, &headers, case.body.clone());
            let answer = bench.send(request).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
            assert_eq!(answer.header("content-type"), case.dialect);
        }
        assert!(bench.metrics.requests(case.endpoint, "unauthorised") >= 3);
    }
    assert_eq!(bench.stored(), []);
}

#[tokio::test]
async fn other_methods_and_addresses_are_named() {
    let bench = Bench::new();
    for case in cases() {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let mut request = post(case.path, case.headers, case.body.clone());
            *request.method_mut() = method;
            let answer = bench.send(request).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(answer.header("allow"), "POST");
            assert!(answer.text().contains("POST"), "{}", answer.text());
        }
    }
    for path in ["/", "/v1/metric", "/hooks/", "/hooks/a/b", "/api/v1/write/"] {
        let answer = bench.post(path, JSON, "{}").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text().contains("/v1/metrics"), "{}", answer.text());
    }
    assert_eq!(bench.stored(), []);
}

#[tokio::test]
async fn health_needs_no_token() {
    let bench = Bench::new();
    let mut request = post("/healthz", &[("authorization", "none")], "");
    *request.method_mut() = Method::GET;
    let answer = bench.send(request).await;
    assert_eq!(
        (answer.status, answer.text()),
        (StatusCode::OK, "ok\n".to_owned())
    );
}
