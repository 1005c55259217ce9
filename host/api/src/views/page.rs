//! Listings, a page at a time.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Some rows of a listing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// In the order of the listing.
    pub items: Vec<T>,
    /// What to give as `after` to get the rows that follow; none at the end.
    pub next: Option<String>,
}
