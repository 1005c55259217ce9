//! What a closed bucket of time says: lines of each pattern, errors, and all
//! lines together, each against what is usual.
//!
//! A count is compared on a scale on which chance alone strays by 1 (see
//! [`Rate`]). How far a source really strays on that scale is learned by a
//! tail, so that one which writes in bursts is not reported for it.

use faultline_robust::{Scale, rough_log10};
use faultline_sdk::Severity;

use crate::condition::{Condition, Ending, Open};
use crate::gravity::raised;
use crate::label::cut;
use crate::miner::TemplateId;
use crate::rate::{Rate, poisson_deviation};
use crate::report::{Count, ErrorShare};
use crate::source::{EXCERPT_BYTES_MAX, Occasion, Source};

/// Deviations of counts matter from here on, in units of what chance brings;
/// and so much may well be where there never was a deviation.
const DEVIATION_SCALE: Scale = Scale {
    floor: 2.0,
    unknown: 4.0,
};
/// The deviation to which a number counts as usual.
const USUAL_DEVIATION: f64 = 4.0;
/// Counts are judged once so many buckets are known.
const BUCKETS_MIN: f64 = 20.0;
/// Tails learn once so many are: what strays before that is the average.
const LEARN_BUCKETS_MIN: f64 = 4.0;
/// Buckets that tails remember: about ten days of half minutes.
const MEMORY_BUCKETS: u32 = 30_000;
/// A burst has so many lines in a bucket at least, and so many times the usual.
const BURST_LINES_MIN: u32 = 10;
const BURST_FACTOR_MIN: f64 = 3.0;
/// A new pattern of so many lines in a bucket is a burst as well.
const NEW_BURST_LINES_MIN: u32 = 20;
/// For so many buckets a pattern counts as new.
const NEW_BUCKETS: u64 = 20;
/// Errors are reported from so many in a bucket on, and if their share grew by
/// so much.
const ERRORS_MIN: u32 = 5;
const ERROR_SHARE_GROWTH_MIN: f64 = 0.01;
/// A source is missed if so many lines were expected, and a quarter of the
/// lowest usual number came at most.
const MISSED_LINES_MIN: f64 = 20.0;
const MISSED_SHARE: f64 = 0.25;
/// Buckets over which the share of errors is averaged.
const SHARE_BUCKETS: f64 = 240.0;
/// The rarity from which what is about counts is one grade worse: once in 100
/// days.
const WORSE_RARITY: f64 = 2.0;

/// Which quantity of a source's tails is which.
const BURSTS: usize = 0;
const ERRORS: usize = 1;
const VOLUME: usize = 2;
/// How many there are.
pub(super) const QUANTITIES: usize = 3;

/// A pattern's count in the bucket that closes.
#[derive(Debug, Clone, Copy)]
struct Counted {
    slot: usize,
    template: TemplateId,
    gravity: Severity,
    lines: u32,
}

impl Source {
    /// Judges the counts of all patterns. Gives the error of which there were
    /// most lines.
    pub(super) fn close_patterns(
        &mut self,
        bucket: u64,
        occasion: &mut Occasion,
    ) -> Option<TemplateId> {
        let mut active = 0.0;
        let mut worst: Option<Counted> = None;
        for slot in 0..self.miner.kinds().len() {
            let Some(kind) = self.miner.kinds_mut().get_mut(slot) else {
                break;
            };
            let counted = Counted {
                slot,
                template: kind.id,
                gravity: kind.rest.gravity,
                lines: kind.rest.counts.take(bucket),
            };
            let open = self
                .open
                .iter()
                .position(|open| open.condition.is_burst_of(counted.template));
            if let Some(place) = open {
                self.watch_burst(place, &counted, bucket, occasion);
            } else if counted.lines > 0 {
                self.judge_pattern(&counted, bucket, occasion);
            }
            if counted.lines == 0 {
                continue;
            }
            active += 1.0;
            if counted.gravity >= Severity::Warning
                && worst.is_none_or(|worst| worst.lines < counted.lines)
            {
                worst = Some(counted);
            }
        }
        self.active += (active - self.active) / (self.closed + 1.0).min(SHARE_BUCKETS);
        worst.map(|counted| counted.template)
    }

