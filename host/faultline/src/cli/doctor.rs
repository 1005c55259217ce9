//! `faultline doctor`: looks at everything that can be wrong, and says what to
//! do about it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use faultline_api::views::{
    ComponentCache, DeadLetter, InstanceStateWord, InstanceSummary, Page, PluginSummary, Refusal,
    Source, Status,
};
use serde::Serialize;

use super::Global;
use super::audit::walk;
use super::reach::{Beginning, Need, Reached, reach};
use crate::client::Client;
use crate::config::Config;
use crate::output::{self, short, time, word};

/// Less free space than this is worth saying.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// Work that is further behind than this is worth saying.
const LAG_SECONDS_MAX: f64 = 60.0;

/// How many rows of a list are looked at.
const ROWS: usize = 100;

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Mark {
    Good,
    /// Worth knowing.
    Note,
    Bad,
}

#[derive(Debug, Serialize)]
struct Finding {
    mark: Mark,
    what: String,
    /// What to do about it.
    remedy: Option<String>,
}

#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn good(&mut self, what: impl Into<String>) {
        self.add(Mark::Good, what, None);
    }

    fn note(&mut self, what: impl Into<String>, remedy: &str) {
        self.add(Mark::Note, what, Some(remedy));
    }

    fn bad(&mut self, what: impl Into<String>, remedy: &str) {
        self.add(Mark::Bad, what, Some(remedy));
    }

    fn add(&mut self, mark: Mark, what: impl Into<String>, remedy: Option<&str>) {
        self.0.push(Finding {
            mark,
            what: what.into(),
            remedy: remedy.map(str::to_owned),
        });
    }
}

pub(crate) async fn run(global: &Global) -> Result<ExitCode> {
    let mut findings = Findings::default();
    match global.load() {
        Ok(config) => {
            findings.good("the configuration is good");
            disk(&config.data.folder, &mut findings);
            findings.good(format!("data is kept in {}", config.data.location()));
            ask(global, &config, &mut findings).await;
        }
        Err(error) => findings.bad(
            format!("the configuration is not: {error:#}"),
            "`faultline config example` shows every key",
        ),
    }
    let is_well = findings.0.iter().all(|finding| finding.mark != Mark::Bad);
    if global.json {
        output::json(&serde_json::json!({"well": is_well, "findings": findings.0}))?;
    } else {
        output::print(&text(&findings.0))?;
    }
    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn text(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let mark = match finding.mark {
            Mark::Good => "ok  ",
            Mark::Note => "note",
            Mark::Bad => "BAD ",
        };
        let _ = writeln!(out, "{mark}  {}", finding.what);
        if let Some(remedy) = &finding.remedy {
            let _ = writeln!(out, "      {remedy}");
        }
    }
    out
}

fn disk(folder: &Path, findings: &mut Findings) {
    // The folder may not be there yet; what it will be in is.
    let existing = folder
        .ancestors()
        .find(|ancestor| ancestor.is_dir())
        .unwrap_or(Path::new("."));
    match rustix::fs::statvfs(existing) {
        Ok(space) => {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let shown = bytesize::ByteSize(free).display().iec();
            let what = format!("{shown} are free where the data folder is");
            if free < FREE_BYTES_MIN {
                findings.bad(what, "make room, or shorten `[retention]`");
            } else {
                findings.good(what);
            }
        }
        Err(error) => findings.bad(
            format!("{} cannot be looked at: {error}", existing.display()),
            "`[data] folder` says where data is kept",
        ),
    }
}

