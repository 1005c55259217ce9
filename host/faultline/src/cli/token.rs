//! `faultline token`

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use faultline_api::views::{NewToken, Page, Time, Token};
use http::Method;
use serde_json::json;

use super::Global;
use super::reach::{Beginning, Need, reach};
use crate::client::{Client, escape};
use crate::clock::now;
use crate::output::{self, table, time, word};

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; it is shown this once
    Create(CreateArgs),
    /// The tokens, without the tokens themselves
    List,
    /// Make a token good for nothing, at once
    Revoke {
        /// Its id, as `token list` shows it
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// What it is for, such as ci or prometheus
    name: String,
    /// For the API: viewer, responder, operator or admin
    #[arg(long, required_unless_present = "ingest", conflicts_with = "ingest")]
    role: Option<String>,
    /// For senders, and good for nothing else
    #[arg(long)]
    ingest: bool,
    /// The source that what it sends comes from
    #[arg(long, requires = "ingest")]
    source: Option<String>,
    /// How long it is good, such as 30d
    #[arg(long, value_parser = humantime::parse_duration)]
    expires: Option<Duration>,
}

pub(crate) async fn run(global: &Global, command: &TokenCommand) -> Result<()> {
    let beginning = match command {
        TokenCommand::Create(_) => Beginning::Made,
        TokenCommand::List | TokenCommand::Revoke { .. } => Beginning::Refused,
    };
    let reached = reach(global, Need::Answers, beginning).await?;
    let client = &reached.client;
    let done = match command {
        TokenCommand::Create(args) => create(client, global, args).await,
        TokenCommand::List => list(client, global).await,
        TokenCommand::Revoke { id } => revoke(client, global, id).await,
    };
    reached.close().await;
    done
}

async fn create(client: &Client, global: &Global, args: &CreateArgs) -> Result<()> {
    let expires = args.expires.map(|expires| Time(now().plus(expires)));
    let body = if args.ingest {
        json!({
            "name": args.name, "purpose": "ingest", "source": args.source, "expires": expires,
        })
    } else {
        json!({"name": args.name, "purpose": "api", "role": args.role, "expires": expires})
    };
    let token: NewToken = client.ask(Method::POST, "/tokens", Some(&body)).await?;
    if global.json {
        return output::json(&token);
    }
    // Alone on standard output, so that it can be put into a file.
    output::note("This token is shown this once:");
    output::print(&format!("{}\n", token.token))
}

async fn list(client: &Client, global: &Global) -> Result<()> {
    let page: Page<Token> = client.list("/tokens", usize::MAX).await?;
    if global.json {
        return output::json(&page);
    }
    let rows = page.items.iter().map(|token| {
        let state = match (token.revoked, token.expires, token.valid) {
            (Some(at), ..) => format!("revoked {}", time(at)),
            (None, Some(at), true) => format!("until {}", time(at)),
            (None, Some(at), false) => format!("expired {}", time(at)),
            (None, None, _) => "good".to_owned(),
        };
        vec![
            token.id.clone(),
            token.name.clone(),
            word(&token.purpose),
            token.role.map_or_else(String::new, |role| word(&role)),
            token.source.clone().unwrap_or_default(),
            time(token.created),
            token.created_by.clone(),
            state,
        ]
    });
    let heading = [
        "ID", "NAME", "FOR", "ROLE", "SOURCE", "CREATED", "BY", "STATE",
    ];
    output::print(&table(&heading, rows))
}

async fn revoke(client: &Client, global: &Global, id: &str) -> Result<()> {
    if id.starts_with("flt_") {
        bail!("that is a token; give its id, the part between the first and the second `_`");
    }
    let path = format!("/tokens/{}", escape(id));
    client.ask::<()>(Method::DELETE, &path, None::<&()>).await?;
    if global.json {
        return output::json(&json!({"revoked": id}));
    }
    output::print(&format!("{id} is revoked.\n"))
}
