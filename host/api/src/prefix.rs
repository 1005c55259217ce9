//! Ids as people type them: the beginning is enough, if nothing else begins so.

use crate::problem::{Problem, ProblemKind};
use crate::views::{FieldProblem, Place};

/// The fewest digits of an id that count as its beginning.
const DIGITS_MIN: usize = 4;

/// The digits of a whole id.
const DIGITS_MAX: usize = 32;

/// The most things that are listed where several begin so.
pub(crate) const CANDIDATES_MAX: u32 = 10;

/// The beginning of an id, with the letters of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix {
    kind: &'static str,
    text: String,
}

impl Prefix {
    /// Reads what was typed: `inc_4f2a`, or without the letters of the kind.
    pub(crate) fn parse(
        kind: &'static str,
        letters: &'static str,
        typed: &str,
    ) -> Result<Self, Problem> {
        let typed = typed.to_ascii_lowercase();
        let digits = typed.strip_prefix(letters).unwrap_or(&typed);
        let good = (DIGITS_MIN..=DIGITS_MAX).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if !good {
            let detail = format!(
                "the id of an {kind} is `{letters}` and {DIGITS_MAX} hexadecimal digits; the first \
                 {DIGITS_MIN} or more are enough if no other {kind} begins so"
            );
            return Err(Problem::malformed(Place::Path, "id", detail));
        }
        Ok(Self {
            kind,
            text: format!("{letters}{digits}"),
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The one thing that begins so, of those that were found (one more than
    /// are listed, if there are so many).
    pub(crate) fn one<T: Copy + std::fmt::Display>(
        &self,
        found: &[(T, String)],
    ) -> Result<T, Problem> {
        match found {
            [] => Err(Problem::not_found(format!(
                "no {} has an id that begins with `{}`",
                self.kind, self.text
            ))),
            [(id, _)] => Ok(*id),
            several => Err(self.ambiguous(several)),
        }
    }

    fn ambiguous<T: std::fmt::Display>(&self, found: &[(T, String)]) -> Problem {
        let listed = found.iter().take(CANDIDATES_MAX as usize);
        let errors = listed
            .map(|(id, title)| FieldProblem {
                place: Place::Path,
                field: "id".to_owned(),
                detail: format!("could be {id}: {title}"),
            })
            .collect();
        let many = if found.len() > CANDIDATES_MAX as usize {
            "more of them than are listed"
        } else {
            "several of them"
        };
        Problem {
            kind: ProblemKind::Ambiguous,
            detail: format!(
                "`{}` is the beginning of the ids of {many}: give more digits",
                self.text
            ),
            errors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letters_and_the_case_do_not_matter() {
        for typed in ["inc_4f2a", "4f2a", "4F2A", "INC_4F2A"] {
            let prefix = Prefix::parse("incident", "inc_", typed).expect(typed);
            assert_eq!(prefix.as_str(), "inc_4f2a");
        }
        for typed in [
            "",
            "inc_",
            "4f2",
            "inc_4f2",
            "4f2g",
            "alr_4f2a",
            &"0".repeat(33),
        ] {
            assert!(Prefix::parse("incident", "inc_", typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn one_is_meant_or_all_that_could_be_are_listed() {
        let prefix = Prefix::parse("incident", "inc_", "4f2a").expect("good");
        let found = |count: u32| -> Vec<(u32, String)> {
            (1..=count).map(|i| (i, format!("number {i}"))).collect()
        };
        assert_eq!(prefix.one(&found(1)), Ok(1));
        let none = prefix.one(&found(0)).expect_err("none");
        assert_eq!(none.kind, ProblemKind::NotFound);
        let two = prefix.one(&found(2)).expect_err("two");
        assert_eq!(two.kind, ProblemKind::Ambiguous);
        assert_eq!(two.errors[1].detail, "could be 2: number 2");
        let many = prefix.one(&found(CANDIDATES_MAX + 1)).expect_err("many");
        assert_eq!(many.errors.len(), CANDIDATES_MAX as usize);
        assert!(many.detail.contains("more of them than are listed"));
    }
}
