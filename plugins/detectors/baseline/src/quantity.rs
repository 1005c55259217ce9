//! Numbers for people: three digits and a unit.

/// Numbers smaller than this share of the largest are shown as zero.
const NEGLIGIBLE_SHARE: f64 = 1e-6;
/// Prefixes for seconds, from large to small.
const TIME_PREFIXES: [(f64, &str); 4] = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")];
/// Prefixes for bytes (IEC 80000-13).
const BYTE_PREFIXES: [(f64, &str); 6] = [
    (1_125_899_906_842_624.0, "PiB"),
    (1_099_511_627_776.0, "TiB"),
    (1_073_741_824.0, "GiB"),
    (1_048_576.0, "MiB"),
    (1_024.0, "KiB"),
    (1.0, "B"),
];
/// Prefixes for everything else. Thousands stay thousands up to 10,000.
const PLAIN_PREFIXES: [(f64, &str); 5] =
    [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k"), (0.0, "")];

/// How to write the numbers of one sentence, all on the same scale.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scale {
    divisor: f64,
    suffix: String,
    /// What is smaller is shown as zero.
    negligible: f64,
}

impl Scale {
    /// For numbers of this unit (UCUM), of which this is the largest.
    pub(crate) fn of(unit: &str, largest: f64) -> Self {
        let largest = largest.abs();
        let negligible = largest * NEGLIGIBLE_SHARE;
        let (base, per) = match unit.split_once('/') {
            Some((base, per)) => (base, format!("/{}", without_braces(per))),
            None => (unit, String::new()),
        };
        let pick = |prefixes: &[(f64, &'static str)]| {
            *prefixes
                .iter()
                .find(|(size, _)| largest >= *size)
                .or(prefixes.last())
                .unwrap_or(&(1.0, ""))
        };
        let (divisor, suffix) = match base {
            "s" => pick(&TIME_PREFIXES),
            "By" => pick(&BYTE_PREFIXES),
            "%" => (1.0, "%"),
            _ => {
                let (size, prefix) = pick(&PLAIN_PREFIXES);
                let divisor = if prefix == "k" { 1e3 } else { size.max(1.0) };
                let name = without_braces(base);
                let name = if name == "1" { "" } else { name };
                return Self {
                    divisor,
                    suffix: join(prefix, name, &per),
                    negligible,
                };
            }
        };
        Self {
            divisor,
            suffix: format!(" {suffix}{per}"),
            negligible,
        }
    }

    /// A number without its unit.
    pub(crate) fn bare(&self, number: f64) -> String {
        if number.abs() < self.negligible {
            return "0".to_owned();
        }
        three_digits(number / self.divisor)
    }

    /// A number with its unit.
    pub(crate) fn with_unit(&self, number: f64) -> String {
        format!("{}{}", self.bare(number), self.suffix)
    }
}

fn join(prefix: &str, name: &str, per: &str) -> String {
    let words = match (prefix, name) {
        ("", name) => name.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, name) => format!("{prefix} {name}"),
    };
    if words.is_empty() && per.is_empty() {
        words
    } else {
        format!(" {words}{per}")
    }
}

/// `{request}` is an annotation, not a unit.
fn without_braces(unit: &str) -> &str {
    unit.strip_prefix('{')
        .and_then(|unit| unit.strip_suffix('}'))
        .unwrap_or(unit)
}

/// Three significant digits, without trailing zeros after the point.
fn three_digits(number: f64) -> String {
    let size = number.abs();
    let decimals = if size >= 100.0 || size == 0.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else if size >= 0.1 {
        3
    } else if size >= 0.01 {
        4
    } else if size >= 0.001 {
        5
    } else if size >= 1e-6 {
        8
    } else {
        return format!("{number:.2e}");
    };
    if size >= 1e7 {
        return format!("{number:.2e}");
    }
    let text = format!("{number:.decimals$}");
    if text.contains('.') {
        let text = text.trim_end_matches('0').trim_end_matches('.');
        return if text == "-0" { "0" } else { text }.to_owned();
    }
    text
}

/// A span of time: the two largest units that it has.
pub(crate) fn duration(micros: f64) -> String {
    let seconds = micros / 1e6;
    if seconds < 1.0 {
        return format!("{} ms", three_digits(seconds * 1e3));
    }
    for (unit, size) in [("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)] {
        if seconds >= size * 2.0 {
            return format!(
                "{} {unit}",
                three_digits((seconds / size * 10.0).round() / 10.0)
            );
        }
    }
    format!("{} s", three_digits(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_well() {
        for (unit, number, expected) in [
            ("s", 2.3149, "2.31 s"),
            ("s", 0.08, "80 ms"),
            ("s", 0.0, "0 ns"),
            ("By", 1_536.0, "1.5 KiB"),
            ("By/s", 3e9, "2.79 GiB/s"),
            ("%", 99.95, "100 %"),
            ("%", 9.995, "9.99 %"),
            ("1", 0.3, "0.3"),
            ("", 0.0, "0"),
            ("", 1_234.0, "1234"),
            ("", 12_345.0, "12.3 k"),
            ("{request}/s", 12.0, "12 request/s"),
            ("{request}", 2.5e6, "2.5 M request"),
            ("1/s", 20.0, "20 /s"),
            ("Cel", -3.25, "-3.25 Cel"),
            ("", 1.5e300, "1.50e288 T"),
            ("", -0.000_000_01, "-1.00e-8"),
        ] {
            assert_eq!(
                Scale::of(unit, number).with_unit(number),
                expected,
                "{unit}"
            );
        }
    }

    #[test]
    fn numbers_of_one_sentence_share_a_scale() {
        let scale = Scale::of("s", 2.31);
        assert_eq!(scale.bare(0.08), "0.08");
        assert_eq!(scale.with_unit(0.31), "0.31 s");
        assert_eq!(scale.bare(-1e-9), "0");
    }

    #[test]
    fn tells_spans_of_time() {
        for (seconds, expected) in [
            (0.25, "250 ms"),
            (5.0, "5 s"),
            (90.0, "90 s"),
            (600.0, "10 min"),
            (5_400.0, "90 min"),
            (9_000.0, "2.5 h"),
            (259_200.0, "3 d"),
        ] {
            assert_eq!(duration(seconds * 1e6), expected);
        }
    }
}
