//! `faultline journal`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use faultline_domain::audit::{Entry, Stage};
use faultline_domain::envelope::{Arrival, Position};
use faultline_domain::lease::{Fence, LeaseName};
use faultline_pipeline::{CorrelateStage, ObserveStage};
use faultline_store::{
    Extent, Journal, JournalCheck, Location, Range, Salvaged, Store, Trouble, salvage,
};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Global;
use super::reach::local_person;
use super::recording::{Reader, Writer};
use crate::clock::now;
use crate::config::Config;
use crate::folder::{Folder, Taken};
use crate::node::{Node, opening};
use crate::output;
use crate::serve::{finish, taken_by};

/// What is appended or read together.
const BATCH_ENVELOPES: usize = 500;
const BATCH_BYTES: usize = 16 << 20;

/// How long to wait for a server that is just ending.
const LEASE_PATIENCE: Duration = Duration::from_secs(5);

/// How often progress is shown.
const PROGRESS: Duration = Duration::from_secs(5);

#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Write all that is in the journal to a file, as it was received
    Export(FileArgs),
    /// Put a recording into an empty journal, with its own times, and work
    /// through it
    Import(FileArgs),
    /// Look whether every envelope is there and is what was written
    ///
    /// Reads all of the journal, and changes nothing. A server may run meanwhile.
    Check,
    /// Save what can be read of a damaged journal into a new data folder
    ///
    /// The damaged folder stays as it is. Envelopes keep their positions; the
    /// tables, with their tokens, plugins, grants, incidents and the audit log,
    /// are taken along if they are whole.
    Repair(RepairArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    /// The new data folder, which must not be there yet
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The file, compressed if its name ends in .zst; `-` is standard output or
    /// input
    file: PathBuf,
}

