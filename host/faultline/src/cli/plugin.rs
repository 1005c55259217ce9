//! `faultline plugin`

mod grants;
mod install;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use faultline_api::views::{
    CommandOutcome, CommandStatus, ComponentCache, ComponentCacheCleared, Instance,
    InstanceSummary, InstanceUpgrade, LimitsView, Page, Plugin, PluginComponent, PluginSummary,
    Poll, PollNow, RequestedUse, Time, UsageView,
};
use faultline_bundle::Bundle;
use faultline_domain::secret::SecretRef;
use http::Method;
use serde_json::{Value, json};

use super::Global;
use super::reach::{Beginning, Need, reach};
use crate::client::{Client, escape};
use crate::output::{self, short, table, time, word};

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// The instances that run or could run, and the bundles they are made of
    List,
    /// One instance, one installed bundle, or a bundle folder before it is
    /// installed: what it is, what it asks for, what it may do
    Inspect {
        /// The name of an instance, of a plugin (namespace/name), or a folder
        what: String,
    },
    /// Install a bundle, and make an instance of each of its components; or of a
    /// plugin that is there already
    Install(InstallArgs),
    /// Have an instance made of another version of its plugin
    Upgrade(UpgradeArgs),
    /// Configure an instance anew
    Configure(ConfigureArgs),
    /// Let an instance do something that it asks for
    Grant(GrantArgs),
    /// What an instance could do, what it did, and when last
    Can {
        /// The instance
        instance: String,
    },
    /// What would be enough for an instance, and with --apply have it so
    Narrow(NarrowArgs),
    /// Take back what was granted
    Revoke {
        /// The instance
        instance: String,
        /// The id of the capability
        capability: String,
    },
    /// Have a connector that polls ask at once
    Poll(PollArgs),
    /// Let an instance run; one that failed or is quarantined gets another
    /// chance
    Enable {
        /// The instance
        instance: String,
    },
    /// Stop an instance
    Disable {
        /// The instance
        instance: String,
    },
    /// Have an instance called again that is backing off or quarantined
    Resume {
        /// The instance
        instance: String,
    },
    /// What is kept of compiled components, so that they need not be compiled
    /// again
    #[command(subcommand)]
    Cache(CacheCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// The components, the latest used first
    List,
    /// Remove them all; whatever runs, runs on
    Clear,
}

#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// The bundle's folder, with plugin.toml in it; or a plugin that is installed
    /// or came with Faultline, such as faultline/json, namespace/name@version or
    /// a digest
    bundle: PathBuf,
    /// The name of the instance; without it, the name of the component
    #[arg(long = "as", value_name = "INSTANCE")]
    instance: Option<String>,
    /// Make an instance of this component only
    #[arg(long)]
    component: Option<String>,
    /// The instance's configuration, as JSON
    #[arg(long, value_name = "FILE")]
    instance_config: Option<PathBuf>,
    /// Only install, without making an instance
    #[arg(long, conflicts_with_all = ["instance", "component", "instance_config"])]
    no_instance: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UpgradeArgs {
    /// The instance
    instance: String,
    /// The bundle to have it made of: namespace/name@version or a digest;
    /// without it, the latest version that is installed
    #[arg(long)]
    to: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigureArgs {
    /// The instance
    instance: String,
    /// The configuration, as JSON; `-` reads standard input
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    /// The instance
    instance: String,
    /// The ids of the capabilities, as `plugin inspect` shows them
    #[arg(required_unless_present = "secrets")]
    capabilities: Vec<String>,
    /// Why, for the audit log
    #[arg(long, default_value = "granted on the command line")]
    reason: String,
    /// Of a capability `http`: allow this only, and not all that is asked for.
    /// Can be given more than once
    #[arg(long, value_name = "RULE")]
    allow: Vec<String>,
    /// Of a capability `http`: let names lead into this network, which is not
    /// of the open internet. Can be given more than once
    #[arg(long = "network", value_name = "CIDR")]
    networks: Vec<String>,
    /// Where a secret is kept: env: and the name of a variable of the server's
    /// environment, or file: and an absolute path. Grants the capability, too.
    /// Can be given more than once
    #[arg(long = "secret", value_name = "CAPABILITY=WHERE")]
    secrets: Vec<Bound>,
    /// For how long, such as 30d or 12h; without it, until it is taken back
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    lasts: Option<Duration>,
}

/// A secret's capability, and where the secret is kept.
#[derive(Debug, Clone)]
struct Bound {
    capability: String,
    reference: String,
}

impl std::str::FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bound = text.split_once('=').map(|(capability, reference)| Self {
            capability: capability.to_owned(),
            reference: reference.to_owned(),
        });
        bound
            .filter(|bound| !bound.capability.is_empty())
            .filter(|bound| bound.reference.parse::<SecretRef>().is_ok())
            .ok_or_else(|| {
                // What was given may be the secret itself.
                "must be as in token=env:NAME or token=file:/path".to_owned()
            })
    }
}