    fn judge_pattern(&mut self, counted: &Counted, bucket: u64, occasion: &mut Occasion) {
        let config = occasion.config;
        let Some(kind) = self.miner.kinds_mut().get_mut(counted.slot) else {
            return;
        };
        let pattern = &mut kind.rest;
        let age = bucket.saturating_sub(pattern.first / self.bucket_micros);
        let was_news = pattern.was_news;
        let rate = pattern
            .rate
            .get_or_insert_with(|| Rate::unheard_of(bucket, self.closed));
        rate.advance(bucket);
        let deviation = rate.deviation(counted.lines);
        let usual = rate.count_at(0.0);
        let high = rate.count_at(USUAL_DEVIATION);
        let known = rate.known_buckets();
        rate.take(bucket, counted.lines);
        if age < NEW_BUCKETS {
            if was_news && counted.lines >= NEW_BURST_LINES_MIN {
                self.new_pattern_bursts(counted, bucket, occasion);
            }
            return;
        }
        if known < LEARN_BUCKETS_MIN {
            return;
        }
        let per_day = self.active.max(1.0) * config.buckets_per_day();
        let rarity = self.surprise(BURSTS, deviation) - rough_log10(per_day.max(1.0));
        let is_burst = known >= BUCKETS_MIN
            && counted.lines >= BURST_LINES_MIN
            && f64::from(counted.lines) >= BURST_FACTOR_MIN * usual.max(1.0)
            && rarity >= config.open_rarity();
        if is_burst {
            let template = counted.template;
            let condition = Condition::Burst { template, high };
            let severity = of_rarity(rarity, counted.gravity);
            let count = Count {
                lines: counted.lines,
                seconds: config.bucket_seconds,
                low: 0.0,
                high,
                rarity,
            };
            let open = Open::new(condition, severity, bucket * self.bucket_micros);
            self.begin(open, occasion, |words| words.burst(&count));
        }
    }

    /// A new pattern of many lines: one that was not worth a finding by itself
    /// is now, and one that was is worse.
    fn new_pattern_bursts(&mut self, counted: &Counted, bucket: u64, occasion: &mut Occasion) {
        let template = counted.template;
        let severity = raised(counted.gravity);
        let place = self
            .open
            .iter()
            .position(|open| open.condition.is_new_pattern(template));
        if let Some(place) = place {
            if self.open[place].severity < severity {
                self.open[place].severity = severity;
                let words = self.words(&self.open[place], occasion.seen);
                occasion.findings.push(words.new_pattern(counted.lines));
            }
            return;
        }
        let excerpt = self
            .miner
            .get(template)
            .map(|kind| cut(&kind.template.text(), EXCERPT_BYTES_MAX).to_owned())
            .unwrap_or_default();
        let condition = Condition::NewPattern { template, excerpt };
        let open = Open::new(condition, severity, bucket * self.bucket_micros);
        self.begin(open, occasion, |words| words.new_pattern(counted.lines));
    }

    /// Whether a burst goes on. What is usual is not learned from it.
    fn watch_burst(
        &mut self,
        place: usize,
        counted: &Counted,
        bucket: u64,
        occasion: &mut Occasion,
    ) {
        let open = &mut self.open[place];
        let Condition::Burst { high, .. } = open.condition else {
            return;
        };
        if open.is_over(f64::from(counted.lines) > high) {
            self.end(place, Ending::Recovered, occasion);
        }
        if let Some(kind) = self.miner.kinds_mut().get_mut(counted.slot)
            && let Some(rate) = &mut kind.rest.rate
        {
            rate.skip_to(bucket + 1);
        }
    }

