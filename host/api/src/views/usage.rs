//! What an instance did beyond itself, out of the audit log.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Time;

/// What an instance did, and how much less it could be allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhatItDid {
    /// How many rows of the audit log were read: the latest about it.
    pub rows_read: u32,
    /// Whether there are older rows that were not read.
    pub more: bool,
    /// The time of the oldest row that was read; none if there is none.
    pub since: Option<Time>,
    /// What it did, the latest first.
    pub done: Vec<Done>,
    /// For each capability `http` that is granted: what would be enough for
    /// what it did.
    pub narrowed: Vec<Narrowed>,
}

/// Something that it did, or wanted to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// With which capability; none if it was denied.
    pub capability: Option<String>,
    /// What, as in the audit log.
    #[schema(example = "http.send")]
    pub action: String,
    /// Of a request: where to, without the path.
    #[schema(example = "GET https://api.example.com:443")]
    pub to: Option<String>,
    /// Of a request: the rule that allowed it.
    pub rule: Option<String>,
    /// How often.
    pub times: u64,
    /// Of these, how often it did not come to an end as it should.
    pub failed: u64,
    /// How often it was denied, and not done.
    pub denied: u64,
    /// Why it was denied or failed the last time.
    pub why: Option<String>,
    /// When last.
    pub last: Time,
}

/// What would be enough for what was done with a capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Narrowed {
    /// The id of the capability.
    pub capability: String,
    /// What is granted.
    pub granted: Vec<String>,
    /// What would be enough. Empty: it was not used.
    pub enough: Vec<String>,
}
