//! A figure: what was measured in each round, and what that comes to.

use std::fmt;

use serde::Deserialize;

/// Something that was measured, as benches print it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Figure {
    /// What.
    pub(crate) name: String,
    /// `us`, `ratio`, …
    pub(crate) unit: String,
    /// The most that it should be, if we have set ourselves a goal.
    pub(crate) goal_max: Option<f64>,
    /// A number a round.
    pub(crate) rounds: Vec<f64>,
}

impl Figure {
    /// One without a goal.
    pub(crate) fn new(name: &str, unit: &str, rounds: Vec<f64>) -> Self {
        Self {
            name: name.to_owned(),
            unit: unit.to_owned(),
            goal_max: None,
            rounds,
        }
    }

    /// The number that this share of rounds stays below; 0 if there are none.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index of a short list"
        )]
        let index = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
        sorted.get(index).copied().unwrap_or_default()
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} {} ({} to {} in most of {} rounds)",
            self.name,
            readable(self.median()),
            self.unit,
            readable(self.quantile(0.1)),
            readable(self.quantile(0.9)),
            self.rounds.len()
        )?;
        match self.goal_max {
            Some(goal) if self.median() <= goal => write!(f, "; goal {goal}: met"),
            Some(goal) => write!(f, "; goal {goal}: MISSED"),
            None => Ok(()),
        }
    }
}

/// A number with about three digits that matter, and its thousands apart.
pub(crate) fn readable(number: f64) -> String {
    if number < 10.0 {
        return format!("{number:.2}");
    }
    if number < 1_000.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_up_rounds() {
        let mut figure = Figure::new("calls", "us", (1..=11).map(f64::from).rev().collect());
        assert_eq!(
            figure.to_string(),
            "calls: 6.00 us (2.00 to 10.0 in most of 11 rounds)"
        );
        figure.goal_max = Some(5.0);
        assert!(figure.to_string().ends_with("goal 5: MISSED"));
        figure.rounds.clear();
        assert!(figure.median().abs() < f64::EPSILON);
    }

    #[test]
    fn writes_numbers_as_people_do() {
        let texts = [1.234, 12.34, 123.4, 1_234.0, 1_234_567.8].map(readable);
        assert_eq!(texts, ["1.23", "12.3", "123.4", "1,234", "1,234,568"]);
    }
}
