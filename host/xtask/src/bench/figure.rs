//! What was measured: figures, which are a number a round, and curves, which
//! are a number a size.

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
    /// What it should be, if we have set ourselves a goal.
    pub(crate) goal: Option<Goal>,
    /// A number a round.
    pub(crate) rounds: Vec<f64>,
}

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Goal {
    /// So much or less.
    AtMost(f64),
    /// So much or more.
    AtLeast(f64),
}

impl Goal {
    fn is_met_by(self, number: f64) -> bool {
        match self {
            Goal::AtMost(most) => number <= most,
            Goal::AtLeast(least) => number >= least,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::AtMost(most) => write!(f, "at most {}", plain(*most)),
            Goal::AtLeast(least) => write!(f, "at least {}", plain(*least)),
        }
    }
}

impl Figure {
    /// One without a goal.
    pub(crate) fn new(name: &str, unit: &str, rounds: Vec<f64>) -> Self {
        Self {
            name: name.to_owned(),
            unit: unit.to_owned(),
            goal: None,
            rounds,
        }
    }

    /// The same with a goal.
    pub(crate) fn with_goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    /// The number that this share of rounds stays below; 0 if there are none.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        quantile(&self.rounds, share)
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Whether the goal is met, by the median; none if there is no goal.
    pub(crate) fn verdict(&self) -> Option<(Goal, bool)> {
        let goal = self.goal?;
        Some((goal, goal.is_met_by(self.median())))
    }
}

/// The number that this share of numbers stays below; 0 if there are none.
pub(crate) fn quantile(numbers: &[f64], share: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index of a list"
    )]
    let index = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
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
        match self.verdict() {
            Some((goal, true)) => write!(f, "; goal {goal}: met"),
            Some((goal, false)) => write!(f, "; goal {goal}: MISSED"),
            None => Ok(()),
        }
    }
}

/// What one piece of work costs where there is ever more of something.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Curve {
    /// What costs, such as `a sample by remote write`.
    pub(crate) name: String,
    /// What there is more of, such as `series`.
    pub(crate) along: String,
    /// Of the cost.
    pub(crate) unit: String,
    /// How much there is, and what one piece of work costs then.
    pub(crate) points: Vec<(u64, f64)>,
}

impl Curve {
    /// One without points.
    pub(crate) fn new(name: &str, along: &str, unit: &str) -> Self {
        Self {
            name: name.to_owned(),
            along: along.to_owned(),
            unit: unit.to_owned(),
            points: Vec::new(),
        }
    }

    /// What a piece costs where there is most, in terms of what it costs where
    /// there is least: 1 if the work as a whole grows linearly.
    pub(crate) fn growth(&self) -> f64 {
        match (self.points.first(), self.points.last()) {
            (Some((_, least)), Some((_, most))) if *least > 0.0 => most / least,
            _ => 1.0,
        }
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}:", self.name, self.along)?;
        for (size, cost) in &self.points {
            write!(f, " {size}: {}", readable(*cost))?;
        }
        write!(f, " {}; {:.2} times", self.unit, self.growth())
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
    grouped(&format!("{number:.0}"))
}

/// A number as it was set, with its thousands apart.
fn plain(number: f64) -> String {
    if number < 1_000.0 {
        number.to_string()
    } else {
        grouped(&number.to_string())
    }
}

fn grouped(digits: &str) -> String {
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
        figure.goal = Some(Goal::AtMost(5.0));
        assert!(
            figure.to_string().ends_with("goal at most 5: MISSED"),
            "{figure}"
        );
        figure.goal = Some(Goal::AtLeast(5.0));
        assert!(
            figure.to_string().ends_with("goal at least 5: met"),
            "{figure}"
        );
        figure.rounds.clear();
        assert!(figure.median().abs() < f64::EPSILON);
    }

    #[test]
    fn reads_what_benches_print() {
        let text = r#"{"name": "calls", "unit": "us", "goal": {"at-most": 40.0}, "rounds": [1.0]}"#;
        let figure: Figure = serde_json::from_str(text).expect("a figure");
        assert_eq!(
            figure,
            Figure::new("calls", "us", vec![1.0]).with_goal(Goal::AtMost(40.0))
        );
    }

    #[test]
    fn tells_how_cost_grows() {
        let mut curve = Curve::new("a call", "series", "us");
        assert!((curve.growth() - 1.0).abs() < f64::EPSILON);
        curve.points = vec![(10, 2.0), (100, 2.0), (1_000, 5.0)];
        assert!((curve.growth() - 2.5).abs() < f64::EPSILON);
        assert_eq!(
            curve.to_string(),
            "a call by series: 10: 2.00 100: 2.00 1000: 5.00 us; 2.50 times"
        );
    }

    #[test]
    fn writes_numbers_as_people_do() {
        let texts = [1.234, 12.34, 123.4, 1_234.0, 1_234_567.8].map(readable);
        assert_eq!(texts, ["1.23", "12.3", "123.4", "1,234", "1,234,568"]);
        assert_eq!(Goal::AtLeast(300_000.0).to_string(), "at least 300,000");
        assert_eq!(Goal::AtMost(1.3).to_string(), "at most 1.3");
    }
}
