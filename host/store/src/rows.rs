//! Writing many rows with few statements.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::Hash;

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, Transaction};

use crate::error::StoreError;

/// Rows a statement, greatest first. Few sizes, so that few statements are
/// prepared and kept; at most 256 rows of 20 columns stay under the 32,766
/// parameters that SQLite allows.
const ROWS_PER_STATEMENT: [usize; 4] = [256, 32, 4, 1];

/// SQLite's name among databases.
const SQLITE: &str = <sqlx::Sqlite as sqlx::Database>::NAME;

/// A query with its parameters so far.
pub(crate) type Binding<'q> = Query<'q, Any, AnyArguments>;

/// Inserts all rows: `head` up to and including `values`, `tail` from `on
/// conflict`, both without parameters. `bind` adds the parameters of one row, `columns` of them.
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
        let values = match transaction.backend_name() {
            // Parameters with names, which numbers are, cost SQLite a look at
            // all the others each.
            SQLITE => vec![positions(columns); now.len()].join(", "),
            _ => placeholders(now.len(), columns),
        };
        let sql = format!("{head} {values} {tail}");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for row in now {
            query = bind(query, row);
        }
        query.execute(&mut **transaction).await?;
    }
    Ok(())
}

/// As [`insert_rows`], where `tail` updates the row that is there. Of rows with
/// the same key the last one counts: PostgreSQL refuses a statement that would
/// write one row twice.
pub(crate) async fn upsert_rows<'q, R, K: Eq + Hash>(
    transaction: &mut Transaction<'_, Any>,
    head: &str,
    columns: usize,
    tail: &str,
    rows: &'q [R],
    key: impl Fn(&'q R) -> K,
    bind: impl for<'a> Fn(Binding<'a>, &'a R) -> Binding<'a>,
) -> Result<(), StoreError> {
    let rows = last_of_each(rows, key);
    insert_rows(transaction, head, columns, tail, &rows, |query, row| {
        bind(query, row)
    })
    .await
}

/// The last row of each key, in the order in which the keys first came.
fn last_of_each<'q, R, K: Eq + Hash>(rows: &'q [R], key: impl Fn(&'q R) -> K) -> Vec<&'q R> {
    let mut places: HashMap<K, usize> = HashMap::with_capacity(rows.len());
    let mut last: Vec<&'q R> = Vec::with_capacity(rows.len());
    for row in rows {
        let place = *places.entry(key(row)).or_insert(last.len());
        match last.get_mut(place) {
            Some(earlier) => *earlier = row,
            None => last.push(row),
        }
    }
    last
}

/// A text as a column takes it. PostgreSQL's texts have no NUL: it is kept as
/// the symbol for it, U+2400. JSON needs none of this, for there it is escaped.
pub(crate) fn text(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

/// `(?, ?)` for two columns.
fn positions(columns: usize) -> String {
    format!("({})", vec!["?"; columns].join(", "))
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

/// Placeholders from number `first` on, and what is bound to them: a list of one
/// of a few lengths, filled up with nothing, so that few statements are prepared
/// and kept.
pub(crate) fn padded_list<T: ToString>(
    first: usize,
    terms: impl ExactSizeIterator<Item = T>,
) -> (String, impl Iterator<Item = String>) {
    let length = terms.len().next_power_of_two();
    let padding = std::iter::repeat_n(String::new(), length - terms.len());
    let terms = terms.map(|term| term.to_string());
    (parameter_list(first, length), terms.chain(padding))
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
    fn of_rows_with_the_same_key_the_last_one_counts() {
        let rows = [("a", 1), ("b", 2), ("a", 3), ("c", 4), ("b", 5)];
        let last = super::last_of_each(&rows, |(key, _)| *key);
        assert_eq!(last, [&("a", 3), &("b", 5), &("c", 4)]);
    }

    #[test]
    fn a_nul_is_kept_as_its_symbol() {
        assert_eq!(super::text("as it is"), "as it is");
        assert_eq!(super::text("a\0b"), "a\u{2400}b");
    }

    #[test]
    fn numbers_its_placeholders() {
        assert_eq!(super::placeholders(1, 1), "($1)");
        assert_eq!(super::placeholders(2, 2), "($1, $2), ($3, $4)");
    }
}
