//! How much one payload may say.
//!
//! A limit on a whole payload refuses the payload, with a code that begins with
//! `limit.`; a limit on one item rejects the item, or cuts its text and makes a
//! note. All are counted per payload after transport encodings were undone.

/// Limits of the standard formats. The defaults are far above what senders do:
/// Prometheus sends 2,000 samples in a request and the OpenTelemetry collector
/// 8,192 items in a batch, unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Samples in a payload, rows of the columns.
    pub samples_per_payload_max: usize,
    /// Series in a payload.
    pub series_per_payload_max: usize,
    /// Log lines in a payload.
    pub log_lines_per_payload_max: usize,
    /// Spans in a payload.
    pub spans_per_payload_max: usize,
    /// Alerts in a payload.
    pub alerts_per_payload_max: usize,
    /// Bytes of one alert of a list.
    pub alert_bytes_max: usize,
    /// Labels or attributes of a series or an alert, and annotations of an
    /// alert; also attributes of a resource that are looked at.
    pub labels_max: usize,
    /// Labels of all series or alerts of a payload together: the memory that a
    /// payload may take grows with these.
    pub labels_per_payload_max: usize,
    /// Bytes of their names and values together, each as often as it stands on a
    /// series: a resource says once what each of its series then has.
    pub label_bytes_per_payload_max: usize,
    /// Bytes of a label's name, a metric's name or a unit.
    pub label_name_bytes_max: usize,
    /// Bytes of a label's value.
    pub label_value_bytes_max: usize,
    /// Bytes of an annotation, which is cut there.
    pub annotation_bytes_max: usize,
    /// Bytes of an alert's title, which is cut there.
    pub title_bytes_max: usize,
    /// Bytes of a log line, which is cut there.
    pub log_line_bytes_max: usize,
    /// Bytes of the name of a span's operation, which is cut there.
    pub operation_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            samples_per_payload_max: 500_000,
            series_per_payload_max: 100_000,
            log_lines_per_payload_max: 200_000,
            spans_per_payload_max: 200_000,
            alerts_per_payload_max: 10_000,
            alert_bytes_max: 262_144,
            labels_max: 128,
            labels_per_payload_max: 1_000_000,
            label_bytes_per_payload_max: 64 << 20,
            label_name_bytes_max: 512,
            label_value_bytes_max: 2_048,
            annotation_bytes_max: 16_384,
            title_bytes_max: 512,
            log_line_bytes_max: 65_536,
            operation_bytes_max: 512,
        }
    }
}

/// The longest beginning of a text that has at most `bytes_max` bytes and ends
/// between two characters.
pub(crate) fn clip(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_between_characters() {
        assert_eq!(clip("für", 2), "f");
        assert_eq!(clip("für", 3), "fü");
        assert_eq!(clip("für", 9), "für");
        assert_eq!(clip("für", 0), "");
    }
}