#[derive(Debug, Args)]
pub(crate) struct NarrowArgs {
    /// The instance
    instance: String,
    /// To the methods, hosts and ports that the audit log has seen it use
    #[arg(long, required = true)]
    to_observed: bool,
    /// Grant it so. Capabilities that were not used stay as they are
    #[arg(long)]
    apply: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PollArgs {
    /// The instance
    instance: String,
    /// Forget how far it has come, and fetch again from the start
    #[arg(long)]
    from_start: bool,
}

pub(crate) async fn run(global: &Global, command: PluginCommand) -> Result<()> {
    // Before it is installed, a bundle is nobody's business but the reader's.
    if let PluginCommand::Inspect { what } = &command
        && Path::new(what).is_dir()
    {
        return inspect_folder(global, Path::new(what));
    }
    // One that cannot be read begins no data folder.
    let selected = match &command {
        PluginCommand::Install(args) => install::read(args)?,
        _ => None,
    };
    let beginning = match selected {
        Some(_) => Beginning::Made,
        None => Beginning::Refused,
    };
    let reached = reach(global, Need::Answers, beginning).await?;
    if reached.is_own() && !global.json {
        output::note("No server works with this data folder: no instance runs at the moment.");
    }
    let client = &reached.client;
    let done = match &command {
        PluginCommand::List => list(client, global).await,
        PluginCommand::Inspect { what } => inspect(client, global, what).await,
        PluginCommand::Install(args) => install::install(client, global, args, selected).await,
        PluginCommand::Upgrade(args) => upgrade(client, global, args).await,
        PluginCommand::Configure(args) => configure(client, global, args).await,
        PluginCommand::Grant(args) => grants::grant(client, global, args).await,
        PluginCommand::Can { instance } => grants::can(client, global, instance).await,
        PluginCommand::Narrow(args) => grants::narrow(client, global, args).await,
        PluginCommand::Revoke {
            instance,
            capability,
        } => grants::revoke(client, global, instance, capability).await,
        PluginCommand::Poll(args) => poll(client, global, args).await,
        PluginCommand::Enable { instance } => switch(client, global, instance, "enable").await,
        PluginCommand::Disable { instance } => switch(client, global, instance, "disable").await,
        PluginCommand::Resume { instance } => resume(client, global, instance).await,
        PluginCommand::Cache(CacheCommand::List) => cache(client, global).await,
        PluginCommand::Cache(CacheCommand::Clear) => clear_cache(client, global).await,
    };
    reached.close().await;
    done
}

async fn list(client: &Client, global: &Global) -> Result<()> {
    let instances: Page<InstanceSummary> = client.list("/instances", usize::MAX).await?;
    let plugins: Page<PluginSummary> = client.list("/plugins", usize::MAX).await?;
    if global.json {
        return output::json(&json!({
            "instances": instances.items, "plugins": plugins.items,
        }));
    }
    let rows = instances.items.iter().map(|instance| {
        vec![
            instance.name.clone(),
            word(&instance.kind),
            instance.plugin.clone(),
            instance.version.clone(),
            word(&instance.state),
            instance.reason.clone().unwrap_or_default(),
        ]
    });
    let mut text = table(
        &["INSTANCE", "KIND", "PLUGIN", "VERSION", "STATE", "WHY"],
        rows,
    );
    let rows = plugins.items.iter().map(|plugin| {
        vec![
            plugin.plugin.clone(),
            plugin.version.clone(),
            plugin.digest.get(..19).unwrap_or(&plugin.digest).to_owned(),
            plugin.origin.clone(),
            plugin.instances.len().to_string(),
            short(
                plugin
                    .fault
                    .as_deref()
                    .or(plugin.summary.as_deref())
                    .unwrap_or(""),
                80,
            ),
        ]
    });
    text.push('\n');
    let heading = [
        "PLUGIN",
        "VERSION",
        "DIGEST",
        "ORIGIN",
        "INSTANCES",
        "WHAT IT IS",
    ];
    text.push_str(&table(&heading, rows));
    output::print(&text)
}

/// The path of the cache of compiled components.
const CACHE: &str = "/component-cache";

async fn cache(client: &Client, global: &Global) -> Result<()> {
    let cache: ComponentCache = client.get(CACHE).await?;
    if global.json {
        return output::json(&cache);
    }
    if !cache.enabled {
        return output::print(
            "Compiled components are not kept: `[plugins.compile] cache` is 0, or the server's log \
             says why.\n",
        );
    }
    let rows = cache
        .components
        .iter()
        .map(|kept| vec![kept.component.clone(), size(kept.bytes), time(kept.used)]);
    let mut text = table(&["COMPONENT", "SIZE", "LAST USED"], rows);
    let _ = writeln!(
        text,
        "\n{} of {} are used",
        size(cache.bytes),
        size(cache.bytes_max)
    );
    output::print(&text)
}

fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}

