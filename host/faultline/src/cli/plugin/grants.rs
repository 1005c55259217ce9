//! `faultline plugin grant`, `revoke`, `can` and `narrow`

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use faultline_api::views::{
    Capability, Grant, Instance, RequestedUse, Standing, Time, Use, WhatItDid,
};
use http::Method;
use serde_json::json;

use super::{Global, GrantArgs, NarrowArgs};
use crate::client::{Client, escape};
use crate::clock::now;
use crate::output::{self, short, table, time, word};

pub(super) async fn grant(client: &Client, global: &Global, args: &GrantArgs) -> Result<()> {
    let mut capabilities: Vec<&str> = args.capabilities.iter().map(String::as_str).collect();
    for bound in &args.secrets {
        if !capabilities.contains(&bound.capability.as_str()) {
            capabilities.push(&bound.capability);
        }
    }
    let instance = fetch(client, &args.instance).await?;
    let uses = |capability: &str, using: Use| {
        let mut asked = instance.capabilities.iter();
        asked.any(|asked| asked.requested.id == capability && asked.requested.using == using)
    };
    let https: Vec<&str> = capabilities
        .iter()
        .copied()
        .filter(|capability| uses(capability, Use::Http))
        .collect();
    // Which of them is meant must not be guessed.
    if https.len() != 1 && !(args.allow.is_empty() && args.networks.is_empty()) {
        bail!(
            "--allow and --network are for one capability `http` at a time; named were {}",
            if https.is_empty() {
                "none".to_owned()
            } else {
                https.join(", ")
            }
        );
    }
    let expires = args.lasts.map(|lasts| Time(now().plus(lasts)));
    let mut grants: Vec<Grant> = Vec::new();
    for capability in capabilities {
        let mut body = json!({"reason": args.reason, "expires": expires});
        if uses(capability, Use::Http) {
            body["allow"] = json!(args.allow);
            body["networks"] = json!(args.networks);
        }
        let bound = args
            .secrets
            .iter()
            .find(|bound| bound.capability == capability);
        if let Some(bound) = bound {
            body["secret"] = json!(bound.reference);
        }
        grants.push(put(client, &args.instance, capability, &body).await?);
    }
    if global.json {
        return output::json(&grants);
    }
    let mut out = String::new();
    for grant in &grants {
        let _ = writeln!(out, "{} may use {}.", args.instance, grant.capability);
        grant_text(&mut out, grant);
    }
    output::print(&out)
}

async fn put(
    client: &Client,
    instance: &str,
    capability: &str,
    body: &serde_json::Value,
) -> Result<Grant> {
    let path = format!(
        "/instances/{}/grants/{}",
        escape(instance),
        escape(capability)
    );
    let grant = client.ask(Method::PUT, &path, Some(body)).await;
    grant.with_context(|| format!("granting {capability}"))
}

async fn fetch(client: &Client, instance: &str) -> Result<Instance> {
    client
        .get(&format!("/instances/{}", escape(instance)))
        .await
}

pub(super) async fn revoke(
    client: &Client,
    global: &Global,
    instance: &str,
    capability: &str,
) -> Result<()> {
    let path = format!(
        "/instances/{}/grants/{}",
        escape(instance),
        escape(capability)
    );
    client.ask::<()>(Method::DELETE, &path, None::<&()>).await?;
    if global.json {
        return output::json(&json!({"instance": instance, "revoked": capability}));
    }
    output::print(&format!("{instance} may not use {capability} any more.\n"))
}

/// What it could do, what it did, and when last.
pub(super) async fn can(client: &Client, global: &Global, name: &str) -> Result<()> {
    let instance = fetch(client, name).await?;
    let did = what_it_did(client, name).await?;
    if global.json {
        return output::json(&json!({
            "instance": name, "capabilities": instance.capabilities, "did": did,
        }));
    }
    let mut out = format!("{name} can log, and read its configuration.\n");
    for capability in &instance.capabilities {
        capability_text(&mut out, capability);
        let id = Some(&capability.requested.id);
        let uses = || {
            did.done
                .iter()
                .filter(|done| done.capability.as_ref() == id)
        };
        match uses().map(|done| done.last).max() {
            Some(last) => {
                let times: u64 = uses().map(|done| done.times).sum();
                let _ = writeln!(out, "      used {times} times, last at {}", time(last));
            }
            None => out.push_str("      not used\n"),
        }
    }
    let rows = did.done.iter().map(|done| {
        vec![
            done.action.clone(),
            done.capability.clone().unwrap_or_default(),
            done.to.clone().unwrap_or_default(),
            done.times.to_string(),
            done.failed.to_string(),
            done.denied.to_string(),
            time(done.last),
            short(done.why.as_deref().unwrap_or(""), 80),
        ]
    });
    if did.done.is_empty() {
        out.push_str("\nIt did nothing beyond itself so far.\n");
    } else {
        out.push_str("\nWhat it did\n");
        let heading = [
            "WHAT", "WITH", "WHERE TO", "TIMES", "FAILED", "DENIED", "LAST", "WHY",
        ];
        out.push_str(&table(&heading, rows));
    }
    since_text(&mut out, &did);
    output::print(&out)
}