async fn ask(global: &Global, config: &Config, findings: &mut Findings) {
    // Who only asks how things are, makes nothing.
    if global.server.is_none() && !config.data.folder.exists() {
        findings.note(
            format!(
                "there is no data folder {} yet",
                config.data.folder.display()
            ),
            "`faultline serve` makes it, or `--data-dir` names another",
        );
        ports(config, findings);
        return;
    }
    let reached = match reach(global, Need::Answers, Beginning::Refused).await {
        Ok(reached) => reached,
        Err(error) => {
            findings.bad(
                format!("nobody answers: {error:#}"),
                "if a server should run, look at what it said when it ended",
            );
            return;
        }
    };
    if reached.is_own() {
        findings.note(
            "no server runs on the data folder",
            "`faultline serve` starts one",
        );
        ports(config, findings);
    }
    for done in questions(&reached, findings).await {
        if let Err(error) = done {
            findings.bad(
                format!("a question was not answered: {error:#}"),
                "the server's log says more",
            );
        }
    }
    reached.close().await;
}

/// Asks how it stands with everything. If the first question is not answered,
/// which takes as long as the database is waited for, no other one would be.
async fn questions(reached: &Reached, findings: &mut Findings) -> Vec<Result<()>> {
    let first = status(&reached.client, reached.is_own(), findings).await;
    if first.is_err() {
        return vec![first];
    }
    vec![
        plugins(&reached.client, reached.is_own(), findings).await,
        intake(&reached.client, findings).await,
        audit(&reached.client, findings).await,
    ]
}

/// Whether a server could listen where it is to.
fn ports(config: &Config, findings: &mut Findings) {
    for (name, address) in [
        ("[api] listen", config.api.listen),
        ("[intake] listen", config.intake.listen),
    ] {
        match TcpListener::bind(address) {
            Ok(_) => findings.good(format!("{address} is free ({name})")),
            Err(error) => findings.bad(
                format!("{address} cannot be listened on: {error}"),
                &format!("end what listens there, or set {name}"),
            ),
        }
    }
}

async fn status(client: &Client, is_own: bool, findings: &mut Findings) -> Result<()> {
    let status: Status = client.get("/status").await?;
    findings.good(format!(
        "version {}, {} database, scope {}, {} envelopes, {} alerts firing, {} incidents open",
        status.version,
        status.database,
        status.scope,
        status.journal_position,
        status.alerts.firing,
        status.incidents.open + status.incidents.acknowledged
    ));
    // What no server works on is behind as a matter of course.
    if is_own {
        return Ok(());
    }
    for condition in &status.conditions {
        findings.bad(
            format!(
                "{} since {}: {}",
                condition.condition,
                time(condition.since),
                condition.what
            ),
            &condition.remedy,
        );
    }
    match &status.unready_reason {
        None => findings.good("everything runs that should"),
        // What keeps it is told above, with its remedy.
        Some(_) if !status.conditions.is_empty() => {}
        Some(reason) => findings.bad(
            format!("not everything runs: {reason}"),
            "the server's log says more",
        ),
    }
    leases(&status, findings);
    for stage in &status.stages {
        let lag = stage.lag_seconds;
        if lag > LAG_SECONDS_MAX {
            findings.bad(
                format!("{} is {lag:.0} s behind", stage.name),
                "if it does not catch up, more comes in than this machine can work on",
            );
        }
    }
    Ok(())
}

/// Who does what only one node does at a time.
fn leases(status: &Status, findings: &mut Findings) {
    let mut by_node: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for lease in &status.leases {
        let since = status.now.0.since(lease.taken.0).as_secs();
        let since = humantime::format_duration(Duration::from_secs(since));
        let node = lease.node.clone().unwrap_or_default();
        let held = by_node.entry(node).or_default();
        held.push(format!("{} for {since}", lease.name));
    }
    for (node, held) in by_node {
        let held = held.join(", ");
        if node.is_empty() {
            findings.bad(
                format!("nobody does the work of {held}"),
                "a node takes it within seconds; if not, its log says why",
            );
        } else if node == status.node {
            findings.good(format!("this node, {node}, does {held}"));
        } else {
            findings.good(format!("node {node} does {held}"));
        }
    }
}

