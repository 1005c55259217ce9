//! Answers, in the words of the one who asked: OTLP clients expect messages of
//! OTLP, Alertmanager's clients a JSON string, and everybody else problem
//! details (RFC 9457).

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use faultline_domain::fault::Fault;
use serde_json::json;

use crate::endpoint::{Endpoint, content_type};
use crate::formats::Checked;
use crate::formats::otlp::Encoding;
use crate::formats::write;
use crate::refused::{Reason, Refused};

/// Reasons that are told to a sender; the rest are counted.
const REASONS_TOLD_MAX: usize = 10;

/// How to speak to a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Otlp(Encoding),
    Alertmanager,
    Problem,
}

impl Dialect {
    pub(crate) fn of(endpoint: Endpoint, headers: &HeaderMap) -> Self {
        match endpoint {
            Endpoint::OtlpMetrics | Endpoint::OtlpLogs | Endpoint::OtlpTraces => {
                let encoding = Encoding::of_content_type(&content_type(headers));
                Dialect::Otlp(encoding.unwrap_or(Encoding::Json))
            }
            Endpoint::Alerts => Dialect::Alertmanager,
            Endpoint::RemoteWrite | Endpoint::Events | Endpoint::Hook => Dialect::Problem,
        }
    }
}

/// The answer to a request that was taken, of which some items may have been
/// rejected. Hooks are taken unread.
pub(crate) fn accepted(
    endpoint: Endpoint,
    dialect: Dialect,
    checked: Option<&Checked>,
) -> Response {
    let rejected = checked.filter(|checked| checked.rejected_count > 0);
    if let Dialect::Otlp(encoding) = dialect {
        return match encoding {
            Encoding::Protobuf => otlp(StatusCode::OK, encoding, export_protobuf(rejected)),
            Encoding::Json => otlp(
                StatusCode::OK,
                encoding,
                export_json(endpoint, rejected).into_bytes(),
            ),
        };
    }
    // The valid part was taken; 400 tells the sender not to repeat the rest
    // (and is what Alertmanager answers, and receivers of remote write).
    match (rejected, endpoint) {
        (Some(checked), _) => text(dialect, StatusCode::BAD_REQUEST, &reasons(checked)),
        (None, Endpoint::RemoteWrite) => empty(StatusCode::NO_CONTENT),
        (None, Endpoint::Events | Endpoint::Hook) => empty(StatusCode::ACCEPTED),
        (None, _) => empty(StatusCode::OK),
    }
}

/// The answer to a request that was not taken.
pub(crate) fn refused(endpoint: Endpoint, dialect: Dialect, refused: &Refused) -> Response {
    let status = refused.reason.status();
    let mut response = text(dialect, status, &refused.detail);
    let headers = response.headers_mut();
    if let Some(wait) = refused.retry_after {
        // Whole seconds, and never so early that it is refused again.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if status == StatusCode::UNAUTHORIZED {
        for scheme in [
            r#"Bearer realm="faultline intake""#,
            r#"Basic realm="faultline intake""#,
        ] {
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
        }
    }
    if refused.reason == Reason::MediaType {
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static(endpoint.accept_encoding()),
        );
    }
    response
}

/// A problem that no endpoint has said: an address or a method that is none.
pub(crate) fn problem(status: StatusCode, detail: &str) -> Response {
    text(Dialect::Problem, status, detail)
}

fn text(dialect: Dialect, status: StatusCode, detail: &str) -> Response {
    match dialect {
        Dialect::Otlp(Encoding::Protobuf) => {
            let mut message = Vec::new();
            write::integer(&mut message, 1, grpc_code(status));
            write::bytes(&mut message, 2, detail.as_bytes());
            otlp(status, Encoding::Protobuf, message)
        }
        Dialect::Otlp(Encoding::Json) => {
            let message = json!({ "code": grpc_code(status), "message": detail });
            otlp(status, Encoding::Json, message.to_string().into_bytes())
        }
        Dialect::Alertmanager => {
            with_body(status, "application/json", json!(detail).to_string().into())
        }
        Dialect::Problem => {
            let problem = json!({
                "type": "about:blank",
                "title": status.canonical_reason().unwrap_or("Refused"),
                "status": status.as_u16(),
                "detail": detail,
            });
            with_body(
                status,
                "application/problem+json",
                problem.to_string().into(),
            )
        }
    }
}

/// `google.rpc.Code`, by the table that OTLP/gRPC and OTLP/HTTP share.
const fn grpc_code(status: StatusCode) -> u64 {
    match status {
        StatusCode::UNAUTHORIZED => 16,
        StatusCode::FORBIDDEN => 7,
        StatusCode::NOT_FOUND => 5,
        StatusCode::METHOD_NOT_ALLOWED => 12,
        StatusCode::REQUEST_TIMEOUT => 4,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => 8,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        _ => 3,
    }
}

/// `Export…ServiceResponse`; empty if everything was accepted, as asked for.
fn export_protobuf(rejected: Option<&Checked>) -> Vec<u8> {
    let mut response = Vec::new();
    if let Some(checked) = rejected {
        let mut partial_success = Vec::new();
        write::integer(&mut partial_success, 1, checked.rejected_count);
        write::bytes(&mut partial_success, 2, reasons(checked).as_bytes());
        write::bytes(&mut response, 1, &partial_success);
    }
    response
}

fn export_json(endpoint: Endpoint, rejected: Option<&Checked>) -> String {
    let Some(checked) = rejected else {
        return "{}".to_owned();
    };
    let count = match endpoint {
        Endpoint::OtlpLogs => "rejectedLogRecords",
        Endpoint::OtlpTraces => "rejectedSpans",
        _ => "rejectedDataPoints",
    };
    // 64-bit integers are strings in JSON.
    let count_text = checked.rejected_count.to_string();
    json!({ "partialSuccess": { count: count_text, "errorMessage": reasons(checked) } }).to_string()
}

/// What was wrong with the items that were rejected.
fn reasons(checked: &Checked) -> String {
    let told: Vec<&str> = checked
        .rejected
        .iter()
        .take(REASONS_TOLD_MAX)
        .map(|Fault { message, .. }| message.as_str())
        .collect();
    let untold = checked.rejected_count.saturating_sub(told.len() as u64);
    let told = told.join("; ");
    if untold == 0 {
        return told;
    }
    format!("{told}; and {untold} more")
}

fn otlp(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response {
    let content_type = match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    };
    with_body(status, content_type, body.into())
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn with_body(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
