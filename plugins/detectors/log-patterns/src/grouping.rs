//! Lines in groups of one kind, and nothing else: for measuring how well they
//! are told apart. The detector uses the same miner.

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::label::cut;
use crate::miner::{Keep, Miner};
use crate::scan::LINE_BYTES_MAX;

/// Groups the lines of one source as they come.
#[derive(Debug)]
pub struct Grouping {
    miner: Miner<Rows>,
    rows: u32,
    templates_max: usize,
}

/// The lines of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// A line with `<*>` for what varies.
    pub template: String,
    /// Which lines, by their number from 0.
    pub rows: Vec<u32>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Rows(Vec<u32>);

impl Keep for Rows {
    fn absorb(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl Grouping {
    /// No lines yet. Of the configuration, the room for templates counts.
    pub fn new(config: &Config) -> Self {
        Self {
            miner: Miner::default(),
            rows: 0,
            templates_max: config.templates_max(),
        }
    }

    /// Takes in the next line.
    pub fn add(&mut self, line: &str) {
        let line = cut(line, LINE_BYTES_MAX);
        let found = self
            .miner
            .find(line, u64::from(self.rows), self.templates_max);
        if let Some(kind) = self.miner.kinds_mut().get_mut(found.slot) {
            kind.rest.0.push(self.rows);
        }
        self.rows = self.rows.saturating_add(1);
    }

    /// The groups as they are by now, in the order of their first lines.
    /// Lines of kinds that had to make room are in none.
    pub fn groups(&self) -> Vec<Group> {
        let groups = self.miner.kinds().iter().map(|kind| {
            let mut rows = kind.rest.0.clone();
            rows.sort_unstable();
            Group {
                template: kind.template.text(),
                rows,
            }
        });
        groups.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_were_told_apart_at_first_come_together() {
        let mut grouping = Grouping::new(&Config::default());
        for line in [
            "session of ann was opened on the host",
            "cache is warm",
            "session of bob was opened on the host",
            "session of cem was opened on the host",
            "session of dana was opened on the host",
        ] {
            grouping.add(line);
        }
        let groups = [
            ("session of <*> was opened on the host", vec![0, 2, 3, 4]),
            ("cache is warm", vec![1]),
        ];
        let expected = groups.map(|(template, rows)| Group {
            template: template.to_owned(),
            rows,
        });
        assert_eq!(grouping.groups(), expected);
    }
}
