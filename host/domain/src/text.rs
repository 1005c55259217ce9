//! Texts that others wrote, as people see them at a terminal.

/// Whether a character does more than to show itself: it may end the line, move
/// the cursor, or have what follows read the other way round (Unicode Standard
/// Annex 9). Whatever shows or refuses such texts goes by this.
pub fn steers(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_do_not_steer_and_what_turns_them_does() {
        for harmless in ['a', ' ', 'é', 'ש', '\u{2027}', '\u{202f}', '\u{200d}'] {
            assert!(!steers(harmless), "{harmless:?}");
        }
        for steering in ['\n', '\u{1b}', '\u{85}', '\u{2028}', '\u{202e}', '\u{2066}'] {
            assert!(steers(steering), "{steering:?}");
        }
    }
}
