//! `faultline history`

use anyhow::Result;
use clap::Subcommand;
use faultline_api::views::HistoryDigest;

use super::Global;
use super::reach::{Beginning, Need, reach};
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum HistoryCommand {
    /// One number for all alerts and incidents: the same journal, plugins and
    /// configuration give the same one
    Digest,
}

pub(crate) async fn run(global: &Global, command: &HistoryCommand) -> Result<()> {
    let HistoryCommand::Digest = command;
    let reached = reach(global, Need::Answers, Beginning::Refused).await?;
    let digest: Result<HistoryDigest> = reached.client.get("/history/digest").await;
    reached.close().await;
    let digest = digest?;
    if global.json {
        return output::json(&digest);
    }
    output::print(&format!("{}\n", digest.digest))
}