async fn what_it_did(client: &Client, instance: &str) -> Result<WhatItDid> {
    let path = format!("/instances/{}/usage", escape(instance));
    client.get(&path).await
}

fn since_text(out: &mut String, did: &WhatItDid) {
    if let (true, Some(since)) = (did.more, did.since) {
        let _ = writeln!(
            out,
            "\nThe latest {} rows of the audit log about it were read: nothing before {}.",
            did.rows_read,
            time(since)
        );
    }
}

/// The smaller grant that would have been enough.
pub(super) async fn narrow(client: &Client, global: &Global, args: &NarrowArgs) -> Result<()> {
    let name = &args.instance;
    let did = what_it_did(client, name).await?;
    let mut out = String::new();
    let mut narrowed: Vec<Grant> = Vec::new();
    for narrow in &did.narrowed {
        let capability = &narrow.capability;
        if narrow.enough.is_empty() {
            let _ = writeln!(
                out,
                "{capability} was not used: faultline plugin revoke {name} {capability}"
            );
            continue;
        }
        let (mut granted, mut enough) = (narrow.granted.clone(), narrow.enough.clone());
        granted.sort_unstable();
        enough.sort_unstable();
        if granted == enough {
            let _ = writeln!(out, "{capability} is as narrow as what was done with it.");
            continue;
        }
        let _ = writeln!(out, "{capability} is granted");
        for rule in &granted {
            let _ = writeln!(out, "    {rule}");
        }
        let _ = writeln!(out, "  and this would have been enough");
        for rule in &enough {
            let _ = writeln!(out, "    {rule}");
        }
        if args.apply {
            let path = format!("/instances/{}/grants/{}", escape(name), escape(capability));
            let before: Grant = client.get(&path).await?;
            let body = json!({
                "reason": "narrowed to what the audit log has seen",
                "allow": enough,
                "networks": before.networks,
                "expires": before.expires,
            });
            narrowed.push(put(client, name, capability, &body).await?);
            let _ = writeln!(out, "  which is what is granted now.");
        } else {
            let allow: Vec<String> = enough
                .iter()
                .map(|rule| format!("--allow '{rule}'"))
                .collect();
            let _ = writeln!(
                out,
                "  faultline plugin grant {name} {capability} {}",
                allow.join(" ")
            );
        }
    }
    if global.json {
        return output::json(&json!({
            "instance": name, "narrowed": did.narrowed, "granted": narrowed,
            "since": did.since, "more": did.more,
        }));
    }
    if did.narrowed.is_empty() {
        let _ = writeln!(out, "{name} has no grant that could be narrower.");
    }
    since_text(&mut out, &did);
    output::print(&out)
}

/// What is asked for, in detail.
pub(super) fn request_text(out: &mut String, asked: &RequestedUse) {
    for rule in &asked.rules {
        let _ = writeln!(out, "      {rule}");
    }
    if let Some(attach) = &asked.attach {
        let _ = writeln!(out, "      the host puts it into {attach}");
    }
}

/// A capability of an instance, and the grant of it.
pub(super) fn capability_text(out: &mut String, capability: &Capability) {
    let asked = &capability.requested;
    let granted = match (&capability.grant, capability.standing) {
        (Some(grant), standing) => {
            let void = match standing {
                Standing::Expired => "EXPIRED; ",
                Standing::Changed => "ASKS FOR MORE than was granted; ",
                Standing::Granted | Standing::NotGranted => "",
            };
            let (by, at, reason) = (&grant.by, time(grant.at), &grant.reason);
            format!("{void}granted by {by} at {at}: {reason}")
        }
        (None, _) if asked.required => "NOT GRANTED, and required".to_owned(),
        (None, _) => "not granted".to_owned(),
    };
    let using = word(&asked.using);
    let _ = writeln!(
        out,
        "  asks for {using} ({}): {}; {granted}",
        asked.id, asked.reason
    );
    match (&capability.grant, capability.standing) {
        (Some(grant), Standing::Granted) => {
            grant_text(out, grant);
            if let Some(attach) = &asked.attach {
                let _ = writeln!(out, "      the host puts it into {attach}");
            }
        }
        _ if capability.asked.is_empty() => request_text(out, asked),
        _ => {
            for rule in &capability.asked {
                let _ = writeln!(out, "      {rule}");
            }
        }
    }
}

/// What a grant allows, in detail.
fn grant_text(out: &mut String, grant: &Grant) {
    for rule in &grant.rules {
        let _ = writeln!(out, "      {rule}");
    }
    if !grant.networks.is_empty() {
        let _ = writeln!(out, "      also in {}", grant.networks.join(", "));
    }
    if let Some(secret) = &grant.secret {
        let _ = writeln!(out, "      kept in {secret}");
    }
    if let Some(expires) = grant.expires {
        let _ = writeln!(out, "      until {}", time(expires));
    }
}
