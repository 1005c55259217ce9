//! `cargo xtask record`: breaks a small real system and records what it says.
//!
//! nginx, three small services, PostgreSQL, Prometheus and Alertmanager are
//! started as children of this process, on free ports and with folders of
//! their own; no service of the machine is touched. They send to a Faultline
//! whose journal becomes the recording. After a while a release of `orders` is
//! deployed that keeps database connections; some minutes later it is rolled
//! back. See `examples/demo/README.md`.
//!
//! What is recorded is never edited: if the outage does not develop as it
//! should, nothing is written, and one records again.

pub(crate) mod change;
mod faultline;
mod observed;
pub(crate) mod outage;
pub(crate) mod ports;
mod postgresql;
mod shop;
mod started;
mod template;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use faultline_domain::time::Timestamp;

use crate::install;
use crate::installation::lock;
use crate::processes;
use crate::progress::{now, say, target, workspace};
use change::{CAUSE, DECOY, Planned, REMEDY};
use faultline::{Elsewhere, Faultline, Intake};
use observed::{Prometheus, Span, phases, tenths};
use outage::{CauseFacts, ChangeFacts, LoadFacts, Outage};
use shop::{Load, Shop};

/// How often progress is shown.
const PROGRESS: Duration = Duration::from_secs(60);
/// After the last customer, for what is on its way.
const SETTLE: Duration = Duration::from_secs(6);
/// How long each part takes.
#[derive(Debug, Clone, Copy)]
struct Durations {
    warmup: Duration,
    outage: Duration,
    recovery: Duration,
}

/// Of a rehearsal: too short to learn from, long enough to break.
const QUICK: Durations = Durations {
    warmup: Duration::from_secs(120),
    outage: Duration::from_secs(330),
    recovery: Duration::from_secs(150),
};

/// Records an outage of a small real system for the demo.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long the shop runs well before the deployment
    #[arg(long, default_value = "20m", value_parser = humantime::parse_duration)]
    warmup: Duration,
    /// How long the deployed release runs before it is rolled back
    #[arg(long, default_value = "7m", value_parser = humantime::parse_duration)]
    outage: Duration,
    /// How long the shop runs after the rollback
    #[arg(long, default_value = "6m", value_parser = humantime::parse_duration)]
    recovery: Duration,
    /// A rehearsal of ten minutes, which writes to target/record only
    #[arg(long, conflicts_with_all = ["warmup", "outage", "recovery"])]
    quick: bool,
    /// Requests a second, on average
    #[arg(long, default_value_t = 25.0, value_parser = rate)]
    rate: f64,
    /// What the customers are drawn from
    #[arg(long, default_value_t = 20_260_101)]
    seed: u64,
    /// How many of a hundred requests are traced
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=99))]
    trace_percent: u8,
    /// The intake of a Faultline that already runs, to be sent to instead of
    /// one that is started
    #[arg(long, requires = "intake_token")]
    intake_url: Option<String>,
    /// An ingest token of that Faultline
    #[arg(long, env = "FAULTLINE_INTAKE_TOKEN", hide_env_values = true)]
    intake_token: Option<String>,
}

impl Args {
    fn durations(&self) -> Durations {
        if self.quick {
            return QUICK;
        }
        Durations {
            warmup: self.warmup,
            outage: self.outage,
            recovery: self.recovery,
        }
    }

    fn load(&self) -> Load {
        Load {
            rate: self.rate,
            seed: self.seed,
            trace_percent: self.trace_percent,
        }
    }

    /// The Faultline that was named, if one was.
    fn elsewhere(&self) -> Option<Elsewhere> {
        let url = self.intake_url.as_ref()?.trim_end_matches('/').to_owned();
        let token = self.intake_token.clone()?;
        Some(Elsewhere(Intake { url, token }))
    }
}

/// More than none, and no more than one machine can serve.
fn rate(text: &str) -> Result<f64> {
    let rate: f64 = text.parse().context("not a number")?;
    if !(0.1..=500.0).contains(&rate) {
        bail!("a rate lies between 0.1 and 500 requests a second");
    }
    Ok(rate)
}

