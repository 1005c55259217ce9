//! How bad a line sounds.

use faultline_sdk::Severity;

/// OpenTelemetry's severity numbers, where the ranges begin ("Logs Data
/// Model", field `SeverityNumber`).
const WARN: u8 = 13;
const ERROR: u8 = 17;
const FATAL: u8 = 21;

/// Parts of words of lines that are about something broken, in lower case.
const BAD_WORDS: [&str; 18] = [
    "abort",
    "cannot",
    "corrupt",
    "denied",
    "error",
    "exception",
    "fail",
    "fatal",
    "oom-kill",
    "out of memory",
    "panic",
    "refused",
    "reject",
    "segfault",
    "timed out",
    "timeout",
    "unavailable",
    "unreachable",
];

/// The severity of a line of which the sender gave this number. Where there is
/// none, its words tell.
pub(crate) fn gravity(number: u8, line: &str) -> Severity {
    match number {
        FATAL.. => Severity::High,
        ERROR.. => Severity::Warning,
        WARN.. => Severity::Low,
        1.. => Severity::Info,
        0 => of_words(line),
    }
}

/// Whether a line counts as an error, in a kind of line that sounds so bad.
pub(crate) fn is_error(number: u8, kind: Severity) -> bool {
    number >= ERROR || (number == 0 && kind >= Severity::Warning)
}

fn of_words(line: &str) -> Severity {
    let line = line.to_ascii_lowercase();
    if BAD_WORDS.iter().any(|word| line.contains(word)) {
        Severity::Warning
    } else if line.contains("warn") {
        Severity::Low
    } else {
        Severity::Info
    }
}

/// One grade less, or more.
pub(crate) fn lowered(severity: Severity) -> Severity {
    match severity {
        Severity::Critical => Severity::High,
        Severity::High => Severity::Warning,
        Severity::Warning => Severity::Low,
        Severity::Low | Severity::Info => Severity::Info,
    }
}

/// One grade more, up to high: what is critical is for people to say.
pub(crate) fn raised(severity: Severity) -> Severity {
    match severity {
        Severity::Info => Severity::Low,
        Severity::Low => Severity::Warning,
        _ => Severity::High,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_counts_where_there_is_one() {
        for (number, line, expected) in [
            (9, "request failed", Severity::Info),
            (13, "slow", Severity::Low),
            (17, "fine", Severity::Warning),
            (21, "bye", Severity::High),
            (0, "Connection REFUSED by peer", Severity::Warning),
            (0, "kernel panic", Severity::Warning),
            (0, "WARN: slow", Severity::Low),
            (0, "request served", Severity::Info),
        ] {
            assert_eq!(gravity(number, line), expected, "{number} {line}");
        }
    }
}
