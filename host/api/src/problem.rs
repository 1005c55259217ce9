//! Refusals, as problem details (RFC 9457).

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use faultline_store::{StoreError, Trouble};

use crate::views::{FieldProblem, Place, ProblemDetails};

/// How long to wait before asking again where nothing says better.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(5);

/// What sort of refusal. The word is part of the API: clients branch on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProblemKind {
    /// The request cannot be read.
    Malformed,
    /// Nobody knows who asks.
    Unauthenticated,
    /// Who asks may not do this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The path is right, the method is not.
    MethodNotAllowed,
    /// The body did not come in time.
    TooSlow,
    /// More than one thing is meant.
    Ambiguous,
    /// It cannot be done as things stand.
    Conflict,
    /// A limit on sizes.
    TooLarge,
    /// Not JSON.
    MediaType,
    /// It can be read, but not meant so.
    Invalid,
    /// A limit on how much is done at once.
    Busy,
    /// What is needed for it does not answer.
    Unavailable,
    /// Our fault.
    Internal,
}

impl ProblemKind {
    /// All kinds, as documented.
    pub(crate) const ALL: [Self; 14] = [
        Self::Malformed,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::TooSlow,
        Self::Ambiguous,
        Self::Conflict,
        Self::TooLarge,
        Self::MediaType,
        Self::Invalid,
        Self::Busy,
        Self::Unavailable,
        Self::Internal,
    ];

    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Ambiguous | Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Busy | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The URI of the type, without the prefix that all have in common.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::TooSlow => "too-slow",
            Self::Ambiguous => "ambiguous",
            Self::Conflict => "conflict",
            Self::TooLarge => "too-large",
            Self::MediaType => "media-type",
            Self::Invalid => "invalid",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The same for all problems of the kind, as RFC 9457 wants titles.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The request cannot be read",
            Self::Unauthenticated => "Nobody knows who asks",
            Self::Forbidden => "Your role does not include this",
            Self::NotFound => "There is no such thing",
            Self::MethodNotAllowed => "This is not done with this method",
            Self::TooSlow => "The body did not arrive in time",
            Self::Ambiguous => "This could be several things",
            Self::Conflict => "This cannot be done as things stand",
            Self::TooLarge => "The body is too large",
            Self::MediaType => "The body must be JSON",
            Self::Invalid => "The request asks for something that cannot be",
            Self::Busy => "Too much of this is being done already",
            Self::Unavailable => "Something that is needed for this does not answer",
            Self::Internal => "Faultline made a mistake",
        }
    }
}

/// Why a request is refused: what is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: ProblemKind,
    pub(crate) detail: String,
    pub(crate) errors: Vec<FieldProblem>,
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::NotFound, detail)
    }

    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Conflict, detail)
    }

    pub(crate) fn busy(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Busy, detail)
    }

    /// One field of the body that can be read, but not meant so.
    pub(crate) fn invalid(field: &str, detail: impl Into<String>) -> Self {
        Self::invalid_at(Place::Body, field, detail)
    }

    /// One place of the request that can be read, but not meant so.
    pub(crate) fn invalid_at(place: Place, field: &str, detail: impl Into<String>) -> Self {
        Self::invalid_fields(vec![FieldProblem {
            place,
            field: field.to_owned(),
            detail: detail.into(),
        }])
    }

    /// Some fields that can be read, but not meant so; at least one.
    pub(crate) fn invalid_fields(errors: Vec<FieldProblem>) -> Self {
        Self {
            kind: ProblemKind::Invalid,
            detail: summary(&errors),
            errors,
        }
    }

    /// One place of the request that cannot be read.
    pub(crate) fn malformed(place: Place, field: &str, detail: impl Into<String>) -> Self {
        let errors = vec![FieldProblem {
            place,
            field: field.to_owned(),
            detail: detail.into(),
        }];
        Self {
            kind: ProblemKind::Malformed,
            detail: summary(&errors),
            errors,
        }
    }

    /// For what went wrong on our side: logged here, once, and told without
    /// what is inside.
    pub(crate) fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = cause, "a request failed: {cause}");
        Self::new(
            ProblemKind::Internal,
            "the reason is in the log of the server",
        )
    }
}

fn summary(errors: &[FieldProblem]) -> String {
    let told: Vec<String> = errors
        .iter()
        .map(|error| match error.field.as_str() {
            "" => error.detail.clone(),
            field => format!("{field}: {}", error.detail),
        })
        .collect();
    told.join("; ")
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::BadCursor(_) => Self::malformed(Place::Query, "after", error.to_string()),
            StoreError::Exists { .. } => Self::conflict(error.to_string()),
            _ if error.is_transient() => {
                let cause: &(dyn std::error::Error + 'static) = &error;
                tracing::error!(error = cause, "the database refused: {error}");
                let trouble = error.trouble().unwrap_or(Trouble::Refused);
                Self::new(
                    ProblemKind::Unavailable,
                    format!(
                        "the database does not answer as it should ({trouble}): {}",
                        trouble.remedy()
                    ),
                )
            }
            _ => Self::internal(&error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let details = ProblemDetails {
            type_uri: format!("urn:faultline:problem:{}", self.kind.word()),
            title: self.kind.title().to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            errors: self.errors,
        };
        let mut response = (status, axum::Json(details)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(RETRY_AFTER_DEFAULT.as_secs()),
            );
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(r#"Bearer realm="faultline""#),
            );
        }
        response
    }
}