async fn clear_cache(client: &Client, global: &Global) -> Result<()> {
    let cleared: ComponentCacheCleared = client.ask(Method::DELETE, CACHE, None::<&()>).await?;
    if global.json {
        return output::json(&cleared);
    }
    output::print(&format!(
        "{} compiled components were removed.\n",
        cleared.removed
    ))
}

async fn inspect(client: &Client, global: &Global, what: &str) -> Result<()> {
    if what.contains('/') || what.starts_with("sha256:") {
        let plugin: Plugin = client.get(&format!("/plugins/{}", escape(what))).await?;
        if global.json {
            return output::json(&plugin);
        }
        return output::print(&plugin_text(&plugin));
    }
    let path = format!("/instances/{}", escape(what));
    let instance: Instance = client.get(&path).await.with_context(|| {
        format!(
            "`{what}` is neither a folder, nor an instance, nor a plugin's full name \
             (namespace/name)"
        )
    })?;
    if global.json {
        return output::json(&instance);
    }
    output::print(&instance_text(&instance))
}

fn plugin_text(plugin: &Plugin) -> String {
    let bundle = &plugin.bundle;
    let mut out = format!("{} {}\n{}\n", bundle.plugin, bundle.version, bundle.digest);
    if let Some(summary) = &bundle.summary {
        let _ = writeln!(out, "\n{summary}");
    }
    let _ = writeln!(
        out,
        "\n  installed  {} by {}, from {}",
        time(bundle.installed),
        bundle.installed_by,
        bundle.origin
    );
    for (name, value) in [("licence", &plugin.license), ("homepage", &plugin.homepage)] {
        if let Some(value) = value {
            let _ = writeln!(out, "  {name:<9}  {value}");
        }
    }
    if let Some(fault) = &bundle.fault {
        let _ = writeln!(out, "  FAULT      {fault}");
    }
    let _ = writeln!(
        out,
        "  instances  {}",
        none_if_empty(&bundle.instances.join(", "))
    );
    for component in &plugin.components {
        component_text(&mut out, component);
    }
    out
}

fn component_text(out: &mut String, component: &PluginComponent) {
    let _ = writeln!(out, "\n{} {}", word(&component.kind), component.name);
    if component.capabilities.is_empty() {
        out.push_str("  asks for nothing but to log and to read its configuration\n");
    }
    for capability in &component.capabilities {
        let _ = writeln!(
            out,
            "  asks for {} ({}{}): {}",
            word(&capability.using),
            capability.id,
            if capability.required {
                ", required"
            } else {
                ""
            },
            capability.reason
        );
        grants::request_text(out, capability);
    }
    limits_text(out, &component.limits);
    if let Some(schema) = &component.config_schema
        && let Some(properties) = schema.get("properties").and_then(Value::as_object)
    {
        let names: Vec<&str> = properties.keys().map(String::as_str).collect();
        let _ = writeln!(out, "  can be configured: {}", names.join(", "));
    }
}

fn limits_text(out: &mut String, limits: &LimitsView) {
    let _ = writeln!(
        out,
        "  limits: memory {}, {} ms on a processor and {} ms on the clock a call, output {}, \
         state {}, kv {}",
        bytes(limits.memory_bytes),
        limits.cpu_per_call_ms,
        limits.wall_per_call_ms,
        bytes(limits.output_bytes),
        bytes(limits.state_bytes),
        bytes(limits.kv_bytes)
    );
}

