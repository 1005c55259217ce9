//! `faultline audit`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use faultline_api::views::{AuditRow, AuditVerdict, Page};

use super::Global;
use super::reach::{Beginning, Need, Reached, reach};
use crate::client::{Client, escape};
use crate::output::{self, short, time};

/// How often new rows are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many rows are asked for at once.
const ROWS_PER_LOOK: u32 = 500;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// The latest rows, the oldest of them first
    Tail(TailArgs),
    /// Recompute the chain of hashes: whether a row was changed, removed or put
    /// in
    Verify,
}

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// So many
    #[arg(short = 'n', long, default_value_t = 20)]
    limit: usize,
    /// Only those of this actor, such as token:ci
    #[arg(long)]
    actor: Option<String>,
    /// Only those of actions that begin so, such as plugin.
    #[arg(long)]
    action: Option<String>,
    /// Go on as rows are added
    #[arg(short, long)]
    follow: bool,
}

pub(crate) async fn run(global: &Global, command: &AuditCommand) -> Result<ExitCode> {
    let reached = reach(global, Need::Answers, Beginning::Refused).await?;
    let done = match command {
        AuditCommand::Tail(args) => tail(&reached, global, args)
            .await
            .map(|()| ExitCode::SUCCESS),
        AuditCommand::Verify => verify(&reached.client, global).await,
    };
    reached.close().await;
    done
}

async fn tail(reached: &Reached, global: &Global, args: &TailArgs) -> Result<()> {
    let client = &reached.client;
    let filter: String = [("actor", &args.actor), ("action", &args.action)]
        .into_iter()
        .filter_map(|(name, value)| Some(format!("&{name}={}", escape(value.as_ref()?))))
        .collect();
    // Where the log ends, whoever wrote it: what comes after it is followed.
    let end: Page<AuditRow> = client.list("/audit?order=latest", 1).await?;
    let end = end.items.first().map_or(0, |row| row.sequence);
    let path = format!("/audit?order=latest{filter}");
    let mut page: Page<AuditRow> = client.list(&path, args.limit).await?;
    page.items.reverse();
    if !args.follow {
        if global.json {
            return output::json(&page);
        }
        return page.items.iter().try_for_each(|row| print(row, false));
    }
    let earlier = page.items.iter().filter(|row| row.sequence <= end);
    for row in earlier {
        print(row, global.json)?;
    }
    if reached.is_own() {
        output::note("No server works with this data folder: there will be no more rows.");
        return Ok(());
    }
    follow(client, &filter, end, global.json).await
}

/// Prints rows after this one as they are added, until somebody presses Ctrl-C.
async fn follow(client: &Client, filter: &str, mut last: u64, json: bool) -> Result<()> {
    loop {
        let path = format!("/audit?order=oldest&limit={ROWS_PER_LOOK}&after={last}{filter}");
        let page: Page<AuditRow> = client.get(&path).await?;
        for row in &page.items {
            print(row, json)?;
            last = row.sequence;
        }
        if page.next.is_some() {
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            pressed = tokio::signal::ctrl_c() => return Ok(pressed?),
        }
    }
}

fn print(row: &AuditRow, json: bool) -> Result<()> {
    if json {
        return output::print(&format!("{}\n", serde_json::to_string(row)?));
    }
    let ended = match (row.intent, &row.result) {
        (Some(intent), Some(result)) => format!(" of {intent}: {result}"),
        _ => String::new(),
    };
    output::print(&format!(
        "{:>6}  {}  {}  {} {}  [{}{ended}]  {}\n",
        row.sequence,
        time(row.at),
        row.actor,
        row.action,
        row.subject,
        row.stage,
        short(&row.detail, 160)
    ))
}

async fn verify(client: &Client, global: &Global) -> Result<ExitCode> {
    let (mut verdict, rows) = walk(client).await?;
    verdict.rows = rows;
    if global.json {
        output::json(&verdict)?;
    } else {
        output::print(&match &verdict.broken {
            None => format!(
                "The audit log is intact: {rows} rows, the last is {} with hash {}.\n",
                verdict.sequence, verdict.hash
            ),
            Some(broken) => format!(
                "The audit log is BROKEN at row {}: {}\nRows before it can be trusted.\n",
                broken.sequence, broken.reason
            ),
        })?;
    }
    Ok(if verdict.intact {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Verifies all of it, in as many requests as it takes.
pub(super) async fn walk(client: &Client) -> Result<(AuditVerdict, u64)> {
    let mut path = "/audit/verify".to_owned();
    let mut rows = 0;
    loop {
        let verdict: AuditVerdict = client.get(&path).await?;
        rows += verdict.rows;
        if verdict.complete || !verdict.intact {
            return Ok((verdict, rows));
        }
        let hash = escape(&verdict.hash);
        path = format!("/audit/verify?after={}&hash={hash}", verdict.sequence);
    }
}
