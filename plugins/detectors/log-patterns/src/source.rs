//! One log source: its patterns, and what is wrong with it.
//!
//! Lines are taken in one by one, and a new pattern is met at once. What is
//! about counts is judged in [`counts`], when a bucket of time closes.

mod counts;

use faultline_robust::Tails;
use faultline_sdk::{Finding, LogSource, Severity, Sighting};
use serde::{Deserialize, Serialize};

use crate::buckets::{Counts, OPEN_BUCKETS};
use crate::condition::{Condition, Ending, Open};
use crate::config::Config;
use crate::gravity::{gravity, is_error, lowered};
use crate::label::{cut, identity_of, label};
use crate::miner::{Found, Miner, Novelty};
use crate::pattern::Pattern;
use crate::rate::Rate;
use crate::report::Words;
use crate::scan::LINE_BYTES_MAX;

/// The most bytes of a line that is shown.
const EXCERPT_BYTES_MAX: usize = 300;
/// When event time jumps further than this, in buckets, nothing is counted in
/// between.
const JUMP_BUCKETS: u64 = 1_000;
/// A source that had to forget a kind of line which it saw within this time
/// cannot say that a kind is new.
const MEMORY_MICROS_MIN: u64 = 86_400_000_000;

/// One log source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Source {
    label: String,
    identity: u64,
    /// When it was announced, in the latest event time known then.
    announced: u64,
    miner: Miner<Pattern>,
    first: u64,
    last: u64,
    lines: u64,
    /// How long buckets are, the oldest that is open, and how many closed.
    bucket_micros: u64,
    oldest: u64,
    closed: f64,
    totals: Counts,
    errors: Counts,
    volume: Rate,
    /// Averages of errors and lines in a bucket, over so many buckets.
    usual_errors: f64,
    usual_lines: f64,
    share_buckets: f64,
    /// Patterns that have lines in a bucket, on average.
    active: f64,
    tails: Tails<{ counts::QUANTITIES }>,
    open: Vec<Open>,
    /// New patterns that were not reported, for there were too many.
    unreported: u64,
}

/// A line that arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) time: u64,
    pub(crate) severity: u8,
    pub(crate) text: &'a str,
}

/// What brings findings about, and where they go.
pub(crate) struct Occasion<'a> {
    pub(crate) config: &'a Config,
    /// The line or the tick.
    pub(crate) seen: &'a Sighting,
    pub(crate) findings: &'a mut Vec<Finding>,
}

impl Source {
    /// A source of which nothing is known yet. `now` is the latest event time.
    pub(crate) fn new(source: &LogSource, now: u64) -> Self {
        Self {
            label: label(source),
            identity: identity_of(source),
            announced: now,
            miner: Miner::default(),
            first: 0,
            last: 0,
            lines: 0,
            bucket_micros: 0,
            oldest: 0,
            closed: 0.0,
            totals: Counts::default(),
            errors: Counts::default(),
            volume: Rate::unheard_of(0, 0.0),
            usual_errors: 0.0,
            usual_lines: 0.0,
            share_buckets: 0.0,
            active: 0.0,
            tails: Tails::default(),
            open: Vec::new(),
            unreported: 0,
        }
    }

    /// Whether this announcement is about the same source.
    pub(crate) fn is(&self, source: &LogSource) -> bool {
        self.identity == identity_of(source)
    }

    /// Whether it may make room for others: it wrote nothing for so long, and
    /// no finding waits for its end.
    pub(crate) fn is_idle(&self, now: u64, micros: u64) -> bool {
        self.open.is_empty() && now.saturating_sub(self.last.max(self.announced)) >= micros
    }

    /// How it is called in titles.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// New patterns that were not reported, for there were too many.
    pub(crate) fn unreported(&self) -> u64 {
        self.unreported
    }

    /// Kinds of lines that were forgotten, for there were too many.
    pub(crate) fn forgotten(&self) -> u64 {
        self.miner.forgotten().kinds
    }

