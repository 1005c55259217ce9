//! The baseline detector as a component, and the same code compiled into this
//! program.

use std::error::Error;

use faultline_domain::entity::Entity;
use faultline_domain::labels::Labels;
use faultline_domain::plugin::{self, DetectorFactory as _, IntroducedSeries};
use faultline_domain::telemetry::{Samples, SeriesKey};
use faultline_domain::time::Timestamp;
use faultline_plugin_baseline::{Baseline, Config};
use faultline_sandbox::Loaded;
use faultline_sdk::{Detector as _, Findings};

use crate::surroundings::Surroundings;
use crate::{Goal, Stopwatch, median, report, report_growth, rounds};

/// A batch may have no more series than this; each has one sample in a batch,
/// as when Prometheus sends.
const SERIES: u32 = 1_000;
/// Samples of each series before anything is measured: models that have only
/// just begun do less.
const WARM_UP_STEPS: u64 = 400;
/// Turns of each side.
const ROUNDS: usize = 40;
/// Samples of a turn, in batches.
const ROUND_SAMPLES: usize = 50_000;
/// Between samples of a series.
const STEP_SECONDS: u64 = 15;
/// When the first came.
const BEGIN_SECONDS: u64 = 1_767_225_600;

/// Both sides, which have seen the same.
struct Sides {
    wasm: Box<dyn plugin::Detector>,
    native: Baseline,
    config: Config,
    rows: Rows,
}

/// Measures batches of several sizes.
pub(crate) fn run(surroundings: &Surroundings) -> Result<(), Box<dyn Error>> {
    let mut sides = Sides::start(surroundings, SERIES)?;
    for (size, goal) in [
        (100, Goal::None),
        (1_000, Goal::AtMost(1.3)),
        (10_000, Goal::None),
    ] {
        let (mut ratios, mut native, mut wasm) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds(ROUNDS) {
            let (alone, inside) = sides.turn(size)?;
            ratios.push(inside / alone);
            native.push(alone);
            wasm.push(inside);
        }
        let name = |what: &str| format!("baseline, batches of {size} samples: {what}");
        report(&name("native"), "ns/sample", Goal::None, &native);
        report(&name("in its sandbox"), "ns/sample", Goal::None, &wasm);
        report(&name("sandbox / native"), "ratio", goal, &ratios);
    }
    drop(sides);
    grow(surroundings)
}

/// Batches of the same size, of ever more series.
fn grow(surroundings: &Surroundings) -> Result<(), Box<dyn Error>> {
    let (mut alone, mut inside) = (Vec::new(), Vec::new());
    for series in [SERIES / 10, SERIES, SERIES * 10] {
        let mut sides = Sides::start(surroundings, series)?;
        let (mut native, mut wasm) = (Vec::new(), Vec::new());
        for _ in 0..rounds(ROUNDS) {
            let (alone, inside) = sides.turn(SERIES as usize)?;
            native.push(alone);
            wasm.push(inside);
        }
        alone.push((u64::from(series), median(&native)));
        inside.push((u64::from(series), median(&wasm)));
    }
    let along = "series";
    report_growth("a sample in its detector", along, "ns", &inside);
    report_growth("a sample in the same code, native", along, "ns", &alone);
    Ok(())
}

/// What a turn took, and found.
struct Turn {
    /// For each sample.
    nanos: f64,
    findings: usize,
}

