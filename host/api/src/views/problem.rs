//! Problem details (RFC 9457).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a request was refused (RFC 9457), as `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDetails {
    /// What sort of problem: `urn:faultline:problem:` and a word. Stable, for
    /// programs.
    #[serde(rename = "type")]
    #[schema(format = "uri", example = "urn:faultline:problem:not-found")]
    pub type_uri: String,
    /// The same for all problems of the sort.
    #[schema(example = "There is no such thing")]
    pub title: String,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599, example = 404)]
    pub status: u16,
    /// What is wrong, and what to do about it.
    #[schema(example = "no incident has an id that begins with `inc_4f2a`")]
    pub detail: String,
    /// Each thing that is wrong with the request, with its place; empty if it
    /// is not about a place.
    pub errors: Vec<FieldProblem>,
}

/// What is wrong at one place of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// Which part of the request.
    #[serde(rename = "in")]
    pub place: Place,
    /// The parameter, or the field of the body as a path such as
    /// `settings.limits.memory_bytes`; empty if all of it is meant.
    #[schema(example = "limit")]
    pub field: String,
    /// What is wrong with it, and what to do about it.
    #[schema(example = "must be a number from 1 to 500")]
    pub detail: String,
}

/// A part of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The path.
    Path,
    /// The query.
    Query,
    /// A header.
    Header,
    /// The body.
    Body,
}