    /// Takes in a line.
    pub(crate) fn line(&mut self, line: &Line, occasion: &mut Occasion) {
        let config = occasion.config;
        self.begin_buckets(line.time, occasion);
        self.lines = self.lines.saturating_add(1);
        self.last = self.last.max(line.time);
        let bucket = line.time / self.bucket_micros;
        // Buckets close with ticks; but they must not stay open for ever.
        if bucket >= self.oldest + OPEN_BUCKETS {
            self.close_before(bucket + 1 - OPEN_BUCKETS, occasion);
        }
        let bucket = bucket.max(self.oldest);

        let text = cut(line.text, LINE_BYTES_MAX);
        let is_learned = self.is_learned(config, line.time);
        let found = self.miner.find(text, line.time, config.templates_max());
        let Some(kind) = self.miner.kinds_mut().get_mut(found.slot) else {
            return;
        };
        let pattern = &mut kind.rest;
        if found.new.is_some() {
            pattern.first = line.time;
            pattern.was_news = is_learned;
            pattern.gravity = gravity(line.severity, text);
        }
        pattern.counts.add(bucket);
        self.totals.add(bucket);
        if is_error(line.severity, pattern.gravity) {
            self.errors.add(bucket);
        }
        if is_learned {
            self.meet(found, line.time, text, occasion);
        }
    }

    /// Event time has reached this: buckets before it close.
    pub(crate) fn tick(&mut self, watermark: u64, occasion: &mut Occasion) {
        if self.lines == 0 {
            return;
        }
        self.begin_buckets(watermark, occasion);
        self.close_before(watermark / self.bucket_micros, occasion);
    }

    /// Begins to count: with the first line, and anew when an operator has
    /// changed how long buckets are, since counts of one length say nothing
    /// about those of another.
    fn begin_buckets(&mut self, time: u64, occasion: &mut Occasion) {
        let micros = occasion.config.bucket_micros();
        if self.bucket_micros == micros {
            return;
        }
        if self.lines == 0 {
            self.first = time;
        }
        self.end_all(
            |open| open.condition.is_of_counts(),
            Ending::Reconfigured,
            occasion,
        );
        self.bucket_micros = micros;
        self.oldest = time / micros;
        self.closed = 0.0;
        self.totals = Counts::default();
        self.errors = Counts::default();
        self.volume = Rate::unheard_of(self.oldest, 0.0);
        self.share_buckets = 0.0;
        self.active = 0.0;
        self.tails = Tails::default();
        for kind in self.miner.kinds_mut() {
            kind.rest.counts = Counts::default();
            kind.rest.rate = None;
        }
    }

    /// Whether a pattern can be called new.
    fn is_learned(&self, config: &Config, now: u64) -> bool {
        let forgotten = self.miner.forgotten();
        let remembers =
            forgotten.kinds == 0 || now.saturating_sub(forgotten.until) >= MEMORY_MICROS_MIN;
        remembers
            && now.saturating_sub(self.first) >= config.learn_micros()
            && self.lines > config.learn_lines
    }

    /// Says so if a pattern was never seen before and sounds bad. One that does
    /// not is worth a finding only if there are many lines of it.
    fn meet(&mut self, found: Found, time: u64, text: &str, occasion: &mut Occasion) {
        let Some(novelty) = found.new else {
            return;
        };
        let Some(kind) = self.miner.kinds().get(found.slot) else {
            return;
        };
        let gravity = kind.rest.gravity;
        if gravity <= Severity::Info {
            return;
        }
        let severity = match novelty {
            Novelty::Unlike => gravity,
            Novelty::Variant => lowered(gravity),
        };
        let condition = Condition::NewPattern {
            template: kind.id,
            excerpt: cut(text, EXCERPT_BYTES_MAX).to_owned(),
        };
        let open = Open::new(condition, severity, time);
        self.begin(open, occasion, |words| words.new_pattern(1));
    }

