//! The way of a request, in and out: which operation it means, who asks, whether
//! they may; and what is said about it afterwards.
//!
//! The tricky thing is that requests can be cut off: a server drops what it does
//! for a client that has gone. What changes something is therefore run by
//! itself, so that nothing is committed without what belongs after it.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use faultline_domain::access::Principal;
use faultline_own_traces::{Answering, carried_on};

use crate::access::{Caller, Named, Needs, authenticate, authenticate_scraper};
use crate::audit::note_denied;
use crate::problem::{Problem, ProblemKind};
use crate::shared::Shared;

/// What metrics call requests that mean no operation.
const NO_OPERATION: &str = "none";

/// What machines ask for again and again, which nobody wants traces of.
const UNTRACED: [&str; 3] = ["/healthz", "/metrics", "/readyz"];

/// The operation that is let through while the database does not answer.
const METRICS: &str = "metrics_fetch";

/// Lets a request in, or refuses it, and says how it ended.
pub(crate) async fn gate(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let mut seen = Seen {
        operation: NO_OPERATION,
        caller: "nobody".to_owned(),
    };
    let answering = begin(path.as_deref(), &request);
    let passing = pass(&shared, path.as_deref(), request, next, &mut seen);
    let mut response = match answering.around(passing).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    protect(&mut response);
    let seconds = began.elapsed().as_secs_f64();
    let status = response.status();
    shared
        .metrics
        .answered(seen.operation, status.as_u16(), seconds);
    answering.answered(status.as_u16(), None);
    say(
        &method,
        path.as_deref().unwrap_or("-"),
        status,
        seconds,
        &seen,
    );
    response
}

/// The trace of a request begins.
fn begin(path: Option<&str>, request: &Request) -> Answering {
    if path.is_some_and(|path| UNTRACED.contains(&path)) {
        return Answering::default();
    }
    let route = path.map(|path| path.to_owned().into());
    let mut answering = Answering::new(request.method().as_str(), route, request.headers());
    answering.begin();
    answering
}

/// What is known of a request by the time it is answered.
struct Seen {
    operation: &'static str,
    caller: String,
}

async fn pass(
    shared: &Arc<Shared>,
    path: Option<&str>,
    mut request: Request,
    next: Next,
    seen: &mut Seen,
) -> Result<Response, Problem> {
    let Some(path) = path else {
        // There is only the fallback to run.
        return Ok(next.run(request).await);
    };
    let Some(operation) = shared.operations.find(path, request.method()) else {
        return Ok(method_not_allowed(shared, path, request.method()));
    };
    seen.operation = operation.id;
    if let Needs::Role(needed) = operation.needs {
        let trusted = request.extensions().get::<Principal>();
        let headers = request.headers();
        let caller = if operation.id == METRICS {
            authenticate_scraper(shared, trusted, headers).await?
        } else {
            authenticate(shared, trusted, headers).await?
        };
        seen.caller.clone_from(&caller.principal.name);
        if !caller.principal.role.includes(needed) {
            // As it was matched: somebody may have put a token into it.
            let subject = format!("{} {path}", request.method());
            note_denied(shared, &caller, operation.id, &subject, needed).await;
            return Err(forbidden(&caller, operation, needed));
        }
        request.extensions_mut().insert(caller);
    }
    let place = shared.rooms.requests.enter()?;
    if request.method().is_safe() {
        let response = next.run(request).await;
        drop(place);
        return Ok(response);
    }
    let act = async move {
        let response = next.run(request).await;
        drop(place);
        response
    };
    match tokio::spawn(carried_on(act)).await {
        Ok(response) => Ok(response),
        Err(error) => Err(Problem::internal(&error)),
    }
}

fn forbidden(caller: &Caller, operation: Named, needed: faultline_domain::access::Role) -> Problem {
    let detail = format!(
        "{} has the role {}; {} needs {needed}",
        caller.principal.name, caller.principal.role, operation.id
    );
    Problem::new(ProblemKind::Forbidden, detail)
}

fn method_not_allowed(shared: &Shared, path: &str, method: &Method) -> Response {
    let allowed = shared.operations.methods(path).join(", ");
    let detail = format!("{path} takes {allowed}, not {method}");
    let mut response = Problem::new(ProblemKind::MethodNotAllowed, detail).into_response();
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// The answer to a path that is none.
pub(crate) async fn not_found(request: Request) -> Problem {
    let path: String = request.uri().path().chars().take(200).collect();
    Problem::not_found(format!(
        "`{path}` is no path of this API: see {}/openapi.json",
        crate::BASE_PATH
    ))
}

/// Headers that keep browsers and proxies from making more of an answer than it
/// is. There is no CORS: pages of other origins read nothing.
fn protect(response: &mut Response) {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// One line a request: what changes something at `info`, what only looks at
/// `debug`, what we could not do at `warn`.
fn say(method: &Method, path: &str, status: StatusCode, seconds: f64, seen: &Seen) {
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                http.method = %method,
                http.route = path,
                http.status = status.as_u16(),
                http.seconds = seconds,
                operation = seen.operation,
                caller = seen.caller,
                "{method} {path} by {}: {}",
                seen.caller,
                status.as_u16()
            )
        };
    }
    if status.is_server_error() {
        line!(warn);
    } else if method.is_safe() {
        line!(debug);
    } else {
        line!(info);
    }
}
