//! `faultline plugin install`

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result, bail};
use data_encoding::BASE64;
use faultline_api::views::{Instance, Plugin};
use faultline_bundle::Bundle;
use http::Method;
use serde_json::{Value, json};

use super::{Global, InstallArgs, read_json};
use crate::client::{Client, escape};
use crate::output::{self, word};

/// A bundle that is to be installed.
pub(super) struct Selected {
    bundle: Bundle,
    /// What instances are to be made of.
    components: Vec<String>,
}

/// The bundle in the folder that is named; none if none is. Read before anything
/// is done, so that what is wrong with it is said with its path.
pub(super) fn read(args: &InstallArgs) -> Result<Option<Selected>> {
    if !args.bundle.is_dir() {
        return Ok(None);
    }
    let bundle = Bundle::read_folder(&args.bundle)?;
    let components = bundle.manifest().components.iter();
    let components = chosen(args, components.map(|component| component.name.clone()))?;
    Ok(Some(Selected { bundle, components }))
}

pub(super) async fn install(
    client: &Client,
    global: &Global,
    args: &InstallArgs,
    selected: Option<Selected>,
) -> Result<()> {
    let config = args.instance_config.as_deref().map(read_json).transpose()?;
    let mut text = String::new();
    let (plugin, components) = if let Some(Selected { bundle, components }) = selected {
        let plugin = send(client, args, &bundle).await?;
        let sent = &plugin.bundle;
        let _ = writeln!(
            text,
            "Installed {} {} ({}).",
            sent.plugin, sent.version, sent.digest
        );
        (plugin, components)
    } else {
        let plugin = installed(client, args).await?;
        let components = plugin.components.iter();
        let components = chosen(args, components.map(|component| component.name.clone()))?;
        (plugin, components)
    };
    let mut instances: Vec<Instance> = Vec::new();
    for component in &components {
        let name = args.instance.as_ref().unwrap_or(component);
        let mut body = json!({
            "name": name, "plugin": plugin.bundle.digest, "component": component,
        });
        if let (Some(config), Some(object)) = (&config, body.as_object_mut()) {
            object.insert("config".to_owned(), config.clone());
        }
        let made = client.ask(Method::POST, "/instances", Some(&body)).await;
        instances.push(made.with_context(|| not_made(&plugin, name, component, &instances))?);
    }
    if global.json {
        return output::json(&json!({"plugin": plugin, "instances": instances}));
    }
    instances_text(&mut text, &instances);
    output::print(&text)
}

/// Has the server install what was read.
async fn send(client: &Client, args: &InstallArgs, bundle: &Bundle) -> Result<Plugin> {
    let files: serde_json::Map<String, Value> = bundle
        .files()
        .iter()
        .map(|(path, content)| (path.clone(), Value::String(BASE64.encode(content))))
        .collect();
    let origin = fs::canonicalize(&args.bundle).unwrap_or_else(|_| args.bundle.clone());
    let body = json!({"files": files, "origin": origin.display().to_string()});
    client.ask(Method::POST, "/plugins", Some(&body)).await
}

/// A plugin that is there already.
async fn installed(client: &Client, args: &InstallArgs) -> Result<Plugin> {
    let what = args.bundle.display().to_string();
    let is_name = what.contains('/') || what.starts_with("sha256:");
    if args.bundle.exists() || !is_name {
        bail!(
            "`{what}` is neither the folder of a bundle, with `plugin.toml` in it, nor the full \
             name of a plugin (namespace/name); `faultline plugin list` shows those that are \
             installed"
        );
    }
    if args.no_instance {
        bail!("there is nothing to do: `{what}` is no folder, and no instance is to be made");
    }
    let path = format!("/plugins/{}", escape(&what));
    let plugin = client.get(&path).await;
    plugin.with_context(|| {
        format!("there is no folder `{what}`, and so it would be a plugin that is installed")
    })
}

/// The components that instances are to be made of, by their names.
fn chosen(args: &InstallArgs, names: impl Iterator<Item = String>) -> Result<Vec<String>> {
    if args.no_instance {
        return Ok(Vec::new());
    }
    let is_meant = |name: &str| args.component.as_deref().is_none_or(|meant| meant == name);
    let (chosen, others): (Vec<String>, Vec<String>) = names.partition(|name| is_meant(name));
    if chosen.is_empty() {
        bail!(
            "the bundle has no such component; it has {}",
            others.join(", ")
        );
    }
    if chosen.len() > 1 && (args.instance.is_some() || args.instance_config.is_some()) {
        bail!("the bundle has several components: name one with `--component`");
    }
    Ok(chosen)
}

/// What was done nevertheless, and how to go on.
fn not_made(plugin: &Plugin, name: &str, component: &str, made: &[Instance]) -> String {
    let made: Vec<&str> = made.iter().map(|made| made.summary.name.as_str()).collect();
    let made = if made.is_empty() {
        String::new()
    } else {
        format!(", and so are the instances {}", made.join(", "))
    };
    format!(
        "the bundle is installed{made}, but no instance `{name}` could be made of its component \
         {component}; `--as` gives it another name, and if `{name}` is of an earlier version of \
         this plugin, `faultline plugin upgrade {name} --to {}` renews it",
        plugin.bundle.digest
    )
}

fn instances_text(out: &mut String, instances: &[Instance]) {
    for instance in instances {
        let name = &instance.summary.name;
        let _ = writeln!(out, "Instance {name} is {}.", word(&instance.summary.state));
        if let Some(reason) = &instance.summary.reason {
            let _ = writeln!(out, "  {reason}");
        }
        for capability in &instance.capabilities {
            if capability.grant.is_none() {
                let asked = &capability.requested;
                let _ = writeln!(
                    out,
                    "  It asks for {}: {}\n  To allow it: faultline plugin grant {name} {}",
                    word(&asked.using),
                    asked.reason,
                    asked.id
                );
            }
        }
    }
}
