//! From events to findings: the words and the numbers.

use faultline_robust::Side;
use faultline_sdk::{Finding, Severity, Sighting};

use crate::episode::{Ending, Episode, Event, Grade};
use crate::quantity::{Scale, duration};
use crate::season::Period;
use crate::view::{Sight, View};
use crate::watched::Watched;

/// The key of all findings: a series is out of the ordinary, or it is not. In
/// which way may change while it lasts, and is said in the attributes.
pub(crate) const KEY: &str = "anomaly";

/// The rarity at which the score is a half: once in 100 days.
const HALF_SCORE_RARITY: f64 = 2.0;

/// The finding for what a row brought about.
pub(crate) fn finding(series: &Watched, event: &Event, seen: impl Into<Sighting>) -> Finding {
    match event {
        Event::Opened(episode) | Event::Worsened(episode) => firing(series, episode, seen.into()),
        Event::Closed(episode, ending) => closed(series, episode, *ending, seen.into()),
    }
}

/// The finding for an open episode of a series that fell silent.
pub(crate) fn silent(series: &Watched, episode: &Episode, seen: impl Into<Sighting>) -> Finding {
    let seen = seen.into();
    let silence = micros_between(series.last(), seen.at);
    let title = format!(
        "{} has had no samples for {}",
        series.label(),
        duration(silence)
    );
    Finding::recovered(KEY, seen)
        .with_title(title)
        .with_severity(severity(episode.grade))
        .with_started(episode.started)
        .with_attribute("ending", "silent")
}

fn firing(series: &Watched, episode: &Episode, seen: Sighting) -> Finding {
    let sight = &episode.sight;
    let mut finding = Finding::firing(KEY, seen)
        .with_title(title(series, sight))
        .with_severity(severity(episode.grade))
        .with_score(score(episode.rarity))
        .with_started(episode.started)
        .with_attribute("direction", direction(sight))
        .with_attribute("method", sight.view.as_str())
        .with_attribute("once-in-days", once_in_days(episode.rarity));
    if let Some(period) = sight.season {
        finding = finding.with_attribute("season", season(period));
    }
    if sight.view == View::Stillness {
        return finding;
    }
    finding
        .with_value(sight.seen)
        .with_expected(sight.low, sight.high)
        .with_attribute("deviation", deviation(sight))
}

fn closed(series: &Watched, episode: &Episode, ending: Ending, seen: Sighting) -> Finding {
    let value = seen.value.unwrap_or(0.0);
    let value = Scale::of(series.unit(), value).with_unit(value);
    let label = series.label();
    let (title, word) = match ending {
        Ending::Recovered => (format!("{label} is back to normal at {value}"), "recovered"),
        Ending::Settled => {
            let lasted = duration(micros_between(episode.started, seen.at));
            let title = format!("{label} is {value} after {lasted}: taken for its new normal");
            (title, "settled")
        }
    };
    Finding::recovered(KEY, seen)
        .with_title(title)
        .with_severity(severity(episode.grade))
        .with_started(episode.started)
        .with_attribute("ending", word)
}

/// A line such as `latency of service/cart is 2.31 s, expected 0.08 to 0.31 s`.
fn title(series: &Watched, sight: &Sight) -> String {
    let label = series.label();
    let interval = series.interval_micros();
    if sight.view == View::Stillness {
        let time = duration(sight.seen * interval);
        return format!("{label} has not changed for {time}");
    }
    let largest = sight.seen.abs().max(sight.high.abs()).max(sight.low.abs());
    let scale = Scale::of(series.unit(), largest);
    let what = match sight.view {
        View::Shift | View::SeasonalShift => "has averaged",
        View::Drift => "has long averaged",
        View::Variation => "varies from sample to sample by",
        View::Jump | View::Season | View::Level | View::Stillness => "is",
    };
    let when = match sight.season {
        None => "",
        Some(Period::Day) => " at this time of the day",
        Some(Period::Week) => " at this hour of the week",
    };
    format!(
        "{label} {what} {}, expected {} to {}{when}",
        scale.with_unit(sight.seen),
        scale.bare(sight.low),
        scale.with_unit(sight.high),
    )
}

fn direction(sight: &Sight) -> &'static str {
    match (sight.view, sight.side()) {
        (View::Stillness, _) => "flat",
        (View::Variation, Side::Above) => "erratic",
        (View::Variation, Side::Below) => "steady",
        (_, Side::Above) => "above",
        (_, Side::Below) => "below",
    }
}

fn season(period: Period) -> &'static str {
    match period {
        Period::Day => "day",
        Period::Week => "week",
    }
}

fn severity(grade: Grade) -> Severity {
    match grade {
        Grade::Info => Severity::Info,
        Grade::Low => Severity::Low,
        Grade::Warning => Severity::Warning,
        Grade::High => Severity::High,
    }
}

/// 0 for what happens daily, a half for once in 100 days, towards 1 beyond.
fn score(rarity: f64) -> f64 {
    rarity / (rarity + HALF_SCORE_RARITY)
}

/// How far off, in units of the deviation that one row in a hundred exceeds.
fn deviation(sight: &Sight) -> String {
    let (away, usual) = match sight.side() {
        Side::Above => (sight.seen - sight.expected, sight.high - sight.expected),
        Side::Below => (sight.expected - sight.seen, sight.expected - sight.low),
    };
    format!("{:.1}", away / usual.max(f64::MIN_POSITIVE))
}

/// Ten to the power of the rarity, as a number with one or two digits.
fn once_in_days(rarity: f64) -> String {
    let days = faultline_robust::rough_exp2(rarity * std::f64::consts::LOG2_10);
    if days < 10.0 {
        format!("{days:.1}")
    } else {
        Scale::of("", days).with_unit(days)
    }
}

/// Microseconds from one time to a later one.
fn micros_between(earlier: u64, later: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "times are below 2^53")]
    let micros = later.saturating_sub(earlier) as f64;
    micros
}
