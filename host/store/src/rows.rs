//! Writing many rows with few statements.

use std::fmt::Write as _;

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, Transaction};

use crate::error::StoreError;

/// Rows a statement, greatest first. Few sizes, so that few statements are
/// prepared and kept; at most 256 rows of 20 columns stay under the 32,766
/// parameters that SQLite allows.
const ROWS_PER_STATEMENT: [usize; 4] = [256, 32, 4, 1];

/// A query with its parameters so far.
pub(crate) type Binding<'q> = Query<'q, Any, AnyArguments>;

/// Inserts all rows: `head` up to and including `values`, `tail` from `on
/// conflict`. `bind` adds the parameters of one row, `columns` of them.
pub(crate) async fn insert_rows<'q, R>(
    transaction: &mut Transaction<'_, Any>,
    head: &str,
    columns: usize,
    tail: &str,
    rows: &'q [R],
    bind: impl Fn(Binding<'q>, &'q R) -> Binding<'q>,
) -> Result<(), StoreError> {
    let mut rest = rows;
    while !rest.is_empty() {
        let most = ROWS_PER_STATEMENT
            .into_iter()
            .find(|size| *size <= rest.len())
            .unwrap_or(1);
        let (now, later) = rest.split_at(most);
        rest = later;
        let sql = format!("{head} {} {tail}", placeholders(now.len(), columns));
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for row in now {
            query = bind(query, row);
        }
        query.execute(&mut **transaction).await?;
    }
    Ok(())
}

/// `($1, $2), ($3, $4)` for two rows of two columns.
pub(crate) fn placeholders(rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 6);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            let separator = if column == 0 { "" } else { ", " };
            let number = row * columns + column + 1;
            // Writing to a string does not fail.
            let _ = write!(text, "{separator}${number}");
        }
        text.push(')');
    }
    text
}

/// `$2, $3, $4` for three parameters from number 2 on.
pub(crate) fn parameter_list(first: usize, count: usize) -> String {
    let numbers: Vec<String> = (first..first + count).map(|n| format!("${n}")).collect();
    numbers.join(", ")
}

/// A value as JSON. Everything that is stored can be written: keys are
/// strings, and numbers are finite.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("stored types have no keys that are not strings")
}

/// JSON of a column, read.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(
    table: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::corrupt(table, error))
}

/// An unsigned number for a signed column.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An unsigned number from a signed column.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_its_placeholders() {
        assert_eq!(super::placeholders(1, 1), "($1)");
        assert_eq!(super::placeholders(2, 2), "($1, $2), ($3, $4)");
    }
}
