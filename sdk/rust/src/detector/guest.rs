//! One detector in one component: what the exports of `detect` do.
//!
//! The component's macro and the test kit both drive a detector through this,
//! so that what a test sees is what the host will see.

use crate::{Detector, Fault, Finding, Findings, LogLines, LogSource, Samples, Series, Timestamp};
use crate::{config, state};

/// One detector in one component: what the exports of `detect` do.
///
/// It comes to life at the first call, since the configuration can be wrong
/// and only a call can say so.
pub struct DetectorGuest<T: Detector> {
    living: Option<Living<T>>,
}

struct Living<T: Detector> {
    config: T::Config,
    detector: T,
}

impl<T: Detector> DetectorGuest<T> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { living: None }
    }

    /// Announces series and log sources.
    ///
    /// # Errors
    /// If the detector does not come to life, here and below.
    pub fn introduce(&mut self, series: &[Series], sources: &[LogSource]) -> Result<(), Fault> {
        let Living { config, detector } = self.living()?;
        detector.introduce(config, series, sources);
        Ok(())
    }

    /// Feeds rows.
    ///
    /// # Errors
    /// As [`DetectorGuest::introduce`].
    pub fn samples(&mut self, batch: &Samples) -> Result<Vec<Finding>, Fault> {
        let Living { config, detector } = self.living()?;
        let mut findings = Findings::new();
        detector.samples(config, batch, &mut findings);
        Ok(findings.into_vec())
    }

    /// Feeds lines.
    ///
    /// # Errors
    /// As [`DetectorGuest::introduce`].
    pub fn logs(&mut self, batch: &LogLines) -> Result<Vec<Finding>, Fault> {
        let Living { config, detector } = self.living()?;
        let mut findings = Findings::new();
        detector.logs(config, batch, &mut findings);
        Ok(findings.into_vec())
    }

    /// Says that event time has passed.
    ///
    /// # Errors
    /// As [`DetectorGuest::introduce`].
    pub fn tick(&mut self, watermark: Timestamp) -> Result<Vec<Finding>, Fault> {
        let Living { config, detector } = self.living()?;
        let mut findings = Findings::new();
        detector.tick(config, watermark, &mut findings);
        Ok(findings.into_vec())
    }

    /// The state. Empty if the detector never came to life: then there is
    /// nothing to remember.
    ///
    /// # Errors
    /// `state`, if the detector's type refuses to be written.
    pub fn save(&self) -> Result<Vec<u8>, Fault> {
        match &self.living {
            Some(living) => state::seal(T::STATE_NAME, T::STATE_VERSION, &living.detector),
            None => Ok(Vec::new()),
        }
    }

    /// Replaces the whole state, or changes nothing.
    ///
    /// # Errors
    /// `state`, if it is not a state of this detector.
    pub fn load(&mut self, saved: &[u8]) -> Result<(), Fault> {
        if saved.is_empty() {
            self.living = None;
            return Ok(());
        }
        let detector = state::restore(T::STATE_NAME, T::STATE_VERSION, saved, T::migrate)?;
        let config = match self.living.take() {
            Some(living) => living.config,
            None => config::read()?,
        };
        self.living = Some(Living { config, detector });
        Ok(())
    }

    fn living(&mut self) -> Result<&mut Living<T>, Fault> {
        if self.living.is_none() {
            let config = config::read()?;
            let detector = T::new(&config)?;
            return Ok(self.living.insert(Living { config, detector }));
        }
        self.living
            .as_mut()
            .ok_or_else(|| Fault::state("the detector is not alive"))
    }
}

impl<T: Detector> Default for DetectorGuest<T> {
    fn default() -> Self {
        Self::new()
    }
}
