//! `faultline incident`

use std::cmp::Reverse;
use std::fmt::Write as _;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use faultline_api::views::{
    Because, CommandOutcome, CommandStatus, Evidence, Incident, IncidentEvent, IncidentSummary,
    Member, Page,
};
use faultline_domain::severity::Severity;
use http::Method;

use super::Global;
use super::reach::{Beginning, Need, reach};
use crate::client::{Client, escape};
use crate::output::{self, short, table, time, word};

/// How many members are shown with why they are members.
const MEMBERS_EXPLAINED: usize = 10;

/// How many of the others have a line of their own.
const MEMBERS_LISTED: usize = 20;

#[derive(Debug, Subcommand)]
pub(crate) enum IncidentCommand {
    /// The incidents, the latest first
    List(ListArgs),
    /// One incident: what belongs to it and why, and what may have caused it
    Show(ShowArgs),
    /// Say that somebody is on it
    Ack(ActArgs),
    /// Declare it resolved
    Resolve(ActArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only those in this phase: open, acknowledged, resolved, closed, merged
    #[arg(long)]
    phase: Option<String>,
    /// Only those that are not over
    #[arg(long, conflicts_with = "phase")]
    active: bool,
    /// Only those at least as severe: info, low, warning, high, critical
    #[arg(long, value_name = "SEVERITY")]
    severity_min: Option<String>,
    /// Only those that concern this, such as service/checkout
    #[arg(long)]
    entity: Option<String>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 50)]
    limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Its id, or the beginning of it
    id: String,
    /// Also everything that happened to it, in order
    #[arg(long)]
    events: bool,
    /// Why each member is one, not only the most telling of them
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ActArgs {
    /// Its id, or the beginning of it
    id: String,
}

pub(crate) async fn run(global: &Global, command: &IncidentCommand) -> Result<()> {
    let need = match command {
        IncidentCommand::List(_) | IncidentCommand::Show(_) => Need::Answers,
        IncidentCommand::Ack(_) | IncidentCommand::Resolve(_) => Need::Work,
    };
    let reached = reach(global, need, Beginning::Refused).await?;
    let client = &reached.client;
    let done = match command {
        IncidentCommand::List(args) => list(client, global, args).await,
        IncidentCommand::Show(args) => show(client, global, args).await,
        IncidentCommand::Ack(args) => act(client, global, &args.id, "acknowledge").await,
        IncidentCommand::Resolve(args) => act(client, global, &args.id, "resolve").await,
    };
    reached.close().await;
    done
}

async fn list(client: &Client, global: &Global, args: &ListArgs) -> Result<()> {
    let mut query = Vec::new();
    if args.active {
        query.push("active=true".to_owned());
    }
    for (name, value) in [
        ("phase", &args.phase),
        ("severity_min", &args.severity_min),
        ("entity", &args.entity),
    ] {
        if let Some(value) = value {
            query.push(format!("{name}={}", escape(value)));
        }
    }
    let path = format!("/incidents?{}", query.join("&"));
    let path = path.trim_end_matches('?');
    let page: Page<IncidentSummary> = client.list(path, args.limit).await?;
    if global.json {
        return output::json(&page);
    }
    if page.items.is_empty() {
        return output::print("No incidents.\n");
    }
    let rows = page.items.iter().map(|incident| {
        vec![
            incident.id.get(..12).unwrap_or(&incident.id).to_owned(),
            word(&incident.phase),
            word(&incident.severity),
            time(incident.began),
            format!("{}/{}", incident.members_firing, incident.members_total),
            short(&incident.title, 60),
            incident
                .suspect
                .as_ref()
                .map_or_else(String::new, |suspect| {
                    format!(
                        "{} ({})",
                        short(&suspect.title, 50),
                        percent(suspect.confidence)
                    )
                }),
        ]
    });
    let heading = [
        "ID",
        "PHASE",
        "SEVERITY",
        "BEGAN",
        "FIRING",
        "TITLE",
        "FIRST SUSPECT",
    ];
    let mut text = table(&heading, rows);
    if page.next.is_some() {
        text.push_str("There are more: `--limit` shows them.\n");
    }
    output::print(&text)
}

async fn show(client: &Client, global: &Global, args: &ShowArgs) -> Result<()> {
    let path = format!("/incidents/{}", escape(&args.id));
    let incident: Incident = client.get(&path).await?;
    let members: Page<Member> = client
        .list(
            &format!("/incidents/{}/members", incident.summary.id),
            usize::MAX,
        )
        .await?;
    let events: Vec<IncidentEvent> = if args.events {
        let path = format!("/incidents/{}/events", incident.summary.id);
        client.list(&path, usize::MAX).await?.items
    } else {
        Vec::new()
    };
    let incident = Incident {
        members: members.items,
        ..incident
    };
    if global.json {
        let mut value = serde_json::to_value(&incident)?;
        if args.events
            && let Some(object) = value.as_object_mut()
        {
            object.insert("events".to_owned(), serde_json::to_value(&events)?);
        }
        return output::json(&value);
    }
    let explained_max = if args.all {
        usize::MAX
    } else {
        MEMBERS_EXPLAINED
    };
    output::print(&text(&incident, &events, explained_max))
}

