//! What detectors are given, and what they answer.

use faultline_domain::finding::{Band, EXTRA_BYTES_MAX, Finding, Subject};
use faultline_domain::plugin::{Failure, IntroducedSeries, IntroducedSource};
use faultline_domain::telemetry::{LogLines, Samples};

use super::correlate::blob_of;
use super::words::{clip, entity, entity_to, labels, labels_to, line, severity, text, time};
use crate::bindings::exports::faultline::plugin::detect as wit;
use crate::bindings::faultline::plugin::signals;

/// The most bytes of a finding's key; what is longer is cut.
const KEY_BYTES_MAX: usize = 512;

pub(crate) fn series_of(series: &IntroducedSeries) -> signals::Series {
    signals::Series {
        id: series.id,
        name: series.key.name.clone(),
        unit: series.key.unit.clone(),
        entity: series.key.entity.as_ref().map(entity_to),
        attributes: labels_to(&series.key.attributes),
    }
}

pub(crate) fn source_of(source: &IntroducedSource) -> signals::LogSource {
    signals::LogSource {
        id: source.id,
        entity: source.source.entity.as_ref().map(entity_to),
        attributes: labels_to(&source.source.attributes),
    }
}

pub(crate) fn samples_of(samples: &Samples) -> signals::Samples {
    signals::Samples {
        series: samples.series.clone(),
        time: samples.time.clone(),
        value: samples.value.clone(),
    }
}

pub(crate) fn log_lines_of(lines: &LogLines) -> signals::LogLines {
    signals::LogLines {
        source: lines.source.clone(),
        time: lines.time.clone(),
        severity: lines.severity.clone(),
        ends: lines.ends.clone(),
        text: lines.text.clone().into_bytes(),
    }
}

/// Findings about `rows` rows; about a step of time if there are none.
pub(crate) fn findings_of(raw: Vec<wit::Finding>, rows: usize) -> Result<Vec<Finding>, Failure> {
    raw.into_iter()
        .map(|finding| finding_of(finding, rows))
        .collect()
}

fn finding_of(raw: wit::Finding, rows: usize) -> Result<Finding, Failure> {
    let broken = |why: String| {
        let key = line(clip(raw.key.clone(), 80));
        Failure::Contract(format!("finding `{key}`: {why}"))
    };
    if let Some(row) = raw.row
        && row as usize >= rows
    {
        return Err(broken(format!("row {row} of {rows}")));
    }
    // Which row it belongs to would depend on how many came at once.
    if raw.row.is_none() && rows > 0 {
        return Err(broken(
            "it names no row, though it answers to rows".to_owned(),
        ));
    }
    if !(0.0..=1.0).contains(&raw.score) {
        return Err(broken(format!("its score is {}, not 0 to 1", raw.score)));
    }
    let extra = raw.extra.map(blob_of);
    let bytes = extra
        .as_ref()
        .map_or(0, |it| it.media_type.len() + it.bytes.len());
    if bytes > EXTRA_BYTES_MAX {
        return Err(broken(format!(
            "its extra has {bytes} bytes; {EXTRA_BYTES_MAX} at most"
        )));
    }
    let subject = match &raw.subject {
        wit::Subject::Series(id) => Subject::Series(*id),
        wit::Subject::LogSource(id) => Subject::LogSource(*id),
        wit::Subject::Entity(raw) => {
            Subject::Entity(entity(raw).map_err(|fault| broken(fault.message))?)
        }
    };
    let finite = |value: f64| value.is_finite().then_some(value);
    let band = |(low, high): (f64, f64)| {
        (low.is_finite() && high.is_finite() && low <= high).then_some(Band { low, high })
    };
    Ok(Finding {
        key: clip(raw.key, KEY_BYTES_MAX),
        firing: raw.firing,
        subject,
        row: raw.row,
        title: text(raw.title),
        severity: severity(&raw.severity).grade,
        score: raw.score,
        started: time(raw.started),
        at: time(raw.at),
        value: raw.value.and_then(finite),
        expected: raw.expected.and_then(band),
        attributes: labels(raw.attributes),
        extra,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::faultline::plugin::types;

    #[test]
    fn what_a_finding_says_in_its_own_shape_is_kept_up_to_a_size() {
        let with = |bytes: usize| {
            let finding = wit::Finding {
                key: "k".to_owned(),
                firing: true,
                subject: wit::Subject::Series(1),
                row: None,
                title: "t".to_owned(),
                severity: "high".to_owned(),
                score: 0.5,
                started: 1,
                at: 2,
                value: None,
                expected: None,
                attributes: Vec::new(),
                extra: Some(types::Blob {
                    media_type: "a/b".to_owned(),
                    bytes: vec![7; bytes],
                }),
            };
            findings_of(vec![finding], 0)
        };
        let kept = with(EXTRA_BYTES_MAX - 3).expect("as much as it may");
        let extra = kept[0].extra.as_ref().expect("kept");
        assert_eq!((extra.media_type.as_str(), extra.bytes[0]), ("a/b", 7));
        let failure = with(EXTRA_BYTES_MAX).expect_err("too much");
        assert!(failure.to_string().contains("its extra has"), "{failure}");
    }
}