/// Records.
///
/// # Errors
/// If something cannot be installed or started, a program ends too early, the
/// person interrupts, or the outage does not develop. Everything is stopped in
/// each case.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (durations, load) = (args.durations(), args.load());
    let demo = workspace().join("examples/demo");
    let system = demo.join("system");
    let work = target().join("record");
    say(format_args!(
        "recording an outage: {} well, {} with a bad release, {} after its rollback",
        humantime::format_duration(durations.warmup),
        humantime::format_duration(durations.outage),
        humantime::format_duration(durations.recovery)
    ));
    say(format_args!(
        "everything runs below {} and is stopped at the end; Ctrl-C stops it now",
        work.display()
    ));
    // First of all, so that nothing is left half done.
    let interrupted = processes::interruption()?;
    fs::create_dir_all(&work).with_context(|| format!("making {}", work.display()))?;
    let _lock = lock(&work)?;
    install::debian_packages(shop::PACKAGES)?;
    let venv = target().join("venvs/demo-shop");
    let python = install::python_venv(&venv, &shop::requirements(&system))?;

    let mut faultline: Box<dyn Faultline> = match args.elsewhere() {
        Some(elsewhere) => Box::new(elsewhere),
        None => Box::new(started::start(
            &work.join("faultline"),
            Arc::clone(&interrupted),
        )?),
    };
    let intake = faultline.intake().clone();
    let mut shop = Shop::prepare(system, work.join("run"), python, intake, &load, interrupted)?;
    shop.start()?;
    let facts = Recording::new(&mut shop, faultline.as_mut()).go(&load, durations)?;
    drop(shop);
    let kept = (!args.quick).then_some(demo.as_path());
    keep(&facts, faultline.as_mut(), &work, kept)
}

/// Writes down what happened, and replaces the demo's recording if this one
/// is good enough and meant to.
fn keep(
    facts: &Outage,
    faultline: &mut dyn Faultline,
    work: &Path,
    demo: Option<&Path>,
) -> Result<()> {
    let (recording, known) = (work.join("recording.jsonl.zst"), work.join("outage.json"));
    let text = serde_json::to_string_pretty(facts).context("writing down what happened")?;
    fs::write(&known, text + "\n").with_context(|| format!("writing {}", known.display()))?;
    if recording.exists() {
        // Of an earlier one; an export replaces nothing.
        fs::remove_file(&recording).with_context(|| format!("removing {}", recording.display()))?;
    }
    let exported = faultline.export(&recording)?;
    tell(facts);
    facts.check()?;
    say(format_args!("what happened is in {}", known.display()));
    if !exported {
        say("the recording is in the Faultline that was given, which can export its journal");
        return Ok(());
    }
    say(format_args!("the recording is {}", recording.display()));
    let Some(demo) = demo else { return Ok(()) };
    for file in [&recording, &known] {
        let content = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        // Not copied: a journal is for its owner's eyes, a demo is for all.
        let there = demo.join(file.file_name().unwrap_or_default());
        fs::write(&there, content).with_context(|| format!("writing {}", there.display()))?;
    }
    say(format_args!("{} is replaced by it", demo.display()));
    Ok(())
}

/// A recording that goes on.
struct Recording<'a> {
    shop: &'a mut Shop,
    faultline: &'a mut dyn Faultline,
    /// Both of the same moment: one to tell, one to wait by.
    began: Timestamp,
    clock: Instant,
    changes: Vec<ChangeFacts>,
}

impl<'a> Recording<'a> {
    fn new(shop: &'a mut Shop, faultline: &'a mut dyn Faultline) -> Self {
        Self {
            shop,
            faultline,
            began: now(),
            clock: Instant::now(),
            changes: Vec::new(),
        }
    }

