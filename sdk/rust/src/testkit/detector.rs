//! Drives a detector natively, through the same code as in a component.

use crate::detector::DetectorGuest;
use crate::testkit::FakeHost;
use crate::testkit::recording::{Batch, Recording};
use crate::{Detector, Fault, Finding, LogLines, LogSource, Samples, Series, Timestamp};

/// The batch sizes that [`check_detector`] compares.
const BATCH_ROWS: [usize; 3] = [1, 7, 1_000];

/// The most reloads that [`check_detector`] makes in a recording; a longer one
/// is reloaded every so many rows.
const RELOADS_MAX: usize = 10_000;

/// One detector on a bench: announce, feed, tick, save, reload.
pub struct DetectorBench<T: Detector> {
    host: FakeHost,
    guest: DetectorGuest<T>,
}

impl<T: Detector> DetectorBench<T> {
    /// A detector with this configuration. Should that be wrong, the first
    /// call says so, as it would to the host.
    pub fn new(config: &serde_json::Value) -> Self {
        Self {
            host: FakeHost::new().with_config(config),
            guest: DetectorGuest::new(),
        }
    }

    /// Announces series and log sources.
    ///
    /// # Errors
    /// What the detector answers, here and below.
    pub fn introduce(&mut self, series: &[Series], sources: &[LogSource]) -> Result<(), Fault> {
        self.host.run(|| self.guest.introduce(series, sources))
    }

    /// Feeds rows.
    ///
    /// # Errors
    /// As [`DetectorBench::introduce`].
    pub fn samples(&mut self, batch: &Samples) -> Result<Vec<Finding>, Fault> {
        self.host.run(|| self.guest.samples(batch))
    }

    /// Feeds lines.
    ///
    /// # Errors
    /// As [`DetectorBench::introduce`].
    pub fn logs(&mut self, batch: &LogLines) -> Result<Vec<Finding>, Fault> {
        self.host.run(|| self.guest.logs(batch))
    }

    /// Says that event time has passed.
    ///
    /// # Errors
    /// As [`DetectorBench::introduce`].
    pub fn tick(&mut self, watermark: Timestamp) -> Result<Vec<Finding>, Fault> {
        self.host.run(|| self.guest.tick(watermark))
    }

    /// The state as the host would keep it.
    ///
    /// # Errors
    /// `state`, if the detector's type refuses to be written.
    pub fn save(&self) -> Result<Vec<u8>, Fault> {
        self.host.run(|| self.guest.save())
    }

    /// Loads a state into the detector as it stands.
    ///
    /// # Errors
    /// `state`, if it is not a state of this detector; nothing has changed
    /// then.
    pub fn load(&mut self, state: &[u8]) -> Result<(), Fault> {
        self.host.run(|| self.guest.load(state))
    }

    /// Saves, throws the instance away, and goes on in a fresh one, as the
    /// host does after a crash.
    ///
    /// # Errors
    /// If the state cannot be saved or loaded.
    pub fn reload(&mut self) -> Result<(), Fault> {
        let state = self.save()?;
        self.guest = DetectorGuest::new();
        self.load(&state)
    }

    /// The same with another configuration, as after a change by the operator.
    ///
    /// # Errors
    /// As [`DetectorBench::reload`].
    pub fn reconfigure(&mut self, config: &serde_json::Value) -> Result<(), Fault> {
        let state = self.save()?;
        self.host = FakeHost::new().with_config(config);
        self.guest = DetectorGuest::new();
        self.load(&state)
    }

    /// Announces what the recording announces, and feeds its events in batches
    /// of at most so many rows. The `row` of each finding is the number of the
    /// event in the recording, so that findings can be compared across batch
    /// sizes.
    ///
    /// # Errors
    /// As [`DetectorBench::introduce`].
    pub fn play(
        &mut self,
        recording: &Recording,
        batch_rows_max: usize,
    ) -> Result<Vec<Finding>, Fault> {
        self.play_with(recording, batch_rows_max, |_, _| Ok(()))
    }

    /// The host, for what was logged.
    pub fn host(&self) -> &FakeHost {
        &self.host
    }

    fn play_with(
        &mut self,
        recording: &Recording,
        batch_rows_max: usize,
        mut after: impl FnMut(&mut Self, usize) -> Result<(), Fault>,
    ) -> Result<Vec<Finding>, Fault> {
        let (series, sources) = recording.announced();
        self.introduce(series, sources)?;
        let mut all = Vec::new();
        for (first, batch) in recording.batches(batch_rows_max) {
            let found = match &batch {
                Batch::Samples(rows) => self.samples(rows)?,
                Batch::Lines(lines) => self.logs(lines)?,
                Batch::Tick(watermark) => self.tick(*watermark)?,
            };
            all.extend(found.into_iter().map(|finding| at_event(finding, first)));
            after(self, first)?;
        }
        Ok(all)
    }
}

/// From the number of a row in its batch to that of the event.
fn at_event(mut finding: Finding, first: usize) -> Finding {
    let first = u32::try_from(first).expect("fewer than 4 billion events in a test");
    finding.row = finding.row.map(|row| first + row);
    finding
}

/// Plays a recording in several ways, and asserts that the findings are the
/// same each time: in batches of 1, 7 and 1,000 rows, and with a save and a
/// reload after each row. Gives the findings.
///
/// This is what the host relies on: it batches as load allows, and goes on
/// from a saved state after a crash.
///
/// # Panics
/// If the findings differ, naming the first difference, or if the detector
/// answers a fault.
pub fn check_detector<T: Detector>(
    config: &serde_json::Value,
    recording: &Recording,
) -> Vec<Finding> {
    let [first, others @ ..] = BATCH_ROWS;
    let expected = play::<T>(config, recording, first);
    for rows in others {
        assert_same(
            &expected,
            &play::<T>(config, recording, rows),
            &format!("in batches of {rows} rows rather than one by one"),
        );
    }
    let reload_every = recording.len().div_ceil(RELOADS_MAX).max(1);
    let reloaded = DetectorBench::<T>::new(config)
        .play_with(recording, 1, |bench, event| {
            if event % reload_every == 0 {
                bench.reload()?;
            }
            Ok(())
        })
        .unwrap_or_else(|fault| panic!("with a save and a reload after each row: {fault}"));
    assert_same(
        &expected,
        &reloaded,
        "with a save and a reload after each row",
    );
    expected
}

fn play<T: Detector>(
    config: &serde_json::Value,
    recording: &Recording,
    rows: usize,
) -> Vec<Finding> {
    DetectorBench::<T>::new(config)
        .play(recording, rows)
        .unwrap_or_else(|fault| panic!("in batches of {rows} rows: {fault}"))
}

fn assert_same(expected: &[Finding], found: &[Finding], how: &str) {
    for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
        assert_eq!(expected, found, "finding {index} is another one {how}");
    }
    assert_eq!(
        expected.len(),
        found.len(),
        "there are more or fewer findings {how}"
    );
}
