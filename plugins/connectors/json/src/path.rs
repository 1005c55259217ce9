//! Paths: JSONPath (RFC 9535), with words that say where a path begins.
//!
//! `$.x` looks into the item that is being read. `$body.x` looks into the
//! payload as a whole, `$item.x` into the outer item where `each` makes inner
//! ones of it, and `$headers['x-y']` into the headers. The words are ours; what
//! follows them is the standard's.

use faultline_sdk::text::clip;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use serde_json_path::JsonPath;

/// The most bytes in a path.
const PATH_BYTES_MAX: usize = 512;

/// How deep brackets may nest in a path: each level costs stack when it is
/// read.
const NESTING_MAX: usize = 32;

/// The most filters in a path: reading one inside another takes twice as long
/// for each level.
const FILTERS_MAX: usize = 8;

/// The most characters of a path that a message quotes.
const QUOTED_CHARACTERS_MAX: usize = 60;

/// Where to look, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    root: Root,
    query: JsonPath,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    /// The innermost item.
    Item,
    /// The item that the innermost one was found in; without `each` the same.
    Outer,
    Body,
    Headers,
}

/// The words, and where they lead. The empty one is last: it begins them all.
const ROOTS: [(&str, Root); 4] = [
    ("$body", Root::Body),
    ("$item", Root::Outer),
    ("$headers", Root::Headers),
    ("$", Root::Item),
];

/// All that a path can look into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// The item that is being read.
    pub(crate) item: &'a Value,
    /// The item that it was found in.
    pub(crate) outer: &'a Value,
    /// The payload.
    pub(crate) body: &'a Value,
    /// An object of the headers, names in lower case.
    pub(crate) headers: &'a Value,
}

impl Path {
    /// The payload, or the item, as a whole.
    pub(crate) fn whole() -> Self {
        Self {
            root: Root::Item,
            query: JsonPath::default(),
        }
    }

    /// Reads a path, or says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let quoted = clip(text, QUOTED_CHARACTERS_MAX);
        if text.len() > PATH_BYTES_MAX {
            return Err(format!(
                "the path `{quoted}…` has more than {PATH_BYTES_MAX} bytes"
            ));
        }
        if nesting(text) > NESTING_MAX {
            return Err(format!(
                "the path `{quoted}…` has brackets that nest deeper than {NESTING_MAX}"
            ));
        }
        if text.matches('?').count() > FILTERS_MAX {
            return Err(format!(
                "the path `{quoted}…` has more than {FILTERS_MAX} filters"
            ));
        }
        let (root, rest) = ROOTS
            .iter()
            .find_map(|(word, root)| Some((*root, text.strip_prefix(word)?)))
            .ok_or_else(|| format!("the path `{quoted}` does not begin with `$`"))?;
        let query = JsonPath::parse(&format!("${rest}"))
            .map_err(|error| format!("the path `{quoted}` cannot be read: {error}"))?;
        Ok(Self { root, query })
    }

    /// What it finds, in the order of the document. What is null, or an empty
    /// text, counts as not there.
    pub(crate) fn find<'a>(&self, scope: &Scope<'a>) -> Vec<&'a Value> {
        let value = match self.root {
            Root::Item => scope.item,
            Root::Outer => scope.outer,
            Root::Body => scope.body,
            Root::Headers => scope.headers,
        };
        let mut found = self.query.query(value).all();
        found.retain(|value| !matches!(value, Value::Null) && value.as_str() != Some(""));
        found
    }

    /// Whether it finds anything.
    pub(crate) fn finds(&self, scope: &Scope<'_>) -> bool {
        !self.find(scope).is_empty()
    }
}

/// How many brackets are open at most. Those in quotes count as well: it is a
/// bound, not a measure.
fn nesting(text: &str) -> usize {
    let mut open: usize = 0;
    let mut deepest = 0;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' => open += 1,
            b')' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(path: &str, expected: &[Value]) {
        let body = json!({"where": "body", "list": [{"n": 1}, {"n": null}, {"n": 3}, {"n": ""}]});
        let outer = json!({"where": "outer"});
        let item = json!({"where": "item"});
        let headers = json!({"x-event": "push"});
        let scope = Scope {
            item: &item,
            outer: &outer,
            body: &body,
            headers: &headers,
        };
        let path = Path::parse(path).expect(path);
        let found: Vec<Value> = path.find(&scope).into_iter().cloned().collect();
        assert_eq!(found, expected, "{path:?}");
    }

    #[test]
    fn begins_where_the_word_says() {
        check("$.where", &[json!("item")]);
        check("$item.where", &[json!("outer")]);
        check("$body['where']", &[json!("body")]);
        check("$headers['x-event']", &[json!("push")]);
        check("$body.list[?@.n > 1].n", &[json!(3)]);
        check("$body.list[*].n", &[json!(1), json!(3)]);
        check("$.nothing", &[]);
    }

    #[test]
    fn bad_paths_are_refused_with_their_text() {
        let long = format!("$.{}", "x".repeat(PATH_BYTES_MAX));
        for text in ["", "x", "$.", "$bodyx", "$[", "$.x[?]", long.as_str()] {
            let error = Path::parse(text).expect_err(text);
            assert!(error.contains(clip(text, 20)), "{error}");
        }
    }

    #[test]
    fn nesting_up_to_the_limits_is_no_danger() {
        for unit in ["(", "!(", "$[?", "[?@", "length(", "!", ".."] {
            for times in [FILTERS_MAX - 1, NESTING_MAX - 1, PATH_BYTES_MAX] {
                let text = format!("$[?{}", unit.repeat(times));
                assert!(Path::parse(&text).is_err(), "{unit}");
            }
        }
        let nested = "@[?".repeat(FILTERS_MAX - 1) + "@" + &"]".repeat(FILTERS_MAX - 1);
        assert_eq!(Path::parse(&format!("$[?{nested}]")).err(), None);
    }
}
