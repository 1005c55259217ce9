//! The words and the numbers of findings.

use faultline_robust::rough_exp2;
use faultline_sdk::{Finding, Severity, Sighting};

use crate::condition::{Condition, Ending, Open};
use crate::label::cut;

/// The most bytes of a template in a title.
const TITLE_TEMPLATE_BYTES_MAX: usize = 160;
/// The rarity at which the score is a half: once in 100 days.
const HALF_SCORE_RARITY: f64 = 2.0;

/// What a finding is made of.
pub(crate) struct Words<'a> {
    /// The source.
    pub(crate) label: &'a str,
    /// What is wrong.
    pub(crate) open: &'a Open,
    /// The kind of line that it is about, if it is about one that is known.
    pub(crate) template: Option<String>,
    /// Where it was seen.
    pub(crate) seen: &'a Sighting,
}

/// What was counted in a bucket, and what was expected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) lines: u32,
    /// How long the bucket is.
    pub(crate) seconds: u32,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Minus the decimal logarithm of how often a day chance alone brings it
    /// about.
    pub(crate) rarity: f64,
}

/// What was counted of errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErrorShare {
    pub(crate) errors: u32,
    pub(crate) lines: u32,
    /// Up to this share was expected.
    pub(crate) high: f64,
    pub(crate) rarity: f64,
}

impl Words<'_> {
    /// A kind of line that was never seen.
    pub(crate) fn new_pattern(&self, lines: u32) -> Finding {
        let severity = self.open.severity;
        let what = if severity >= Severity::Warning {
            "a new kind of error"
        } else {
            "a new kind of line"
        };
        let times = if lines > 1 {
            format!(" ({lines} at once)")
        } else {
            String::new()
        };
        let title = format!("{}: {what}{times}: {}", self.label, self.short_template());
        let finding = self
            .firing(title, score_of(severity))
            .with_attribute("direction", "new");
        match &self.open.condition {
            Condition::NewPattern { excerpt, .. } => finding.with_attribute("excerpt", excerpt),
            _ => finding,
        }
    }

    /// Far more lines of a kind than usual.
    pub(crate) fn burst(&self, count: &Count) -> Finding {
        let title = format!(
            "{}: {} lines in {} s, expected up to {:.0}: {}",
            self.label,
            count.lines,
            count.seconds,
            count.high,
            self.short_template()
        );
        self.counted(title, f64::from(count.lines), count.rarity)
            .with_expected(0.0, count.high)
            .with_attribute("direction", "above")
    }

    /// A greater share of errors than usual; `worst` is the error of which
    /// there were most lines.
    pub(crate) fn errors(&self, share: &ErrorShare, worst: Option<String>) -> Finding {
        let ErrorShare { errors, lines, .. } = share;
        let seen = f64::from(*errors) / f64::from((*lines).max(1));
        let mut title = format!(
            "{}: {:.1} % of lines are errors ({errors} of {lines}), expected up to {:.1} %",
            self.label,
            seen * 100.0,
            share.high * 100.0
        );
        if let Some(worst) = &worst {
            title.push_str("; most of them: ");
            title.push_str(cut(worst, TITLE_TEMPLATE_BYTES_MAX));
        }
        let finding = self
            .counted(title, seen, share.rarity)
            .with_expected(0.0, share.high)
            .with_attribute("direction", "above");
        match worst {
            Some(worst) => finding.with_attribute("template", worst),
            None => finding,
        }
    }

    /// Far more lines than usual, or far fewer.
    pub(crate) fn volume(&self, count: &Count) -> Finding {
        let title = format!(
            "{}: {} lines in {} s, expected {:.0} to {:.0}",
            self.label, count.lines, count.seconds, count.low, count.high
        );
        let lines = f64::from(count.lines);
        let direction = if lines < count.low { "below" } else { "above" };
        self.counted(title, lines, count.rarity)
            .with_expected(count.low, count.high)
            .with_attribute("direction", direction)
    }

    /// It is over.
    pub(crate) fn over(&self, ending: Ending) -> Finding {
        let what = match &self.open.condition {
            Condition::NewPattern { .. } => "the new kind of line",
            Condition::Burst { .. } => "the burst of lines",
            Condition::Errors { .. } => "the unusual share of errors",
            Condition::Volume { .. } => "the unusual number of lines",
        };
        let how = match ending {
            Ending::Recovered => "is over",
            Ending::Settled => "has lasted so long that it is normal now",
            Ending::Merged => "is no longer kept apart from others",
            Ending::Silent => "ended: nothing was written for long",
            Ending::Reconfigured => "ended: lines are counted over another time now",
        };
        Finding::recovered(self.open.condition.key(), self.seen.clone())
            .with_title(format!("{}: {what} {how}", self.label))
            .with_severity(self.open.severity)
            .with_started(self.open.started)
            .with_attribute("method", self.open.condition.as_str())
            .with_attribute("ending", ending.as_str())
    }

    fn counted(&self, title: String, value: f64, rarity: f64) -> Finding {
        self.firing(title, score(rarity))
            .with_value(value)
            .with_attribute("once-in-days", once_in_days(rarity))
    }

    fn firing(&self, title: String, score: f64) -> Finding {
        let finding = Finding::firing(self.open.condition.key(), self.seen.clone())
            .with_title(title)
            .with_severity(self.open.severity)
            .with_score(score)
            .with_started(self.open.started)
            .with_attribute("method", self.open.condition.as_str());
        match &self.template {
            Some(template) => finding.with_attribute("template", template),
            None => finding,
        }
    }

    fn short_template(&self) -> &str {
        let text = self.template.as_deref().unwrap_or_default();
        cut(text, TITLE_TEMPLATE_BYTES_MAX)
    }
}

/// 0 for what happens daily, a half for once in 100 days, towards 1 beyond.
fn score(rarity: f64) -> f64 {
    rarity / (rarity + HALF_SCORE_RARITY)
}

/// Ten to the power of the rarity, as a whole number.
fn once_in_days(rarity: f64) -> String {
    let days = rough_exp2(rarity * std::f64::consts::LOG2_10);
    format!("{days:.0}")
}

/// How rare it is that a kind of line is new cannot be known from one line: the
/// score says how bad it sounds.
fn score_of(severity: Severity) -> f64 {
    match severity {
        Severity::Info => 0.3,
        Severity::Low => 0.4,
        Severity::Warning => 0.55,
        Severity::High | Severity::Critical => 0.7,
    }
}
