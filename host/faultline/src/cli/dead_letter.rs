//! `faultline dead-letter`

use std::fmt::Write as _;

use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use faultline_api::views::{DeadLetter, DeadLetterKind, Page, Redriven};
use http::Method;

use super::Global;
use super::reach::{Beginning, Need, reach};
use crate::client::{Client, escape};
use crate::output::{self, short, table, time, word};

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterCommand {
    /// What could not be dealt with, the last first
    List(ListArgs),
    /// Give payloads to their reader once more, after what was wrong is mended
    Redrive(RedriveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only those that are dead for this reason
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Only those of this reader, such as connector:json
    #[arg(long)]
    reader: Option<String>,
    /// The most rows
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct RedriveArgs {
    /// Envelopes, by their positions in the journal
    #[arg(required_unless_present = "reader", conflicts_with = "reader")]
    positions: Vec<u64>,
    /// All of this reader instead, such as connector:json
    #[arg(long)]
    reader: Option<String>,
    /// With --reader: only those that are dead for this reason
    #[arg(long, value_enum, requires = "reader")]
    kind: Option<Kind>,
}

/// Why a letter is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// It, or some of it, could not be read
    Fault,
    /// It made a plugin fail
    Poison,
    /// Its reader was not called at the moment
    Held,
    /// A plugin failed, and no payload is to blame
    Failure,
}

impl From<Kind> for DeadLetterKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Fault => Self::Fault,
            Kind::Poison => Self::Poison,
            Kind::Held => Self::Held,
            Kind::Failure => Self::Failure,
        }
    }
}

pub(crate) async fn run(global: &Global, command: &DeadLetterCommand) -> Result<()> {
    let reached = reach(global, Need::Answers, Beginning::Refused).await?;
    let client = &reached.client;
    let done = match command {
        DeadLetterCommand::List(args) => list(client, global, args).await,
        DeadLetterCommand::Redrive(args) => redrive(client, global, args).await,
    };
    reached.close().await;
    done
}

fn path(kind: Option<Kind>, reader: Option<&str>) -> String {
    let mut parts = Vec::new();
    if let Some(kind) = kind {
        parts.push(format!("kind={}", word(&DeadLetterKind::from(kind))));
    }
    if let Some(reader) = reader {
        parts.push(format!("reader={}", escape(reader)));
    }
    if parts.is_empty() {
        "/dead-letters".to_owned()
    } else {
        format!("/dead-letters?{}", parts.join("&"))
    }
}

async fn list(client: &Client, global: &Global, args: &ListArgs) -> Result<()> {
    let path = path(args.kind, args.reader.as_deref());
    let letters: Page<DeadLetter> = client.list(&path, args.limit).await?;
    if global.json {
        return output::json(&letters);
    }
    if letters.items.is_empty() {
        return output::print("Nothing: everything could be dealt with.\n");
    }
    let rows = letters.items.iter().map(|letter| {
        vec![
            letter.position.to_string(),
            time(letter.received),
            word(&letter.kind),
            letter.reader.clone(),
            letter.source.clone(),
            letter.code.clone(),
            short(&letter.message, 80),
        ]
    });
    let head = [
        "POSITION", "RECEIVED", "KIND", "READER", "SOURCE", "CODE", "MESSAGE",
    ];
    output::print(&table(&head, rows))
}

async fn redrive(client: &Client, global: &Global, args: &RedriveArgs) -> Result<()> {
    let positions = match &args.reader {
        None => args.positions.clone(),
        Some(reader) => {
            let path = path(args.kind, Some(reader));
            let letters: Page<DeadLetter> = client.list(&path, usize::MAX).await?;
            let mut positions: Vec<u64> = letters.items.iter().map(|it| it.position).collect();
            if positions.is_empty() {
                bail!("there are no such dead letters of {reader}");
            }
            // In the order in which they came.
            positions.sort_unstable();
            positions.dedup();
            positions
        }
    };
    let mut redriven: Vec<Redriven> = Vec::new();
    for position in positions {
        let path = format!("/dead-letters/{position}/redrive");
        redriven.push(client.ask(Method::POST, &path, None::<&()>).await?);
    }
    if global.json {
        return output::json(&redriven);
    }
    let mut text = String::new();
    for Redriven { from, position } in redriven {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{from} is read again as {position}.");
    }
    output::print(&text)
}