fn instance_text(instance: &Instance) -> String {
    let summary = &instance.summary;
    let mut out = format!(
        "{}\n{} {} of {} {}\n\n  state     {}\n",
        summary.name,
        word(&summary.kind),
        summary.component,
        summary.plugin,
        summary.version,
        word(&summary.state)
    );
    if let Some(reason) = &summary.reason {
        let _ = writeln!(out, "  because   {reason}");
    }
    let _ = writeln!(
        out,
        "  bundle    {}\n  created   {} by {}\n  config    {}",
        summary.bundle,
        time(summary.created),
        summary.created_by,
        instance.config
    );
    if let Some(usage) = &summary.usage {
        usage_text(&mut out, usage);
    }
    if let Some(poll) = &instance.poll {
        poll_text(&mut out, poll);
    }
    if let Some(limits) = &instance.limits {
        limits_text(&mut out, limits);
    }
    if instance.capabilities.is_empty() {
        out.push_str("  asks for nothing but to log and to read its configuration\n");
    }
    for capability in &instance.capabilities {
        grants::capability_text(&mut out, capability);
    }
    out
}

fn usage_text(out: &mut String, usage: &UsageView) {
    let _ = writeln!(
        out,
        "  usage     {} calls, {:.3} s on a processor, at most {} of memory, {} host calls, {} \
         denied",
        usage.calls,
        usage.cpu_seconds,
        bytes(usage.memory_peak_bytes),
        usage.host_calls,
        usage.denied
    );
    for (code, count) in &usage.failures {
        let _ = writeln!(out, "  failed    {count} times: {code}");
    }
}

fn poll_text(out: &mut String, poll: &Poll) {
    let at = |at: Option<Time>| at.map_or_else(|| "never".to_owned(), time);
    let _ = writeln!(
        out,
        "  polls     every {} s, last {}, next {}; {} pages with {} envelopes\n  caught up {}{}{}",
        poll.interval_seconds,
        at(poll.last),
        poll.next
            .map_or_else(|| "not before it is resumed".to_owned(), time),
        poll.pages,
        poll.envelopes,
        at(poll.caught_up),
        poll.lag_seconds
            .map_or_else(String::new, |lag| format!(", {lag:.0} s ago")),
        poll.cursor_bytes
            .map_or_else(String::new, |size| format!("; cursor {}", bytes(size))),
    );
    if let Some(fault) = &poll.last_fault {
        let _ = writeln!(
            out,
            "  fault     {}: {}: {} ({} in a row, {} in all)",
            time(fault.at),
            fault.code,
            fault.message,
            poll.faults_in_a_row,
            poll.faults
        );
    }
}

fn bytes(bytes: u64) -> bytesize::Display {
    bytesize::ByteSize(bytes).display().iec()
}