pub(crate) async fn run(global: &Global, command: &JournalCommand) -> Result<ExitCode> {
    if global.server.is_some() {
        bail!("a journal is worked with where its data folder is: leave out `--server`");
    }
    match command {
        JournalCommand::Export(args) => export(global, args).await?,
        JournalCommand::Import(args) => import(global, args).await?,
        JournalCommand::Check => return check(global).await,
        JournalCommand::Repair(args) => repair(global, args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The store with the journal, which must be there, and stays as it is: who
/// only reads, makes nothing, and brings nothing up to date.
async fn open(config: &Config) -> Result<Store> {
    let location = config.data.location();
    if let Location::Folder(folder) = &location
        && !Store::is_in(folder)
    {
        bail!("there is no journal in {location}");
    }
    let opened = Store::open_as_it_is(&location).await;
    opened.with_context(|| opening(&location))
}

/// Fails, as a program does that has looked for something bad, if it is there.
async fn check(global: &Global) -> Result<ExitCode> {
    let config = global.load()?;
    let store = open(&config).await?;
    let checked = store.journal_check(&config.data.scope, Extent::All).await;
    store.close().await;
    let checked = checked?;
    if global.json {
        output::json(&json!({
            "well": checked.is_good(),
            "head": checked.head.0,
            "good": checked.good,
            "damage": checked.damage.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "known_losses": checked.known_losses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }))?;
    } else {
        output::print(&told(&checked))?;
    }
    Ok(if checked.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn told(check: &JournalCheck) -> String {
    let mut text = format!(
        "{} envelopes are what was written; the journal ends at {}.\n",
        check.good, check.head
    );
    for range in &check.known_losses {
        let _ = writeln!(
            text,
            "note  envelope {range} was lost before, and is known to be"
        );
    }
    for damage in &check.damage {
        let _ = writeln!(text, "BAD   {damage}");
    }
    if !check.is_good() {
        let _ = writeln!(text, "{}", Trouble::Damaged.remedy());
    }
    text
}

async fn repair(global: &Global, args: &RepairArgs) -> Result<()> {
    let config = global.load()?;
    if let location @ Location::Postgresql { .. } = config.data.location() {
        bail!("{location} is a PostgreSQL database: repair it with the server's own tools");
    }
    let from = config.data.folder.clone();
    if !Store::is_in(&from) {
        bail!("there is no journal in {}", from.display());
    }
    if args.to.exists() {
        bail!(
            "{} is there already: what is saved goes into a new folder",
            args.to.display()
        );
    }
    // Held until the end: nobody else is to write to either.
    let _from = match Folder::take(&from)? {
        Taken::Ours(folder) => folder,
        Taken::Theirs(process) => bail!("{}: end it first", taken_by(&config, process)),
    };
    let Taken::Ours(to) = Folder::take(&args.to)? else {
        bail!("somebody else works with {}", args.to.display());
    };
    let scope = &config.data.scope;
    let person = local_person();
    let entry = |salvaged: &Salvaged| Entry {
        at: now(),
        actor: person,
        action: "journal.repair".to_owned(),
        subject: from.display().to_string(),
        stage: Stage::Event,
        detail: facts(salvaged).to_string(),
    };
    let saved = salvage(&from, to.path(), scope, entry).await;
    let saved = saved.with_context(|| format!("saving what can be read in {}", from.display()))?;
    if global.json {
        return output::json(&facts(&saved));
    }
    output::print(&saved_text(&saved, &args.to))
}

fn facts(salvaged: &Salvaged) -> serde_json::Value {
    json!({
        "envelopes": salvaged.envelopes,
        "lost": salvaged.lost.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "lost_count": salvaged.lost.iter().map(Range::count).sum::<u64>(),
        "head": salvaged.head.0,
        "state_lost": salvaged.state_lost,
        "polls_lost": salvaged.polls_lost,
    })
}

fn saved_text(salvaged: &Salvaged, to: &Path) -> String {
    let mut text = format!(
        "{} envelopes were saved into {}; the journal ends at {}.\n",
        salvaged.envelopes,
        to.display(),
        salvaged.head
    );
    for range in &salvaged.lost {
        let _ = writeln!(text, "lost  envelope {range}");
    }
    if salvaged.lost.is_empty() {
        text.push_str("No envelope is lost.\n");
    }
    match &salvaged.state_lost {
        None => text.push_str("The tables are whole and were taken along.\n"),
        Some(why) => {
            let _ = writeln!(
                text,
                "lost  the tables, which are not whole: {why}\n      \
                 Alerts and incidents are derived from the journal again; tokens, installed \
                 plugins, their settings and grants, and the audit log have to be made anew."
            );
        }
    }
    if let Some(why) = &salvaged.polls_lost {
        let _ = writeln!(text, "lost  where pollers were, who begin anew: {why}");
    }
    let _ = writeln!(
        text,
        "`faultline serve --data-dir {}` goes on from there.",
        to.display()
    );
    text
}

/// Reading does not disturb a server that works with the same databases.
async fn export(global: &Global, args: &FileArgs) -> Result<()> {
    let config = global.load()?;
    let store = open(&config).await?;
    let scope = &config.data.scope;
    let end = store.journal_head(scope).await?.position;
    let mut writer = Writer::create(&args.file, scope)?;
    let mut at = Position::START;
    let mut count: u64 = 0;
    while at < end {
        let most = u32::try_from(BATCH_ENVELOPES).unwrap_or(u32::MAX);
        let envelopes = store.envelope_list(scope, at, most, BATCH_BYTES).await?;
        let Some(last) = envelopes.last() else { break };
        if at == Position::START && envelopes.first().is_some_and(|e| e.position.0 > 1) {
            output::note(
                "The beginning of the journal is not there any more: retention has removed it.",
            );
        }
        at = last.position;
        for envelope in envelopes {
            if envelope.position <= end {
                writer.write(envelope.arrival)?;
                count += 1;
            }
        }
    }
    writer.finish()?;
    store.close().await;
    output::note(&format!(
        "{count} envelopes are in {}.",
        args.file.display()
    ));
    Ok(())
}

async fn import(global: &Global, args: &FileArgs) -> Result<()> {
    let config = global.load()?;
    let mut reader = Reader::open(&args.file)?;
    if *reader.scope() != config.data.scope {
        bail!(
            "{} is of scope {}, and the scope here is {}: ids would differ; set \
             `[data] scope`",
            args.file.display(),
            reader.scope(),
            config.data.scope
        );
    }
    let folder = match Folder::take(&config.data.folder)? {
        Taken::Ours(folder) => folder,
        Taken::Theirs(process) => bail!("{}: end it first", taken_by(&config, process)),
    };
    let node = Node::open(config, folder).await?;
    let (let_go, told) = watch::channel(false);
    let keeping = tokio::spawn(Arc::clone(&node.leases).keep(told));
    let done = import_into(&node, &mut reader).await;
    let_go.send_replace(true);
    finish(keeping).await;
    node.close().await;
    let (count, alerts, incidents) = done?;
    if global.json {
        return output::json(&json!({
            "envelopes": count, "alerts": alerts, "incidents": incidents,
        }));
    }
    output::print(&format!(
        "{count} envelopes were worked through: {alerts} alerts, {incidents} incidents.\n"
    ))
}

async fn import_into(node: &Node, reader: &mut Reader) -> Result<(u64, u64, u64)> {
    let scope = node.journal.scope();
    let location = node.config.data.location();
    if node.store.journal_head(scope).await?.position > Position::START {
        bail!(
            "the journal in {location} is not empty: a recording has positions and times of its \
             own; import into {}",
            match &location {
                Location::Folder(_) => "another folder (`--data-dir`)",
                Location::Postgresql { .. } => "another database, or set another `[data] scope`",
            }
        );
    }
    let reload = node.host.reload().await?;
    node.host.loaded(&reload).await;
    let plugins = node.host.plugins().borrow().plugins.clone();
    let settings = node
        .config
        .pipeline
        .settings(&node.config.plugins.supervision.policy());
    let mut observe = ObserveStage::new(
        node.store.clone(),
        scope.clone(),
        settings.observe,
        plugins.clone(),
        Arc::clone(&node.counters),
    );
    let mut correlate = CorrelateStage::new(
        node.store.clone(),
        scope.clone(),
        settings.correlate,
        plugins,
        Arc::clone(&node.counters),
    );
    observe.hold(held(node, LeaseName::Observe).await?);
    correlate.hold(held(node, LeaseName::Correlate).await?);
    let mut count = 0;
    let took_in = take_in(node, reader, &mut observe, &mut correlate, &mut count).await;
    if count == 0 {
        took_in?;
    } else {
        took_in.with_context(|| {
            format!(
                "{count} envelopes are in {location} and stay there: to begin anew, remove {}",
                match &location {
                    Location::Folder(_) => "the folder",
                    Location::Postgresql { .. } => "the database",
                }
            )
        })?;
    }
    let (_, alerts) = node.store.alert_count(scope).await?;
    let incidents = node.store.incident_count(scope).await?;
    let incidents = incidents.iter().map(|(_, count)| count).sum();
    Ok((count, alerts, incidents))
}

/// Waits for a lease, which a server that shares the database may have.
async fn held(node: &Node, name: LeaseName) -> Result<Fence> {
    let mut lease = node.leases.follow(name);
    let held = timeout(LEASE_PATIENCE, lease.wait_for(Option::is_some)).await;
    if let Ok(Ok(fence)) = held
        && let Some(fence) = *fence
    {
        return Ok(fence);
    }
    bail!(
        "another node of {} does the work of {name}: end all of them first; `faultline doctor` \
         says which",
        node.config.data.location()
    )
}

/// Appends all that a recording has, and works through it. Counts what was
/// appended.
async fn take_in(
    node: &Node,
    reader: &mut Reader,
    observe: &mut ObserveStage,
    correlate: &mut CorrelateStage,
    count: &mut u64,
) -> Result<()> {
    // A recording has times of its own, whatever the clock says.
    let journal = Journal::open(node.store.clone(), node.journal.scope().clone()).await?;
    let mut shown = Instant::now();
    loop {
        let batch = next_batch(reader)?;
        if batch.is_empty() {
            break;
        }
        let appended = batch.len() as u64;
        let first = journal.append(batch).await;
        first.context("writing the journal")?;
        *count += appended;
        observe.drain().await?;
        correlate.drain().await?;
        if shown.elapsed() >= PROGRESS {
            shown = Instant::now();
            output::note(&format!("{count} envelopes so far"));
        }
    }
    observe.save().await?;
    Ok(())
}

fn next_batch(reader: &mut Reader) -> Result<Vec<Arrival>> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < BATCH_ENVELOPES && bytes < BATCH_BYTES {
        let Some(arrival) = reader.read()? else { break };
        bytes += arrival.body.len();
        batch.push(arrival);
    }
    Ok(batch)
}
