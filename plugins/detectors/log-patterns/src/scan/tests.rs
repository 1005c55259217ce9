use proptest::prelude::*;

use super::*;
use crate::template::Template;

/// The line with `<*>` for what varies.
fn masked(line: &str) -> String {
    let mut tokens = Vec::new();
    scan(line.as_bytes(), &mut tokens);
    Template::of_line(line, &tokens).text()
}

fn tokens(line: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    scan(line, &mut tokens);
    tokens
}

#[test]
fn what_varies_is_masked() {
    for (line, expected) in [
        ("took 12 ms", "took <*>"),
        ("took 0.35s, limit 1s", "took <*>, limit <*>"),
        ("connect to 10.0.0.7:5432 failed", "connect to <*> failed"),
        ("db-1.example.org:5432 is gone", "<*> is gone"),
        (
            "request 3f2a9c51-77aa-4d1e-9f0e-0123456789ab done",
            "request <*> done",
        ),
        ("user='ann' logged in", "user='<*>' logged in"),
        ("reading /etc/app/config.toml", "reading <*>"),
        ("at Server.java:120", "at <*>"),
        ("2026-03-01T12:00:05.123Z started", "<*> started"),
        ("block blk_-1608999687919862906 added", "block <*> added"),
        ("page dead01 freed", "page <*> freed"),
        ("rate=99.5% ok", "rate=<*> ok"),
    ] {
        assert_eq!(masked(line), expected, "{line}");
    }
}

#[test]
fn what_names_things_stays() {
    for line in [
        "eth0 is up",
        "can't open connection.",
        "java.lang.NullPointerException in main",
        "ERROR: deadlock detected!",
        "{\"level\": \"error\", \"msg\": \"it failed\"}",
        "naïve Füße 日本語",
    ] {
        assert_eq!(masked(line), line, "{line}");
    }
}

#[test]
fn requests_are_told_apart_by_what_was_asked_for() {
    let get = tokens(b"\"GET /cart\" 200");
    let post = tokens(b"\"POST /cart\" 200");
    assert_ne!(hashes(&get).skeleton, hashes(&post).skeleton);
    assert_eq!(hashes(&get).shape, hashes(&post).shape);
    assert_eq!(masked("\"GET /cart HTTP/1.1\" 200 12"), "\"GET <*>\" <*>");
}

#[test]
fn templates_and_lines_have_the_same_shape() {
    let tokens = tokens(b"pool[3]: 17 of 20 connections (in use)");
    let kinds: Vec<Kind> = tokens.iter().map(|token| token.kind).collect();
    assert_eq!(shape(&kinds), hashes(&tokens).shape);
}

#[test]
fn what_is_beyond_the_limits_is_not_looked_at() {
    let many_words = "word ".repeat(LINE_BYTES_MAX);
    assert_eq!(tokens(many_words.as_bytes()).len(), TOKENS_MAX);
    let one_word = "x".repeat(1_000_000);
    let [word] = tokens(one_word.as_bytes())[..] else {
        panic!("one word");
    };
    assert_eq!(usize::try_from(word.end), Ok(LINE_BYTES_MAX));
}

#[test]
fn nothing_to_see_is_no_tokens() {
    for line in ["", " ", "\t\r\n\0\u{7f}"] {
        assert_eq!(tokens(line.as_bytes()), [], "{line:?}");
    }
}

proptest! {
    /// Whatever the bytes: no panic, and tokens lie in the line, in order.
    #[test]
    fn takes_any_bytes(line in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut end = 0;
        for token in tokens(&line) {
            prop_assert!(token.start >= end && token.end > token.start);
            end = token.end;
        }
        prop_assert!(usize::try_from(end).is_ok_and(|end| end <= line.len()));
    }

    /// Numbers do not tell lines apart.
    #[test]
    fn numbers_do_not_matter(number in any::<u32>(), other in any::<u32>()) {
        let line = |number: u32| format!("worker {number} took {number} ms (of {number})");
        prop_assert_eq!(
            hashes(&tokens(line(number).as_bytes())),
            hashes(&tokens(line(other).as_bytes()))
        );
    }
}
