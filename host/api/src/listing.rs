//! Parameters that all listings have in common, and pages of short lists.

use faultline_store::Cursor;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use crate::problem::Problem;
use crate::views::{Page, Place};

/// The most digits of what a listing is ordered by: microseconds, or positions.
const NUMBER_DIGITS_MAX: usize = 18;

/// The most digits of a row's number among those of one position.
const ORDINAL_DIGITS_MAX: usize = 9;

/// How many rows of a listing: 1 to 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Limit(u32);

impl Default for Limit {
    fn default() -> Self {
        Self(PAGE_ROWS_DEFAULT)
    }
}

impl Limit {
    pub(crate) const fn rows(self) -> u32 {
        self.0
    }
}

impl TryFrom<String> for Limit {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.parse() {
            Ok(rows @ 1..=PAGE_ROWS_MAX) => Ok(Self(rows)),
            _ => Err(format!("must be a number from 1 to {PAGE_ROWS_MAX}")),
        }
    }
}

/// Where a listing goes on, as a page before it said.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct After(Cursor);

impl After {
    pub(crate) fn cursor(after: Option<Self>) -> Option<Cursor> {
        after.map(|After(cursor)| cursor)
    }
}

impl TryFrom<String> for After {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        cursor(&text, |id| !id.is_empty()).map(Self)
    }
}

/// The same of a listing whose rows are numbered within what they are ordered
/// by.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct AfterOrdinal(Cursor);

impl AfterOrdinal {
    pub(crate) fn cursor(after: Option<Self>) -> Option<Cursor> {
        after.map(|AfterOrdinal(cursor)| cursor)
    }
}

impl TryFrom<String> for AfterOrdinal {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        cursor(&text, |ordinal| is_number(ordinal, ORDINAL_DIGITS_MAX)).map(Self)
    }
}

/// A cursor that is written as the description says: a number, a dot, and an id.
fn cursor(text: &str, is_id: impl Fn(&str) -> bool) -> Result<Cursor, String> {
    text.split_once('.')
        .filter(|(number, id)| is_number(number, NUMBER_DIGITS_MAX) && is_id(id))
        .and_then(|_| text.parse().ok())
        .ok_or_else(|| {
            let given: String = text.chars().take(80).collect();
            format!("`{given}` is no page of this listing: take it from `next`, or leave it out")
        })
}

fn is_number(text: &str, digits_max: usize) -> bool {
    (1..=digits_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Where a listing that is ordered by a number goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct AfterNumber(pub(crate) u64);

impl TryFrom<String> for AfterNumber {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
            .ok()
            // Positions are columns of signed numbers.
            .filter(|number| i64::try_from(*number).is_ok())
            .map(Self)
            .ok_or_else(|| "must be a number: take it from `next`, or leave it out".to_owned())
    }
}

/// A page of a store's listing, in the shape of the API.
pub(crate) fn page<T, V: ToSchema>(
    page: faultline_store::Page<T>,
    view: impl FnMut(T) -> V,
) -> Page<V> {
    Page {
        items: page.items.into_iter().map(view).collect(),
        next: page.next.map(|next| next.to_string()),
    }
}

/// A page of a list that is read as a whole, since it is never long. Rows are
/// in the order of their keys; the cursor is the key of the last one shown.
pub(crate) fn page_by_key<T>(
    rows: Vec<T>,
    after: Option<&str>,
    limit: Limit,
    key: impl Fn(&T) -> String,
) -> Result<Page<T>, Problem> {
    let most = limit.0 as usize;
    let start = match after {
        None => 0,
        Some(after) => rows
            .iter()
            .position(|row| key(row) == after)
            .map(|place| place + 1)
            .ok_or_else(|| {
                let given: String = after.chars().take(80).collect();
                let detail = format!("`{given}` is not in this listing any more: begin without it");
                Problem::invalid_at(Place::Query, "after", detail)
            })?,
    };
    let more = rows.len() > start + most;
    let items: Vec<T> = rows.into_iter().skip(start).take(most).collect();
    let next = if more { items.last().map(&key) } else { None };
    Ok(Page { items, next })
}