    /// The whole story.
    fn go(mut self, load: &Load, durations: Durations) -> Result<Outage> {
        let Durations {
            warmup,
            outage,
            recovery,
        } = durations;
        say("the shop is open");
        self.shop.open(load)?;
        self.wait_until(warmup / 2)?;
        self.make(&DECOY, Shop::reconfigure_inventory)?;
        self.wait_until(warmup)?;
        let broken = self.seconds();
        self.make(&CAUSE, Shop::deploy_orders)?;
        self.wait_until(warmup + outage)?;
        let mended = self.seconds();
        self.make(&REMEDY, Shop::roll_back_orders)?;
        self.wait_until(warmup + outage + recovery)?;
        let ended = self.seconds();
        say("the shop closes");
        self.shop.close()?;
        self.wait_until(self.clock.elapsed() + SETTLE)?;
        let spans = [
            ("normal", 0.0, broken),
            ("outage", broken, mended),
            ("recovery", mended, ended),
        ];
        let facts = self.facts(load, &spans.map(|(name, from, to)| Span { name, from, to }))?;
        self.shop.stop()?;
        Ok(facts)
    }

    /// Announces a change, and makes it.
    fn make(&mut self, change: &Planned, act: impl FnOnce(&mut Shop) -> Result<()>) -> Result<()> {
        say(format_args!("{}: {}", change.kind, change.title));
        let announced_seconds = self.seconds();
        change.announce(now(), self.shop.client(), self.faultline.intake())?;
        act(self.shop).with_context(|| format!("making the change {}", change.id))?;
        self.changes.push(ChangeFacts {
            id: change.id.to_owned(),
            reference: change.reference(),
            role: change.role,
            kind: change.kind.to_owned(),
            title: change.title.to_owned(),
            entity: change.entity(),
            announced_seconds,
            done_seconds: self.seconds(),
        });
        Ok(())
    }

    /// Waits until this long after the beginning, and shows how it goes.
    fn wait_until(&mut self, since_began: Duration) -> Result<()> {
        let moment = self.clock + since_began;
        loop {
            self.faultline.check()?;
            let next = (Instant::now() + PROGRESS).min(moment);
            self.shop.processes().wait_until(next)?;
            if next == moment {
                return Ok(());
            }
            say(format_args!("  {}", self.shop.customers_last_report()));
        }
    }

    fn seconds(&self) -> f64 {
        tenths(self.clock.elapsed().as_secs_f64())
    }

    /// Asks around what happened, while everything still runs.
    fn facts(&self, load: &Load, spans: &[Span]) -> Result<Outage> {
        let prometheus = Prometheus {
            client: self.shop.client(),
            base: self.shop.prometheus(),
            from: self.began,
            to: now(),
        };
        let log = self.shop.customers_log();
        let customers =
            fs::read_to_string(&log).with_context(|| format!("reading {}", log.display()))?;
        Ok(Outage {
            format: 1,
            title: "A release of orders uses up the database's connections".to_owned(),
            began: self.began.to_string(),
            ended_seconds: spans.last().map_or(0.0, |span| span.to),
            load: LoadFacts {
                rate: load.rate,
                seed: load.seed,
                trace_percent: load.trace_percent,
            },
            changes: self.changes.clone(),
            cause: CauseFacts {
                change: CAUSE.reference(),
                entity: CAUSE.entity(),
                explanation: outage::EXPLANATION.to_owned(),
            },
            symptoms: outage::symptoms(),
            phases: phases(self.began, spans, &customers, &prometheus.connections()?)?,
            alerts: prometheus.alerts()?,
        })
    }
}

/// Shows what happened.
fn tell(facts: &Outage) {
    for phase in &facts.phases {
        say(format_args!(
            "{}: {} requests, {:.2}% failed (worst 5 s: {:.0}%), p95 {:.0} ms (worst {:.0} ms), at most {} database connections",
            phase.name,
            phase.requests,
            phase.failed_share * 100.0,
            phase.failed_share_max * 100.0,
            phase.p95_ms_median,
            phase.p95_ms_max,
            phase.postgresql_connections_max
        ));
    }
    for alert in &facts.alerts {
        say(format_args!(
            "alert {} of {} ({}): {:.0} s to {:.0} s",
            alert.name, alert.subject, alert.severity, alert.fired_seconds, alert.last_seconds
        ));
    }
}
