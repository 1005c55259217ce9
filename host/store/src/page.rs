//! Listings, a page at a time. A cursor names the last row that was shown, so
//! that pages neither repeat nor skip rows while new ones come in.

use crate::error::StoreError;
use crate::rows::{signed, text as kept};

/// The most rows of one page.
pub(crate) const PAGE_ROWS_MAX: u32 = 500;

/// Where a listing goes on: after the row with this number and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// What the listing is ordered by: a time in microseconds, or a position.
    pub number: u64,
    /// Tells rows of the same number apart.
    pub id: String,
}

impl Cursor {
    /// Before the first row of a listing that begins with the latest.
    pub(crate) fn latest() -> Self {
        Self {
            number: u64::MAX,
            id: "~".to_owned(),
        }
    }

    /// The number for a signed column.
    pub(crate) fn number_signed(&self) -> i64 {
        signed(self.number)
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.number, self.id)
    }
}

impl std::str::FromStr for Cursor {
    type Err = StoreError;
    fn from_str(text: &str) -> Result<Self, StoreError> {
        let bad = || StoreError::BadCursor(text.chars().take(80).collect());
        let (number, id) = text.split_once('.').ok_or_else(bad)?;
        Ok(Self {
            number: number.parse().map_err(|_| bad())?,
            id: kept(id),
        })
    }
}

/// Some rows, and where to go on if there are more.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// In the order of the listing.
    pub items: Vec<T>,
    /// None at the end.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// From up to one row more than was asked for: the one too many tells that
    /// there are more.
    pub(crate) fn from_rows(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> Cursor) -> Self {
        let limit = limit.min(PAGE_ROWS_MAX) as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

/// How many rows to ask the database for.
pub(crate) fn fetch_rows(limit: u32) -> i64 {
    i64::from(limit.min(PAGE_ROWS_MAX)) + 1
}
