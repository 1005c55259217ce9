//! `faultline journal`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use faultline_domain::envelope::{Arrival, Position};
use faultline_pipeline::{CorrelateStage, ObserveStage};
use faultline_store::Store;
use serde_json::json;

use super::Global;
use super::recording::{Reader, Writer};
use crate::folder::{Folder, Taken};
use crate::node::Node;
use crate::output;
use crate::serve::taken_by;

/// What is appended or read together.
const BATCH_ENVELOPES: usize = 500;
const BATCH_BYTES: usize = 16 << 20;

/// How often progress is shown.
const PROGRESS: Duration = Duration::from_secs(5);

#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Write all that is in the journal to a file, as it was received
    Export(FileArgs),
    /// Put a recording into an empty journal, with its own times, and work
    /// through it
    Import(FileArgs),
}

#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The file, compressed if its name ends in .zst; `-` is standard output or
    /// input
    file: PathBuf,
}

pub(crate) async fn run(global: &Global, command: &JournalCommand) -> Result<()> {
    if global.server.is_some() {
        bail!("a journal is exported and imported where its data folder is: leave out `--server`");
    }
    match command {
        JournalCommand::Export(args) => export(global, args).await,
        JournalCommand::Import(args) => import(global, args).await,
    }
}

/// Reading does not disturb a server that works with the folder.
async fn export(global: &Global, args: &FileArgs) -> Result<()> {
    let config = global.load()?;
    let folder = &config.data.folder;
    if !Store::is_in(folder) {
        bail!("there is no journal in {}", folder.display());
    }
    let store = Store::open(folder).await?;
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
            "{} is of scope {}, and this data folder's scope is {}: ids would differ; set \
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
    let done = import_into(&node, &mut reader).await;
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
    if node.store.journal_head(scope).await?.position > Position::START {
        bail!(
            "the journal in {} is not empty: a recording has positions and times of its own; \
             import into another folder (`--data-dir`)",
            node.folder.path().display()
        );
    }
    node.host.reload().await?;
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
    let mut count = 0;
    let took_in = take_in(node, reader, &mut observe, &mut correlate, &mut count).await;
    if count == 0 {
        took_in?;
    } else {
        took_in.with_context(|| {
            format!(
                "{count} envelopes are in {} and stay there: to begin anew, remove the folder",
                node.folder.path().display()
            )
        })?;
    }
    let (_, alerts) = node.store.alert_count(scope).await?;
    let incidents = node.store.incident_count(scope).await?;
    let incidents = incidents.iter().map(|(_, count)| count).sum();
    Ok((count, alerts, incidents))
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
    let mut shown = Instant::now();
    loop {
        let batch = next_batch(reader)?;
        if batch.is_empty() {
            break;
        }
        let appended = batch.len() as u64;
        let first = node.journal.append(batch).await;
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
