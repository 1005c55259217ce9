//! What connectors need to do to foreign texts.

/// The first line that is not blank, without the white space around it: what
/// of a text can be a title.
pub fn first_line(text: &str) -> Option<&str> {
    text.lines().map(str::trim).find(|line| !line.is_empty())
}

/// The beginning of a text, of at most so many characters: what of it can be
/// quoted in a message.
pub fn clip(text: &str, characters_max: usize) -> &str {
    match text.char_indices().nth(characters_max) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_one_line() {
        assert_eq!(first_line("\n  slow \nreally"), Some("slow"));
        assert_eq!(first_line(" \n\t"), None);
    }

    #[test]
    fn quotes_end_between_characters() {
        assert_eq!(clip("häß", 2), "hä");
        assert_eq!(clip("häß", 3), "häß");
        assert_eq!(clip("", 0), "");
    }
}