impl Sides {
    fn start(surroundings: &Surroundings, series: u32) -> Result<Self, Box<dyn Error>> {
        let Loaded::Detector(factory) = surroundings.load("baseline")? else {
            return Err("baseline is no detector".into());
        };
        let mut wasm = factory.start()?;
        let config = Config::default();
        let mut native = Baseline::new(&config).map_err(|fault| fault.message)?;
        let name = |id: u32| format!("pod-{id}");
        let inside: Vec<IntroducedSeries> = (0..series)
            .map(|id| {
                Ok(IntroducedSeries {
                    id,
                    key: SeriesKey {
                        name: "latency".to_owned(),
                        unit: "s".to_owned(),
                        entity: Some(Entity::new("pod", &name(id))?),
                        attributes: Labels::default(),
                    },
                })
            })
            .collect::<Result<_, Box<dyn Error>>>()?;
        let alone: Vec<faultline_sdk::Series> = (0..series)
            .map(|id| {
                let entity = faultline_sdk::Entity::new("pod", name(id));
                faultline_sdk::Series::new("latency", "s", entity).with_id(id)
            })
            .collect();
        native.introduce(&config, &alone, &[]);
        wasm.introduce(&inside, &[])?;
        let mut sides = Self {
            wasm,
            native,
            config,
            rows: Rows::new(series),
        };
        for _ in 0..WARM_UP_STEPS {
            let batch = [sides.rows.batch(series as usize)];
            sides.native(&batch);
            sides.wasm(&batch)?;
        }
        Ok(sides)
    }

    /// A turn of each, in nanoseconds a sample: native, then in the sandbox.
    fn turn(&mut self, batch_samples: usize) -> Result<(f64, f64), Box<dyn Error>> {
        let batches: Vec<Samples> = (0..ROUND_SAMPLES / batch_samples)
            .map(|_| self.rows.batch(batch_samples))
            .collect();
        let alone = self.native(&batches);
        let inside = self.wasm(&batches)?;
        if alone.findings != inside.findings {
            return Err("both sides are the same code, but do not find the same".into());
        }
        Ok((alone.nanos, inside.nanos))
    }

    fn wasm(&mut self, batches: &[Samples]) -> Result<Turn, Box<dyn Error>> {
        let began = Stopwatch::start();
        let mut findings = 0;
        for batch in batches {
            findings += self.wasm.samples(batch)?.len();
        }
        Ok(Turn::of(began, batches, findings))
    }

    fn native(&mut self, batches: &[Samples]) -> Turn {
        // What a plugin is given is its own, as is what a native one would be.
        let batches_of_sdk: Vec<faultline_sdk::Samples> = batches
            .iter()
            .map(|batch| faultline_sdk::Samples {
                series: batch.series.clone(),
                time: batch.time.clone(),
                value: batch.value.clone(),
            })
            .collect();
        let began = Stopwatch::start();
        let mut found = 0;
        for batch in &batches_of_sdk {
            let mut findings = Findings::new();
            self.native.samples(&self.config, batch, &mut findings);
            found += findings.into_vec().len();
        }
        Turn::of(began, batches, found)
    }
}

impl Turn {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn of(began: Stopwatch, batches: &[Samples], findings: usize) -> Self {
        let nanos = began.elapsed().as_nanos() as f64;
        let samples: usize = batches.iter().map(Samples::len).sum();
        Self {
            nanos: nanos / samples as f64,
            findings,
        }
    }
}

/// Rows as they come: series after series, step after step, with noise that
/// is the same in each run.
struct Rows {
    series: u64,
    random: u64,
    next: u64,
}

impl Rows {
    fn new(series: u32) -> Self {
        Self {
            series: series.into(),
            random: 1,
            next: 0,
        }
    }

    fn batch(&mut self, size: usize) -> Samples {
        let mut samples = Samples::default();
        for _ in 0..size {
            let series = u32::try_from(self.next % self.series).unwrap_or_default();
            let step = self.next / self.series;
            let time = Timestamp::from_secs(BEGIN_SECONDS + step * STEP_SECONDS);
            let value = 0.2 + f64::from(series) / 1_000.0 + 0.02 * self.noise();
            samples.push(series, time, value);
            self.next += 1;
        }
        samples
    }

    /// About normal: the sum of four uniform numbers, around 0.
    fn noise(&mut self) -> f64 {
        // SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom
        // Number Generators", 2014); each word gives four numbers.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.random;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        let parts = [word, word >> 16, word >> 32, word >> 48];
        let sum: u32 = parts
            .map(|part| u32::try_from(part & 0xffff).unwrap_or_default())
            .iter()
            .sum();
        f64::from(sum) / 65_536.0 - 2.0
    }
}
