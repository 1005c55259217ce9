//! Findings: what detectors say.

use crate::{Attribute, Blob, Entity, Finding, LogLine, Sample, Severity, Subject, Timestamp};

/// What a finding was seen on: a row of a batch, or a moment of event time.
///
/// Made from a [`Sample`], from a [`LogLine`], or from a subject and the
/// watermark of a tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// What it is about.
    pub subject: Subject,
    /// The row of the batch; none in a tick.
    pub row: Option<u32>,
    /// The event time of the row or of the tick.
    pub at: Timestamp,
    /// The measurement, where there is one.
    pub value: Option<f64>,
}

impl From<Sample> for Sighting {
    fn from(sample: Sample) -> Self {
        Self {
            subject: Subject::Series(sample.series),
            row: Some(sample.row),
            at: sample.time,
            value: Some(sample.value),
        }
    }
}

impl From<LogLine<'_>> for Sighting {
    fn from(line: LogLine<'_>) -> Self {
        Self {
            subject: Subject::LogSource(line.source),
            row: Some(line.row),
            at: line.time,
            value: None,
        }
    }
}

impl From<(Subject, Timestamp)> for Sighting {
    fn from((subject, at): (Subject, Timestamp)) -> Self {
        Self {
            subject,
            row: None,
            at,
            value: None,
        }
    }
}

impl Finding {
    /// Something is out of the ordinary. Until said otherwise it began with
    /// this row, is a warning, scores 1 and has its key as title.
    ///
    /// The key names the condition among those of its subject: a later finding
    /// with the same subject and key updates this one.
    pub fn firing(key: impl Into<String>, seen: impl Into<Sighting>) -> Self {
        Self::seen(key.into(), seen.into(), true, 1.0)
    }

    /// Back to normal: ends the condition with this key. The score is 0.
    pub fn recovered(key: impl Into<String>, seen: impl Into<Sighting>) -> Self {
        Self::seen(key.into(), seen.into(), false, 0.0)
    }

    fn seen(key: String, seen: Sighting, firing: bool, score: f64) -> Self {
        Self {
            title: key.clone(),
            key,
            firing,
            subject: seen.subject,
            row: seen.row,
            severity: Severity::Warning.into(),
            score,
            started: seen.at,
            at: seen.at,
            value: seen.value,
            expected: None,
            attributes: Vec::new(),
            extra: None,
        }
    }

    /// A line for people, with the numbers.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// How bad.
    #[must_use]
    pub fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = severity.into();
        self
    }

    /// How far from normal, 0 to 1, comparable across series. What is outside
    /// is clamped; what is not a number counts as 0.
    #[must_use]
    pub fn with_score(mut self, score: f64) -> Self {
        self.score = if score.is_nan() {
            0.0
        } else {
            score.clamp(0.0, 1.0)
        };
        self
    }

    /// Since when the condition holds.
    #[must_use]
    pub fn with_started(mut self, started: Timestamp) -> Self {
        self.started = started;
        self
    }

    /// What was seen, if it is not the value of the row.
    #[must_use]
    pub fn with_value(mut self, value: f64) -> Self {
        self.value = Some(value);
        self
    }

    /// The band that the value was expected in.
    #[must_use]
    pub fn with_expected(mut self, low: f64, high: f64) -> Self {
        self.expected = Some((low, high));
        self
    }

    /// About another subject than the row's own.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<Subject>) -> Self {
        self.subject = subject.into();
        self
    }

    /// Whatever else there is to say.
    #[must_use]
    pub fn with_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push(Attribute::new(key, value));
        self
    }

    /// A payload of the detector's own shape, which the host keeps with the alert.
    /// At most 4 KiB.
    #[must_use]
    pub fn with_extra(mut self, extra: Blob) -> Self {
        self.extra = Some(extra);
        self
    }
}

impl From<Entity> for Subject {
    fn from(entity: Entity) -> Self {
        Subject::Entity(entity)
    }
}

/// Where a detector puts what it finds.
///
/// Allocates nothing until the first finding.
#[derive(Debug, Default)]
pub struct Findings {
    found: Vec<Finding>,
}

impl Findings {
    /// None yet.
    pub const fn new() -> Self {
        Self { found: Vec::new() }
    }

    /// Reports a finding. They reach the host in this order.
    pub fn push(&mut self, finding: Finding) {
        self.found.push(finding);
    }

    /// Those of this call so far.
    pub fn as_slice(&self) -> &[Finding] {
        &self.found
    }

    /// All of them.
    pub fn into_vec(self) -> Vec<Finding> {
        self.found
    }
}
