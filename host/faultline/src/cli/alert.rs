//! `faultline alert`

use std::fmt::Write as _;

use anyhow::Result;
use clap::{Args, Subcommand};
use faultline_api::views::{AlertSummary, Explanation, Page};

use super::Global;
use super::incident::percent;
use super::reach::{Beginning, Need, reach};
use crate::client::{Client, escape};
use crate::output::{self, short, table, time, word};

#[derive(Debug, Subcommand)]
pub(crate) enum AlertCommand {
    /// The alerts, the latest first
    List(ListArgs),
    /// Why an alert is what it is: how it came, what it is identified by, what
    /// became of it
    Explain(ExplainArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only those that fire
    #[arg(long, conflicts_with = "resolved")]
    firing: bool,
    /// Only those that are resolved
    #[arg(long)]
    resolved: bool,
    /// Only those at least as severe: info, low, warning, high, critical
    #[arg(long, value_name = "SEVERITY")]
    severity_min: Option<String>,
    /// Only those that concern this, such as service/checkout
    #[arg(long)]
    entity: Option<String>,
    /// Only those of this detector, or this family of senders
    #[arg(long)]
    origin: Option<String>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 50)]
    limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Its id, or the beginning of it
    id: String,
}

pub(crate) async fn run(global: &Global, command: &AlertCommand) -> Result<()> {
    let reached = reach(global, Need::Answers, Beginning::Refused).await?;
    let done = match command {
        AlertCommand::List(args) => list(&reached.client, global, args).await,
        AlertCommand::Explain(args) => explain(&reached.client, global, &args.id).await,
    };
    reached.close().await;
    done
}

async fn list(client: &Client, global: &Global, args: &ListArgs) -> Result<()> {
    let mut query = Vec::new();
    if args.firing {
        query.push("state=firing".to_owned());
    }
    if args.resolved {
        query.push("state=resolved".to_owned());
    }
    for (name, value) in [
        ("severity_min", &args.severity_min),
        ("entity", &args.entity),
        ("origin", &args.origin),
    ] {
        if let Some(value) = value {
            query.push(format!("{name}={}", escape(value)));
        }
    }
    let path = format!("/alerts?{}", query.join("&"));
    let page: Page<AlertSummary> = client.list(path.trim_end_matches('?'), args.limit).await?;
    if global.json {
        return output::json(&page);
    }
    if page.items.is_empty() {
        return output::print("No alerts.\n");
    }
    let rows = page.items.iter().map(|alert| {
        vec![
            alert.id.get(..12).unwrap_or(&alert.id).to_owned(),
            word(&alert.state),
            word(&alert.severity),
            time(alert.started),
            alert.origin.name.clone(),
            short(&alert.entities.join(","), 40),
            short(&alert.title, 70),
        ]
    });
    let heading = [
        "ID", "STATE", "SEVERITY", "STARTED", "ORIGIN", "ENTITIES", "TITLE",
    ];
    let mut text = table(&heading, rows);
    if page.next.is_some() {
        text.push_str("There are more: `--limit` shows them.\n");
    }
    output::print(&text)
}

async fn explain(client: &Client, global: &Global, id: &str) -> Result<()> {
    let path = format!("/alerts/{}/explanation", escape(id));
    let explanation: Explanation = client.get(&path).await?;
    if global.json {
        return output::json(&explanation);
    }
    output::print(&text(&explanation))
}

fn text(explanation: &Explanation) -> String {
    let alert = &explanation.alert;
    let mut out = format!(
        "{}\n{}\n\n  {} with severity {} since {}, episode {}\n\nHow it came about\n",
        alert.title,
        alert.id,
        word(&alert.state),
        word(&alert.severity),
        time(alert.started),
        alert.episode
    );
    for step in &explanation.chain {
        let _ = writeln!(out, "  {:<13} {}", word(&step.stage), step.text);
    }
    out.push_str("\nWhat identifies it\n");
    for (name, value) in &explanation.identified.identity {
        let _ = writeln!(out, "  {name}={value}");
    }
    if !explanation.entities.is_empty() {
        out.push_str("\nWhat it concerns\n");
        for reason in &explanation.entities {
            let _ = writeln!(out, "  {}: {}", reason.entity, reason.text);
        }
    }
    out.push_str("\nWho says so\n");
    for source in &explanation.received {
        let _ = writeln!(
            out,
            "  {}: {}, {} reports ({} exact duplicates, {} partial), last {}",
            source.source,
            if source.firing { "firing" } else { "resolved" },
            source.reports,
            source.duplicates_full,
            source.duplicates_partial,
            time(source.last_received)
        );
    }
    out.push_str("\nTransitions\n");
    for transition in &explanation.transitions {
        let at = time(transition.at);
        let _ = writeln!(out, "  {at}  {}: {}", transition.outcome, transition.text);
    }
    if !explanation.suppressed_by.is_empty() {
        let _ = writeln!(
            out,
            "\nSuppressed by {}",
            explanation.suppressed_by.join(", ")
        );
    }
    out.push_str("\nIncidents\n");
    if explanation.incidents.is_empty() {
        out.push_str("  none\n");
    }
    for membership in &explanation.incidents {
        let because = membership
            .because
            .as_ref()
            .map_or_else(String::new, |because| {
                format!(": {} ({})", because.reason, percent(because.confidence))
            });
        let (incident, title) = (&membership.incident, &membership.title);
        let _ = writeln!(out, "  {incident}  {title}{because}");
    }
    out
}
