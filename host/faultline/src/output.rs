//! What commands print.

use std::io::{self, Write};

use anyhow::Result;
use faultline_domain::text::steers;
use serde::Serialize;

/// Prints a text to standard output. Whoever sends us something chooses parts
/// of it; what would steer a terminal is replaced.
///
/// # Errors
/// If nobody reads it any more; [`is_unread`] tells that from other errors.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(harmless(text).as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Prints as JSON, for programs.
///
/// # Errors
/// As [`print`].
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Whether an error says no more than that the reader has gone, as `head` does.
pub(crate) fn is_unread(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Says something to the person at the terminal that is not the result.
pub(crate) fn note(text: &str) {
    // There is nobody else to tell that nobody can be told.
    let _ = writeln!(io::stderr().lock(), "{}", harmless(text));
}

/// A text without what would steer a terminal.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => c,
            _ if steers(c) => '\u{fffd}',
            _ => c,
        })
        .collect()
}

/// A word as the API writes it.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// Rows under a heading, their columns aligned. Cells have no tabs: a tab ends
/// a cell.
pub(crate) fn table(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = heading.join("\t");
    text.push('\n');
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .map(|cell| cell.replace(['\t', '\n', '\r'], " "))
            .collect();
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    let mut writer = tabwriter::TabWriter::new(Vec::new()).padding(2);
    // Writing to memory does not fail.
    let aligned = writer
        .write_all(text.as_bytes())
        .ok()
        .and_then(|()| writer.into_inner().ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    aligned.unwrap_or(text)
}

/// A text of at most so many characters.
pub(crate) fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// A time as people read it: to the second, in UTC.
pub(crate) fn time(time: faultline_api::views::Time) -> String {
    let text = String::from(time);
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_senders_wrote_steers_no_terminal() {
        assert_eq!(
            harmless("a\n\u{1b}[2Jb\u{202e}c"),
            "a\n\u{fffd}[2Jb\u{fffd}c"
        );
    }
}
