//! Log lines through the patterns detector as a component, beside drain3.

use std::error::Error;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use faultline_domain::entity::Entity;
use faultline_domain::labels::Labels;
use faultline_domain::plugin::{Detector, DetectorFactory as _, IntroducedSource};
use faultline_domain::telemetry::{LogLines, LogSource};
use faultline_domain::time::Timestamp;
use faultline_sandbox::Loaded;

use crate::lines::{Line, Lines, SERVICES};
use crate::surroundings::Surroundings;
use crate::{Goal, Stopwatch, median, report, report_growth, rounds};

/// Names a Python that has drain3; without it there is nothing to compare with.
const DRAIN3: &str = "FAULTLINE_BENCH_DRAIN3";

/// Lines before anything is measured: all kinds are known then.
const WARM_UP_LINES: usize = 50_000;
/// Turns of each side, and lines of a turn.
const ROUNDS: usize = 20;
const ROUND_LINES: usize = 20_000;
/// Lines of a call.
const BATCH_LINES: usize = 5_000;
/// All services together write so often.
const LINE_MICROS: u64 = 1_000;
const BEGIN_SECONDS: u64 = 1_767_225_600;

/// Measures one detector, and how it grows.
pub(crate) fn run(surroundings: &Surroundings) -> Result<(), Box<dyn Error>> {
    let mut watch = Watch::start(surroundings, SERVICES)?;
    let mut peer = Peer::start()?;
    let mut lines = Lines::new();
    let warm_up = some(&mut lines, WARM_UP_LINES);
    watch.take(&warm_up)?;
    if let Some(peer) = &mut peer {
        peer.take(&warm_up)?;
    }
    let (mut ours, mut theirs, mut ahead) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds(ROUNDS) {
        let turn = some(&mut lines, ROUND_LINES);
        let our = watch.take(&turn)?;
        ours.push(our);
        if let Some(peer) = &mut peer {
            let their = peer.take(&turn)?;
            theirs.push(their);
            ahead.push(our / their);
        }
    }
    let name = "log patterns in its sandbox, one thread";
    report(name, "lines/s", Goal::AtLeast(500_000.0), &ours);
    if peer.is_some() {
        report("drain3, one thread", "lines/s", Goal::None, &theirs);
        let name = "log patterns in its sandbox / drain3";
        report(name, "ratio", Goal::AtLeast(1.0), &ahead);
    }
    grow(surroundings)
}

/// The same lines from ever more services.
fn grow(surroundings: &Surroundings) -> Result<(), Box<dyn Error>> {
    let mut points = Vec::new();
    for services in [3, 30, 300] {
        let mut watch = Watch::start(surroundings, services)?;
        let mut lines = Lines::new();
        watch.take(&some(&mut lines, WARM_UP_LINES * 2))?;
        let mut micros = Vec::new();
        for _ in 0..rounds(ROUNDS) {
            micros.push(1e6 / watch.take(&some(&mut lines, ROUND_LINES))?);
        }
        points.push((u64::from(services), median(&micros)));
    }
    report_growth("a log line in its detector", "log sources", "us", &points);
    Ok(())
}

fn some(lines: &mut Lines, count: usize) -> Vec<Line> {
    (0..count).map(|_| lines.line()).collect()
}

/// The detector.
struct Watch {
    detector: Box<dyn Detector>,
    services: u32,
    taken: u64,
}

impl Watch {
    fn start(surroundings: &Surroundings, services: u32) -> Result<Self, Box<dyn Error>> {
        let Loaded::Detector(factory) = surroundings.load("log-patterns")? else {
            return Err("log-patterns is no detector".into());
        };
        let mut detector = factory.start()?;
        let sources = (0..services)
            .map(|id| {
                let entity = Entity::new("service", &format!("shop-{id}"))?;
                Ok(IntroducedSource {
                    id,
                    source: LogSource {
                        entity: Some(entity),
                        attributes: Labels::default(),
                    },
                })
            })
            .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
        detector.introduce(&[], &sources)?;
        Ok(Self {
            detector,
            services,
            taken: 0,
        })
    }

    /// Gives lines a second.
    fn take(&mut self, lines: &[Line]) -> Result<f64, Box<dyn Error>> {
        let mut batches = Vec::new();
        for lines in lines.chunks(BATCH_LINES) {
            let mut batch = LogLines::default();
            for line in lines {
                let micros = BEGIN_SECONDS * 1_000_000 + self.taken * LINE_MICROS;
                // More services than the lines know: each takes its turn.
                let turn = u32::try_from(self.taken % u64::from(self.services))?;
                let source = (line.service + turn) % self.services;
                let time = Timestamp::from_micros(micros);
                if !batch.push(source, time, line.severity, &line.text) {
                    return Err("too many lines".into());
                }
                self.taken += 1;
            }
            batches.push(batch);
        }
        let began = Stopwatch::start();
        for batch in &batches {
            self.detector.logs(batch)?;
        }
        Ok(rate(lines.len(), began.elapsed().as_secs_f64()))
    }
}

/// drain3, in a process of its own.
struct Peer {
    child: Child,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn start() -> Result<Option<Self>, Box<dyn Error>> {
        let Some(python) = std::env::var_os(DRAIN3) else {
            return Ok(None);
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/boundary/drain3_peer.py");
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().ok_or("no pipe to drain3")?;
        let output = child.stdout.take().ok_or("no pipe from drain3")?;
        Ok(Some(Self {
            child,
            input: BufWriter::new(input),
            output: BufReader::new(output),
        }))
    }

    /// Gives lines a second, by its own clock: the pipe does not count.
    fn take(&mut self, lines: &[Line]) -> Result<f64, Box<dyn Error>> {
        writeln!(self.input, "{}", lines.len())?;
        for line in lines {
            writeln!(self.input, "{}", line.text)?;
        }
        self.input.flush()?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        let seconds = answer.split_whitespace().next();
        let seconds: f64 = seconds.ok_or("drain3 does not answer")?.parse()?;
        Ok(rate(lines.len(), seconds))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Nothing is lost with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn rate(lines: usize, seconds: f64) -> f64 {
    lines as f64 / seconds
}