async fn plugins(client: &Client, is_own: bool, findings: &mut Findings) -> Result<()> {
    let plugins: Page<PluginSummary> = client.list("/plugins", usize::MAX).await?;
    for plugin in &plugins.items {
        if let Some(fault) = &plugin.fault {
            findings.bad(
                format!("plugin {} {}: {fault}", plugin.plugin, plugin.version),
                "install it again",
            );
        }
    }
    let instances: Page<InstanceSummary> = client.list("/instances", usize::MAX).await?;
    let mut running = 0;
    for instance in &instances.items {
        let name = &instance.name;
        let why = instance.reason.as_deref().unwrap_or("no reason was given");
        let what = format!("instance {name} is {}: {why}", word(&instance.state));
        match instance.state {
            InstanceStateWord::Running => running += 1,
            InstanceStateWord::PendingGrant => {
                findings.note(
                    what,
                    &format!("`faultline plugin inspect {name}`, then grant it"),
                );
            }
            InstanceStateWord::Failed => {
                findings.bad(
                    what,
                    &format!("mend the cause, then `faultline plugin enable {name}`"),
                );
            }
            InstanceStateWord::BackingOff => {
                findings.note(what, "it is called again by itself; if it fails again and again, see `faultline plugin inspect`");
            }
            InstanceStateWord::Quarantined => {
                findings.bad(
                    what,
                    &format!(
                        "see why (`faultline plugin inspect {name}`) and on what (`faultline \
                         dead-letter list --kind poison`), mend it, then `faultline plugin resume \
                         {name}`"
                    ),
                );
            }
            InstanceStateWord::Compiling | InstanceStateWord::Disabled => {}
        }
    }
    let cache: ComponentCache = client.get("/component-cache").await?;
    if cache.enabled {
        let kept = bytesize::ByteSize(cache.bytes).display().iec();
        findings.good(format!(
            "{} compiled components are kept, {kept}",
            cache.components.len()
        ));
    } else {
        findings.note(
            "compiled components are not kept: each start compiles them again",
            "set `[plugins.compile] cache`, or look at what the server's log says about it",
        );
    }
    let all = instances.items.len();
    if is_own {
        findings.good(format!("{all} instances of plugins are there"));
    } else {
        findings.good(format!("{running} of {all} instances of plugins run"));
    }
    Ok(())
}

async fn intake(client: &Client, findings: &mut Findings) -> Result<()> {
    let sources: Page<Source> = client.list("/sources", ROWS).await?;
    if sources.items.is_empty() {
        findings.note(
            "nobody has sent anything yet",
            "`faultline token create NAME --ingest` lets somebody in",
        );
    }
    let letters: Page<DeadLetter> = client.list("/dead-letters", ROWS).await?;
    match letters.items.first() {
        None => findings.good("everything that came in could be read"),
        Some(letter) => findings.note(
            format!(
                "{}{} envelopes could not be read; the latest at {} from {}: {}",
                letters.items.len(),
                if letters.next.is_some() {
                    " or more"
                } else {
                    ""
                },
                time(letter.received),
                letter.source,
                short(&letter.message, 120)
            ),
            "`faultline dead-letter list` lists them, and GET /api/v1/envelopes/POSITION shows one",
        ),
    }
    let refusals: Page<Refusal> = client.list("/refusals", ROWS).await?;
    if let Some(refusal) = refusals.items.first() {
        findings.note(
            format!(
                "correlators proposed what the rules refuse; the latest: {} of {}: {}",
                refusal.proposal,
                refusal.correlator,
                short(&refusal.reason, 120)
            ),
            "its author wants to know",
        );
    }
    Ok(())
}

async fn audit(client: &Client, findings: &mut Findings) -> Result<()> {
    let (verdict, rows) = walk(client).await?;
    match verdict.broken {
        None => findings.good(format!("the audit log is intact: {rows} rows")),
        Some(broken) => findings.bad(
            format!(
                "the audit log is broken at row {}: {}",
                broken.sequence, broken.reason
            ),
            "somebody or something changed the database behind Faultline's back",
        ),
    }
    Ok(())
}