fn none_if_empty(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// What a bundle would be, were it installed.
fn inspect_folder(global: &Global, folder: &Path) -> Result<()> {
    let bundle = Bundle::read_folder(folder)?;
    let manifest = bundle.manifest();
    if global.json {
        return output::json(&json!({
            "plugin": manifest.id.to_string(),
            "version": manifest.version.to_string(),
            "digest": bundle.digest().to_string(),
            "summary": manifest.summary,
            "files": bundle.files().keys().collect::<Vec<_>>(),
            "components": manifest.components.iter().map(|component| json!({
                "name": component.name,
                "kind": component.kind.to_string(),
                "capabilities": component.capabilities.iter().map(|request| json!({
                    "id": request.id,
                    "use": request.using.to_string(),
                    "required": request.required,
                    "reason": request.reason,
                    "rules": request.rules,
                    "attach": request.attach.as_ref().map(ToString::to_string),
                })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        }));
    }
    let mut out = format!(
        "{} {}\n{}\n\n{}\n\nThe bundle is in order; it is not installed.\n",
        manifest.id,
        manifest.version,
        bundle.digest(),
        manifest.summary
    );
    for component in &manifest.components {
        let _ = writeln!(out, "\n{} {}", component.kind, component.name);
        if component.capabilities.is_empty() {
            out.push_str("  asks for nothing but to log and to read its configuration\n");
        }
        for request in &component.capabilities {
            let required = if request.required { ", required" } else { "" };
            let (using, id) = (request.using, &request.id);
            let _ = writeln!(
                out,
                "  asks for {using} ({id}{required}): {}",
                request.reason
            );
            grants::request_text(&mut out, &RequestedUse::from(request));
        }
    }
    out.push_str("\nFiles\n");
    for (path, content) in bundle.files() {
        let _ = writeln!(out, "  {path}  {}", bytes(content.len() as u64));
    }
    output::print(&out)
}

async fn upgrade(client: &Client, global: &Global, args: &UpgradeArgs) -> Result<()> {
    let path = format!("/instances/{}/upgrade", escape(&args.instance));
    let body = match &args.to {
        Some(to) => json!({"plugin": to}),
        None => json!({}),
    };
    let done: InstanceUpgrade = client.ask(Method::POST, &path, Some(&body)).await?;
    if global.json {
        return output::json(&done);
    }
    let summary = &done.instance.summary;
    let mut out = format!(
        "{} was made of version {} and now is of {}; it is {}.\n",
        summary.name,
        done.from_version,
        summary.version,
        word(&summary.state)
    );
    for added in &done.capabilities_added {
        let name = &summary.name;
        let _ = writeln!(
            out,
            "It now also asks for {added}: faultline plugin grant {name} {added}"
        );
    }
    output::print(&out)
}

async fn configure(client: &Client, global: &Global, args: &ConfigureArgs) -> Result<()> {
    let path = format!("/instances/{}/config", escape(&args.instance));
    let body = json!({"config": read_json(&args.file)?});
    let instance: Instance = client.ask(Method::PUT, &path, Some(&body)).await?;
    shown(global, &instance)
}

async fn poll(client: &Client, global: &Global, args: &PollArgs) -> Result<()> {
    let path = format!("/instances/{}", escape(&args.instance));
    let before: Instance = client.get(&path).await?;
    let body = PollNow {
        from_start: args.from_start,
    };
    let path = format!("{path}/poll");
    let after: Instance = client.ask(Method::POST, &path, Some(&body)).await?;
    if global.json {
        return output::json(&after);
    }
    let name = &after.summary.name;
    let Some(poll) = &after.poll else {
        bail!("{name} was asked, and nothing is known of it");
    };
    if let Some(fault) = &poll.last_fault
        && poll.faults_in_a_row > 0
    {
        bail!("{name} fetched nothing: {}: {}", fault.code, fault.message);
    }
    let envelopes = before.poll.map_or(0, |before| before.envelopes);
    let next = poll.next.map_or_else(String::new, |next| {
        format!("; it is asked next at {}", time(next))
    });
    output::print(&format!(
        "{name} fetched {} envelopes{next}.\n",
        poll.envelopes.saturating_sub(envelopes)
    ))
}

async fn switch(client: &Client, global: &Global, instance: &str, act: &str) -> Result<()> {
    let path = format!("/instances/{}/{act}", escape(instance));
    let instance: Instance = client.ask(Method::POST, &path, None::<&()>).await?;
    shown(global, &instance)
}

async fn resume(client: &Client, global: &Global, instance: &str) -> Result<()> {
    let path = format!("/instances/{}/resume", escape(instance));
    let status: CommandStatus = client.ask(Method::POST, &path, None::<&()>).await?;
    if global.json {
        return output::json(&status);
    }
    output::print(&match status.outcome {
        CommandOutcome::Done => format!("{instance} is called again.\n"),
        CommandOutcome::Pending => format!(
            "{instance} will be called again: the stages have not come that far yet (command at \
             {}).\n",
            status.position
        ),
        CommandOutcome::Refused => {
            let why = status.detail.as_deref().unwrap_or("no reason was given");
            bail!("{instance} is not called again: {why}")
        }
    })
}

fn shown(global: &Global, instance: &Instance) -> Result<()> {
    if global.json {
        return output::json(instance);
    }
    let InstanceSummary {
        name,
        state,
        reason,
        ..
    } = &instance.summary;
    let why = reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(": {reason}"));
    output::print(&format!("{name} is {}{why}.\n", word(state)))
}

fn read_json(path: &Path) -> Result<Value> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).context("reading standard input")?
    } else {
        fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?
    };
    serde_json::from_str(&text).with_context(|| format!("reading {} as JSON", path.display()))
}
