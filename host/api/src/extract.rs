//! Reading requests, strictly: what is not known is refused, with its place and
//! the nearest thing that is.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use faultline_bundle::strict_toml::with_suggestion;
use serde::de::DeserializeOwned;

use crate::limits::ApiLimits;
use crate::problem::{Problem, ProblemKind};
use crate::shared::Shared;
use crate::views::{Object, Place};

/// The parameters of the query. The type must deny unknown fields.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or("");
        let pairs = form_urlencoded::parse(query.as_bytes());
        let deserializer = serde_urlencoded::Deserializer::new(pairs);
        serde_path_to_error::deserialize(deserializer)
            .map(Self)
            .map_err(|error| problem_at(Place::Query, error.path(), &error.inner().to_string()))
    }
}

/// For operations without parameters: a query is refused like any parameter
/// that is not known.
pub(crate) struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or("");
        match form_urlencoded::parse(query.as_bytes()).next() {
            None => Ok(Self),
            Some((name, _)) => Err(Problem::malformed(
                Place::Query,
                &name,
                "this operation has no parameters",
            )),
        }
    }
}

/// The parameters of the path.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(path)) => Ok(Self(path)),
            Err(rejection) => Err(Problem::malformed(Place::Path, "", rejection.body_text())),
        }
    }
}

/// The body of a request, as the API reads it.
pub(crate) trait RequestBody: DeserializeOwned {
    /// How long it may be, in bytes.
    fn bytes_max(limits: &ApiLimits) -> usize {
        limits.body_bytes_max
    }
}

/// A JSON body.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: RequestBody> FromRequest<Arc<Shared>> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Problem> {
        check_media_type(request.headers())?;
        let bytes = read(request.into_body(), T::bytes_max(&shared.limits), shared).await?;
        parse(&bytes).map(Self)
    }
}

/// For operations without a body: one that is sent is refused, rather than
/// ignored.
pub(crate) struct NoBody;

impl FromRequest<Arc<Shared>> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Problem> {
        match read(request.into_body(), 0, shared).await {
            Ok(_) => Ok(Self),
            Err(problem) if problem.kind == ProblemKind::TooLarge => Err(Problem::malformed(
                Place::Body,
                "",
                "this operation has no body: send none",
            )),
            Err(problem) => Err(problem),
        }
    }
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .map_or("", |value| value.to_str().unwrap_or("?"));
    let essence = given.split(';').next().unwrap_or("").trim();
    let is_json = essence.eq_ignore_ascii_case("application/json");
    if is_json {
        return Ok(());
    }
    let given: String = given.chars().take(80).collect();
    Err(Problem::new(
        ProblemKind::MediaType,
        format!("the body must be sent with `content-type: application/json`, not `{given}`"),
    ))
}

async fn read(body: Body, bytes_max: usize, shared: &Shared) -> Result<Bytes, Problem> {
    let time_max = shared.limits.body_read_time_max;
    let reading = axum::body::to_bytes(body, bytes_max);
    let Ok(read) = tokio::time::timeout(time_max, reading).await else {
        return Err(Problem::new(
            ProblemKind::TooSlow,
            format!("the body must arrive within {} s", time_max.as_secs()),
        ));
    };
    // What cannot be read is either too long, or its sender has gone.
    read.map_err(|_| {
        Problem::new(
            ProblemKind::TooLarge,
            format!("the body of this operation has {bytes_max} bytes at most"),
        )
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let Object(body) = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let message = error.inner().to_string();
        problem_at(Place::Body, error.path(), &message)
    })?;
    deserializer
        .end()
        .map_err(|error| Problem::malformed(Place::Body, "", error.to_string()))?;
    Ok(body)
}

fn problem_at(place: Place, path: &serde_path_to_error::Path, message: &str) -> Problem {
    let field = match path.to_string().as_str() {
        "." => String::new(),
        path => path.to_owned(),
    };
    // Where nothing was known about the field, the message names it.
    let field = match message.strip_prefix("unknown field `") {
        Some(rest) => {
            let unknown = rest.split('`').next().unwrap_or("");
            // Some formats count the unknown field as part of the path, and
            // others do not.
            match field.strip_suffix(unknown) {
                Some(_) => field,
                None if field.is_empty() || field == "?" => unknown.to_owned(),
                None => format!("{field}.{unknown}"),
            }
        }
        None => field,
    };
    Problem::malformed(place, &field, with_suggestion(message))
}