/// An incident as a page for people.
fn text(incident: &Incident, events: &[IncidentEvent], explained_max: usize) -> String {
    let summary = &incident.summary;
    let mut out = format!(
        "{}\n{}\n\n  phase     {}{}\n  severity  {}\n  began     {}\n  opened    {}\n",
        summary.title,
        summary.id,
        word(&summary.phase),
        if summary.firing { ", firing" } else { "" },
        word(&summary.severity),
        time(summary.began),
        time(summary.opened),
    );
    if let Some(act) = &summary.acknowledged {
        let _ = writeln!(out, "  acked     {} by {}", time(act.at), act.by.name);
    }
    if let Some(resolved) = &summary.resolved {
        let by = &resolved.by.name;
        let _ = writeln!(out, "  resolved  {} by {by}", time(resolved.at));
    }
    if let Some(other) = &incident.merged_into {
        let _ = writeln!(out, "  merged into {other}");
    }
    if let Some(other) = &incident.split_from {
        let _ = writeln!(out, "  split from {other}");
    }
    if !summary.entities.is_empty() {
        let _ = writeln!(out, "  concerns  {}", summary.entities.join(", "));
    }
    if let Some(other) = &incident.merged_into {
        let _ = writeln!(
            out,
            "\nIts members and their likely causes are with {other} now."
        );
    } else {
        hypotheses(&mut out, incident);
        members(&mut out, incident, explained_max);
    }
    if !incident.changes.is_empty() {
        out.push_str("\nChanges among the evidence\n");
        for change in &incident.changes {
            let (at, kind) = (time(change.at), &change.kind);
            let entities = change.entities.join(", ");
            let _ = writeln!(out, "  {at}  {kind}  {}  [{entities}]", change.title);
        }
    }
    if !incident.dependencies.is_empty() {
        out.push_str("\nDependencies between what it concerns\n");
        for edge in &incident.dependencies {
            let _ = writeln!(
                out,
                "  {} {} {}",
                edge.dependent, edge.relation, edge.provider
            );
        }
    }
    if !events.is_empty() {
        out.push_str("\nWhat happened\n");
        for event in events {
            let _ = writeln!(
                out,
                "  {}  {}  ({})",
                time(event.at),
                event.text,
                event.by.name
            );
        }
    }
    out
}

fn hypotheses(out: &mut String, incident: &Incident) {
    if incident.hypotheses.is_empty() {
        out.push_str("\nNo likely cause was found.\n");
        return;
    }
    out.push_str("\nLikely causes: hypotheses with their evidence, not verdicts\n");
    for hypothesis in &incident.hypotheses {
        let cause = &hypothesis.cause;
        let at = cause
            .at
            .map_or_else(String::new, |at| format!(", {}", time(at)));
        let _ = writeln!(
            out,
            "\n  {}. {} ({}{at}) — {}",
            hypothesis.rank,
            cause.title,
            word(&cause.kind),
            percent(hypothesis.because.confidence)
        );
        because(out, &hypothesis.because, "     ");
        let _ = writeln!(out, "     by {}", hypothesis.by.name);
    }
}

/// The most telling members with why they are there, the others in a line each.
fn members(out: &mut String, incident: &Incident, explained_max: usize) {
    let mut members: Vec<&Member> = incident.members.iter().collect();
    members.sort_by_key(|member| {
        let severity: Severity = member.severity.into();
        (Reverse(severity), member.started, &member.alert)
    });
    let _ = writeln!(out, "\nMembers ({})", members.len());
    let (explained, others) = members.split_at(explained_max.min(members.len()));
    for member in explained {
        out.push('\n');
        member_line(out, member);
        let origin = member
            .origin
            .as_ref()
            .map_or("", |origin| origin.name.as_str());
        let id = member.alert.get(..12).unwrap_or(&member.alert);
        let entities = member.entities.join(", ");
        let _ = writeln!(out, "     {id}  [{entities}]  from {origin}");
        let confidence = percent(member.because.confidence);
        let _ = writeln!(out, "     joined: {} ({confidence})", member.because.reason);
        for evidence in &member.because.evidence {
            line(out, "     + ", evidence);
        }
        for evidence in &member.because.against {
            line(out, "     - ", evidence);
        }
    }
    if !others.is_empty() {
        let _ = writeln!(
            out,
            "\n  and {} more; `--all` says why each is one\n",
            others.len()
        );
        for member in others.iter().take(MEMBERS_LISTED) {
            member_line(out, member);
        }
        if others.len() > MEMBERS_LISTED {
            let _ = writeln!(out, "  … and {} others", others.len() - MEMBERS_LISTED);
        }
    }
}

fn member_line(out: &mut String, member: &Member) {
    let _ = writeln!(
        out,
        "  {}  {:<8} {:<8} {}",
        time(member.started),
        if member.firing { "firing" } else { "resolved" },
        word(&member.severity),
        member.title
    );
}

fn because(out: &mut String, because: &Because, indent: &str) {
    let _ = writeln!(out, "{indent}{}", because.reason);
    for evidence in &because.evidence {
        line(out, &format!("{indent}for      "), evidence);
    }
    for evidence in &because.against {
        line(out, &format!("{indent}against  "), evidence);
    }
}

fn line(out: &mut String, before: &str, evidence: &Evidence) {
    let _ = writeln!(out, "{before}{}", evidence.text);
}

pub(super) fn percent(confidence: f64) -> String {
    format!("{:.0} %", confidence * 100.0)
}

async fn act(client: &Client, global: &Global, id: &str, act: &str) -> Result<()> {
    let path = format!("/incidents/{}/{act}", escape(id));
    let status: CommandStatus = client.ask(Method::POST, &path, None::<&()>).await?;
    if global.json {
        return output::json(&status);
    }
    let incident = status.incident.as_deref().unwrap_or(id);
    output::print(&match status.outcome {
        CommandOutcome::Done => format!("{incident} is {act}d.\n"),
        CommandOutcome::Pending => format!(
            "{incident} will be {act}d: the stages have not come that far yet (command at {}).\n",
            status.position
        ),
        CommandOutcome::Refused => {
            let why = status.detail.as_deref().unwrap_or("no reason was given");
            bail!("{incident} was not {act}d: {why}")
        }
    })
}