    /// Opens a finding, if there is room for it.
    fn begin(
        &mut self,
        open: Open,
        occasion: &mut Occasion,
        finding: impl FnOnce(&Words) -> Finding,
    ) {
        if !open.condition.is_of_counts() {
            let is_new = |open: &&Open| !open.condition.is_of_counts();
            let others = self.open.iter().filter(is_new).count();
            if others >= occasion.config.new_patterns_open_max() {
                self.unreported = self.unreported.saturating_add(1);
                return;
            }
        }
        let finding = finding(&self.words(&open, occasion.seen));
        occasion.findings.push(finding);
        self.open.push(open);
    }

    /// Ends the open condition at this place.
    fn end(&mut self, place: usize, ending: Ending, occasion: &mut Occasion) -> Open {
        let open = self.open.remove(place);
        let finding = self.words(&open, occasion.seen).over(ending);
        occasion.findings.push(finding);
        open
    }

    /// Ends all conditions of a sort.
    fn end_all(&mut self, which: impl Fn(&Open) -> bool, ending: Ending, occasion: &mut Occasion) {
        while let Some(place) = self.open.iter().position(&which) {
            self.end(place, ending, occasion);
        }
    }

    fn words<'a>(&'a self, open: &'a Open, seen: &'a Sighting) -> Words<'a> {
        let template = open
            .condition
            .template()
            .and_then(|id| self.miner.get(id))
            .map(|kind| kind.template.text());
        Words {
            label: &self.label,
            open,
            template,
            seen,
        }
    }

    /// Closes the buckets before this one.
    fn close_before(&mut self, bucket: u64, occasion: &mut Occasion) {
        if bucket > self.oldest.saturating_add(JUMP_BUCKETS) {
            for _ in 0..OPEN_BUCKETS {
                self.close(occasion);
            }
            self.end_all(|_| true, Ending::Silent, occasion);
            self.oldest = bucket;
            return;
        }
        while self.oldest < bucket {
            self.close(occasion);
        }
    }

    /// Closes the oldest bucket: judges what is in it, and learns from it.
    fn close(&mut self, occasion: &mut Occasion) {
        let bucket = self.oldest;
        let lines = self.totals.take(bucket);
        let errors = self.errors.take(bucket);
        let worst = self.close_patterns(bucket, occasion);
        self.close_errors(bucket, (errors, lines), worst, occasion);
        self.close_volume(bucket, lines, occasion);
        self.end_what_settled(bucket, occasion);
        self.oldest += 1;
        self.closed += 1.0;
    }

    /// Ends new patterns that are quiet, and all that has lasted so long that
    /// it is normal.
    fn end_what_settled(&mut self, bucket: u64, occasion: &mut Occasion) {
        let config = occasion.config;
        let now = (bucket + 1).saturating_mul(self.bucket_micros);
        let mut place = 0;
        while let Some(open) = self.open.get(place) {
            let template = open.condition.template();
            let known = template.and_then(|id| self.miner.get(id));
            let is_quiet = !open.condition.is_of_counts()
                && known.is_some_and(|kind| now.saturating_sub(kind.last) >= config.quiet_micros());
            let ending = if template.is_some() && known.is_none() {
                Ending::Merged
            } else if now.saturating_sub(open.started) >= config.settle_micros() {
                Ending::Settled
            } else if is_quiet {
                Ending::Recovered
            } else {
                place += 1;
                continue;
            };
            let open = self.end(place, ending, occasion);
            if ending == Ending::Settled {
                self.accept(&open.condition, bucket);
            }
        }
    }

    /// What was out of the ordinary is normal from now on: what is usual is
    /// learned anew.
    fn accept(&mut self, condition: &Condition, bucket: u64) {
        match condition {
            Condition::NewPattern { .. } => {}
            Condition::Burst { template, .. } => {
                let kinds = self.miner.kinds_mut();
                if let Some(kind) = kinds.iter_mut().find(|kind| kind.id == *template) {
                    kind.rest.rate = Some(Rate::unheard_of(bucket + 1, 0.0));
                }
            }
            Condition::Errors { .. } => self.share_buckets = 0.0,
            Condition::Volume { .. } => self.volume = Rate::unheard_of(bucket + 1, 0.0),
        }
    }
}
