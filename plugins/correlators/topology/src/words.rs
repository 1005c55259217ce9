//! Sentences for people: clock times, durations, names, counts.
//!
//! Everything that is said is cut to a length: titles and names come from
//! outside.

use faultline_sdk::{Entity, Timestamp};

/// The most characters of a sentence.
const TEXT_CHARS_MAX: usize = 400;
/// The most characters of a title that is quoted within a sentence.
const QUOTE_CHARS_MAX: usize = 64;
/// The most characters of a name within a sentence.
const NAME_CHARS_MAX: usize = 80;
/// The most names that are listed before `and 3 more`.
const NAMES_LISTED_MAX: usize = 4;

const SECOND: u64 = 1_000_000;

/// `10:02 UTC`.
pub(crate) fn clock(at: Timestamp) -> String {
    let minutes = at / (60 * SECOND);
    format!("{:02}:{:02} UTC", minutes / 60 % 24, minutes % 60)
}

/// `40 s`, `4 min`, `2 h`, from microseconds.
pub(crate) fn duration(micros: u64) -> String {
    match micros.saturating_add(SECOND / 2) / SECOND {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", (seconds + 30) / 60),
        seconds @ 7_200..172_800 => format!("{} h", (seconds + 1_800) / 3_600),
        seconds => format!("{} d", (seconds + 43_200) / 86_400),
    }
}

/// `1 alert`, `2 alerts`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {many}")
    }
}

/// A title within a sentence.
pub(crate) fn quote(title: &str) -> String {
    format!("\"{}\"", cut_at_word(&brief(title, None), QUOTE_CHARS_MAX))
}

/// An alert's title without what stands beside it anyway: labels in braces,
/// and the entity that it is about where `kind/name` introduces it (`…: a new
/// kind of error`) or is mentioned in passing (`… of service/orders is 3`).
pub(crate) fn brief(title: &str, about: Option<&Entity>) -> String {
    let mut text = without_labels(title);
    if let Some(entity) = about {
        let full = entity.to_string();
        for name in [full.as_str(), entity.name.as_str()] {
            let rest = text.strip_prefix(name).and_then(|it| it.strip_prefix(':'));
            if let Some(rest) = rest.map(str::trim).filter(|rest| !rest.is_empty()) {
                text = rest.to_owned();
                break;
            }
        }
        text = text.replacen(&format!(" of {full} "), " ", 1);
    }
    text.trim().to_owned()
}

/// `rate(requests){code="200",route="/"} is 3` without the braces and what is
/// between them. Braces without `=` are no labels, and stay.
fn without_labels(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, beyond) = label_set(after);
        kept.push_str(before);
        if !inside.contains('=') {
            kept.push('{');
            rest = after;
            continue;
        }
        rest = beyond;
    }
    kept.push_str(rest);
    kept
}

/// What stands before the brace that ends a set of labels, and after it.
/// Braces within quotes belong to values. A set that does not end, as in a
/// title that was cut, goes on to the end of the text.
fn label_set(text: &str) -> (&str, &str) {
    let mut quoted = false;
    for (place, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '}' if !quoted => return (&text[..place], &text[place + 1..]),
            _ => {}
        }
    }
    (text, "")
}

/// A name within a sentence.
pub(crate) fn name(entity: &Entity) -> String {
    cut(&entity.to_string(), NAME_CHARS_MAX)
}

/// `a, b, c, d and 3 more`.
pub(crate) fn list(names: &[String]) -> String {
    let shown = names.len().min(NAMES_LISTED_MAX);
    let head = names[..shown].join(", ");
    match names.len() - shown {
        0 => head,
        more => format!("{head} and {more} more"),
    }
}

/// A sentence, no longer than a sentence may be.
pub(crate) fn sentence(text: &str) -> String {
    cut(text, TEXT_CHARS_MAX)
}

/// Cut between words, unless that leaves less than half.
pub(crate) fn cut_at_word(text: &str, chars_max: usize) -> String {
    let short = cut(text, chars_max);
    if short.len() >= text.len() {
        return short;
    }
    let head = short.trim_end_matches('…');
    let next = text[head.len()..].chars().next();
    let whole = match head.rfind(' ') {
        Some(_) if next.is_some_and(char::is_whitespace) => head,
        Some(end) if end * 2 >= head.len() => &head[..end],
        _ => head,
    };
    format!("{}…", whole.trim_end_matches([' ', ',', ';', ':', '(']))
}

fn cut(text: &str, chars_max: usize) -> String {
    if text.char_indices().nth(chars_max).is_none() {
        return text.to_owned();
    }
    let head: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    format!("{}…", head.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_times_as_people_do() {
        assert_eq!(clock(37_320 * SECOND), "10:22 UTC");
        let said: Vec<String> = [0, 40, 119, 120, 239, 7_199, 7_200, 200_000]
            .iter()
            .map(|seconds| duration(seconds * SECOND))
            .collect();
        assert_eq!(
            said,
            [
                "0 s", "40 s", "119 s", "2 min", "4 min", "120 min", "2 h", "2 d"
            ]
        );
    }

    #[test]
    fn shortens_titles() {
        let orders = Entity::new("service", "orders");
        for (title, expected) in [
            (
                "rate(requests_total){code=\"200\",route=\"/x/{id}\"} of service/orders is 3, expected 1",
                "rate(requests_total) is 3, expected 1",
            ),
            (
                "service/orders{instance=\"orders-1\"}: a new kind of error: {}",
                "a new kind of error: {}",
            ),
            ("orders: pool exhausted", "pool exhausted"),
            ("requests{code=\"20", "requests"),
            ("orders is slow", "orders is slow"),
            ("orders:", "orders:"),
        ] {
            assert_eq!(brief(title, Some(&orders)), expected);
        }
        assert_eq!(cut_at_word("one two three", 20), "one two three");
        assert_eq!(cut_at_word("one two three", 10), "one two…");
        assert_eq!(cut_at_word("one, two three", 8), "one…");
        assert_eq!(cut_at_word("a verylongwordthatisnotcut", 10), "a verylon…");
    }

    #[test]
    fn cuts_between_characters() {
        assert_eq!(cut("añb", 3), "añb");
        assert_eq!(cut("añbc", 3), "añ…");
        let names: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        assert_eq!(list(&names), "a, b, c, d and 1 more");
        assert_eq!(list(&names[..2]), "a, b");
    }
}