    /// Judges the share of errors; `worst` is the error of which there were
    /// most lines.
    pub(super) fn close_errors(
        &mut self,
        bucket: u64,
        (errors, lines): (u32, u32),
        worst: Option<TemplateId>,
        occasion: &mut Occasion,
    ) {
        let config = occasion.config;
        let share = f64::from(errors) / f64::from(lines.max(1));
        let place = self
            .open
            .iter()
            .position(|open| matches!(open.condition, Condition::Errors { .. }));
        if let Some(place) = place {
            let open = &mut self.open[place];
            let Condition::Errors { high } = open.condition else {
                return;
            };
            if open.is_over(errors >= ERRORS_MIN && share > high) {
                self.end(place, Ending::Recovered, occasion);
            }
            return;
        }
        let usual = self.usual_errors / self.usual_lines.max(1.0);
        let high = (usual * 2.0).max(usual + ERROR_SHARE_GROWTH_MIN);
        let deviation = poisson_deviation(f64::from(errors), usual * f64::from(lines));
        let known = self.share_buckets;
        self.share_buckets += 1.0;
        let step = 1.0 / self.share_buckets.min(SHARE_BUCKETS);
        self.usual_errors += step * (f64::from(errors) - self.usual_errors);
        self.usual_lines += step * (f64::from(lines) - self.usual_lines);
        if known < LEARN_BUCKETS_MIN {
            return;
        }
        let rarity = self.surprise(ERRORS, deviation) - rough_log10(config.buckets_per_day());
        let is_odd = known >= BUCKETS_MIN
            && errors >= ERRORS_MIN
            && share > high
            && rarity >= config.open_rarity();
        if is_odd {
            let severity = of_rarity(rarity, Severity::Warning);
            let share = ErrorShare {
                errors,
                lines,
                high,
                rarity,
            };
            let open = Open::new(
                Condition::Errors { high },
                severity,
                bucket * self.bucket_micros,
            );
            let worst = worst
                .and_then(|id| self.miner.get(id))
                .map(|kind| kind.template.text());
            self.begin(open, occasion, |words| words.errors(&share, worst));
        }
    }

    /// Judges the number of all lines.
    pub(super) fn close_volume(&mut self, bucket: u64, lines: u32, occasion: &mut Occasion) {
        let config = occasion.config;
        let count = f64::from(lines);
        let place = self
            .open
            .iter()
            .position(|open| matches!(open.condition, Condition::Volume { .. }));
        if let Some(place) = place {
            let open = &mut self.open[place];
            let Condition::Volume { low, high } = open.condition else {
                return;
            };
            if open.is_over(count < low || count > high) {
                self.end(place, Ending::Recovered, occasion);
            }
            return;
        }
        let usual = self.volume.count_at(0.0);
        let low = self.volume.count_at(-USUAL_DEVIATION);
        let high = self.volume.count_at(USUAL_DEVIATION);
        let deviation = self.volume.deviation(lines);
        let known = self.volume.known_buckets();
        self.volume.take(bucket, lines);
        if known < LEARN_BUCKETS_MIN {
            return;
        }
        let rarity = self.surprise(VOLUME, deviation) - rough_log10(config.buckets_per_day());
        let is_flood = count >= f64::from(BURST_LINES_MIN) && count >= BURST_FACTOR_MIN * usual;
        let is_missed = low >= MISSED_LINES_MIN && count <= low * MISSED_SHARE;
        if known >= BUCKETS_MIN && (is_flood || is_missed) && rarity >= config.open_rarity() {
            let gravity = if is_missed {
                Severity::Warning
            } else {
                Severity::Info
            };
            let count = Count {
                lines,
                seconds: config.bucket_seconds,
                low,
                high,
                rarity,
            };
            let open = Open::new(
                Condition::Volume { low, high },
                of_rarity(rarity, gravity),
                bucket * self.bucket_micros,
            );
            self.begin(open, occasion, |words| words.volume(&count));
        }
    }

    /// Judges one deviation, and learns from it.
    fn surprise(&mut self, quantity: usize, deviation: f64) -> f64 {
        let mut deviations = [None; QUANTITIES];
        deviations[quantity] = Some(deviation);
        let mut found = 0.0;
        self.tails.observe(
            &deviations,
            |_| DEVIATION_SCALE,
            MEMORY_BUCKETS,
            |_, surprise| found = surprise,
        );
        found
    }
}

/// How bad it is that a count is so rare, when lines are so bad by themselves.
fn of_rarity(rarity: f64, gravity: Severity) -> Severity {
    let severity = if rarity >= WORSE_RARITY {
        Severity::Low
    } else {
        Severity::Info
    };
    if gravity >= Severity::Warning {
        raised(severity)
    } else {
        severity
    }
}
