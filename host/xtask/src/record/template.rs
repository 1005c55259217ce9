//! Configuration files with gaps: `@name@` stands for what is only known when
//! a recording starts.

use anyhow::{Result, bail};

/// Fills the gaps.
///
/// # Errors
/// If a gap is left: a name that nobody knows would otherwise be found by the
/// program that reads the file, in its own words.
pub(crate) fn fill(text: &str, values: &[(&str, String)]) -> Result<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('@') {
        let (before, after) = rest.split_at(start);
        filled.push_str(before);
        let name = after[1..]
            .split_once('@')
            .map(|(name, _)| name)
            .filter(|name| !name.is_empty())
            .filter(|name| {
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            });
        let Some(name) = name else {
            filled.push('@');
            rest = &after[1..];
            continue;
        };
        let Some((_, value)) = values.iter().find(|(known, _)| *known == name) else {
            bail!("nothing is known to fill `@{name}@` with");
        };
        filled.push_str(value);
        rest = &after[name.len() + 2..];
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_gaps_and_nothing_else() {
        let values = [("port", "80".to_owned()), ("the_host", "a".to_owned())];
        let text = "listen @the_host@:@port@; mail a@b.example @ noon @@";
        let filled = fill(text, &values).expect("all names are known");
        assert_eq!(filled, "listen a:80; mail a@b.example @ noon @@");
        let error = fill("@prot@", &values).expect_err("an unknown name");
        assert!(error.to_string().contains("@prot@"));
    }
}
