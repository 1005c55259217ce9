//! From an item to the measurement or the log line that a mapping makes of it.

use faultline_sdk::text::clip;
use faultline_sdk::{DecodedBuilder, Fault, LogSource, Series};

use crate::config::{LogMapping, SampleMapping};
use crate::reader::Reader;

/// The most that is quoted of a text that is no number.
const QUOTED_CHARACTERS_MAX: usize = 40;

impl SampleMapping {
    pub(crate) fn read(
        &self,
        reader: &Reader<'_>,
        decoded: &mut DecodedBuilder,
    ) -> Result<(), Fault> {
        let value = number(&reader.required("value", &self.value)?)?;
        let time = reader.moment_or_arrival("time", self.time.as_ref())?;
        let mut series = Series::new(
            reader.required("name", &self.name)?,
            reader.optional(self.unit.as_ref()).unwrap_or_default(),
            reader.entity("entity", &self.entity)?,
        );
        series.attributes = reader.pairs(&self.attributes, &self.attributes_from);
        let series = decoded.series(series);
        decoded.sample(series, time, value);
        Ok(())
    }
}

/// A number, or true and false as 1 and 0.
fn number(text: &str) -> Result<f64, Fault> {
    match text.trim() {
        "true" => Ok(1.0),
        "false" => Ok(0.0),
        text => text
            .parse()
            .ok()
            .filter(|value: &f64| value.is_finite())
            .ok_or_else(|| {
                Fault::malformed(format!(
                    "`value`: `{}` is not a number",
                    clip(text, QUOTED_CHARACTERS_MAX)
                ))
            }),
    }
}

impl LogMapping {
    pub(crate) fn read(
        &self,
        reader: &Reader<'_>,
        decoded: &mut DecodedBuilder,
    ) -> Result<(), Fault> {
        let time = reader.moment_or_arrival("time", self.time.as_ref())?;
        let text = reader.required("text", &self.text)?;
        let word = reader.optional(self.severity.as_ref());
        let mut source = LogSource::new(reader.entity("entity", &self.entity)?);
        source.attributes = reader.pairs(&self.attributes, &self.attributes_from);
        let source = decoded.log_source(source);
        let severity = word.as_deref().map_or(0, severity_number);
        decoded.line(source, time, severity, &text)
    }
}

/// OpenTelemetry's severity number: itself, or the one that a word stands for
/// (logs data model, "Mapping of `SeverityNumber`", with the words of syslog);
/// 0 for what is neither.
fn severity_number(word: &str) -> u8 {
    let word = word.trim().to_ascii_lowercase();
    if let Ok(number) = word.parse::<u8>() {
        return if number <= 24 { number } else { 0 };
    }
    match word.as_str() {
        "trace" => 1,
        "debug" => 5,
        "info" | "information" | "informational" => 9,
        "notice" => 10,
        "warn" | "warning" => 13,
        "error" | "err" => 17,
        "critical" | "crit" => 18,
        "alert" => 19,
        "fatal" | "emergency" | "emerg" | "panic" => 21,
        _ => 0,
    }
}
