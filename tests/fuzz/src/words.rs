//! Texts that people, manifests and plugins write and the rules of the domain
//! read: rules, URLs, networks, where secrets are kept, names.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use faultline_domain::entity::Entity;
use faultline_domain::grant::Terms;
use faultline_domain::id::{
    AlertId, ChangeId, Digest, IncidentId, InstanceName, ScopeName, SourceName,
};
use faultline_domain::network::{canonical, embedded, is_metadata, special};
use faultline_domain::rule::{Destination, Method, Rule, RuleTemplate, parse_network};
use faultline_domain::secret::SecretRef;

use crate::parts;

/// The most characters of a URL that is read.
const URL_CHARS_MAX: usize = 8_192;

/// What a text of somebody else's is shown as where it may be a secret.
const UNSHOWN: [&str; 3] = ["`…` ", "`env:…` ", "`file:…` "];

/// Texts between NUL bytes.
fn texts(data: &[u8], most: usize) -> Option<Vec<&str>> {
    let texts: Result<Vec<&str>, _> = parts(data, most)
        .into_iter()
        .map(std::str::from_utf8)
        .collect();
    texts.ok().filter(|texts| texts.len() == most)
}

/// What was read is written as what reads the same.
fn reads_back<T>(value: &T)
where
    T: Display + FromStr + PartialEq + std::fmt::Debug,
    T::Err: std::fmt::Debug,
{
    let written = value.to_string();
    let again = written.parse::<T>();
    assert_eq!(again.as_ref().ok(), Some(value), "{written}: {again:?}");
}

/// Two rules, a method and a URL. What a rule includes it allows.
pub fn egress_rule(data: &[u8]) {
    let Some(texts) = texts(data, 4) else { return };
    let rules: Vec<Rule> = texts[..2]
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect();
    for rule in &rules {
        reads_back(rule);
        assert!(rule.includes(rule), "{rule} does not include itself");
        assert_eq!(rule.intersection(rule).as_ref(), Some(rule));
    }
    let Ok(destination) = Destination::parse(texts[2], texts[3]) else {
        return;
    };
    for rule in rules.iter().filter(|rule| rule.matches(&destination)) {
        let narrowed =
            rule.narrowed_to(destination.method(), destination.host(), destination.port());
        let narrowed = narrowed.expect("what is allowed can be what is left");
        assert!(narrowed.matches(&destination) && rule.includes(&narrowed));
    }
    if let [one, other] = &rules[..] {
        let (allowed, also) = (one.matches(&destination), other.matches(&destination));
        assert!(allowed || !also || !one.includes(other), "{one}, {other}");
        if let Some(both) = one.intersection(other) {
            assert!(one.includes(&both) && other.includes(&both));
            assert_eq!(both.matches(&destination), allowed && also);
        }
    }
}

/// A method, a URL, and what it redirects to. What was read is what is sent.
pub fn egress_url(data: &[u8]) {
    let Some(texts) = texts(data, 3) else { return };
    let Ok(destination) = Destination::parse(texts[0], texts[1]) else {
        return;
    };
    is_sent_as_read(&destination);
    if let Ok(next) = destination.redirected(texts[2], Method::Get) {
        is_sent_as_read(&next);
        assert_eq!(next.method(), Method::Get);
    }
}

fn is_sent_as_read(destination: &Destination) {
    let path = destination.path_and_query();
    assert!(path.starts_with('/') && !path.contains('#'), "{path}");
    let mut steps = path.split('?').next().unwrap_or_default().split('/');
    assert!(steps.all(|step| step != "." && step != ".."), "{path}");
    let url = format!(
        "{}://{}{path}",
        destination.scheme().as_str(),
        destination.authority()
    );
    if url.len() > URL_CHARS_MAX {
        // What had to be percent-encoded has grown.
        return;
    }
    let again = Destination::to(destination.method(), &url).expect("what is sent can be read");
    assert!(again.is_same_origin(destination), "{url}");
    assert_eq!(again.path_and_query(), path);
}

/// A rule of a manifest, and what the configuration holds.
pub fn egress_template(data: &[u8]) {
    let Some(texts) = texts(data, 2) else { return };
    let Ok(template) = texts[0].parse::<RuleTemplate>() else {
        return;
    };
    reads_back(&template);
    let (key, value) = (template.key(), texts[1]);
    let setting = |asked: &str| (Some(asked) == key).then(|| value.to_owned());
    let resolved = template.resolve(&setting);
    assert_eq!(resolved, template.resolve(&setting));
    let Ok(rule) = resolved else {
        assert!(key.is_some(), "nothing is open, and it is no rule");
        return;
    };
    reads_back(&rule);
    // A URL in the configuration is where the rule leads to, and nowhere else.
    if texts[0].starts_with("GET {config.") {
        let configured = Destination::to(Method::Get, value.trim()).expect("it was read");
        let there = rule.narrowed_to(Method::Get, configured.host(), configured.port());
        assert_eq!(there, Some(rule));
    }
}

/// A network, or an address, in text; and addresses of their bytes. What leads
/// to an address is no less special than the address.
pub fn egress_network(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(network) = parse_network(text) {
            let written = network.to_string();
            assert_eq!(parse_network(&written).ok(), Some(network), "{written}");
            assert_eq!(network.trunc(), network);
        }
        if let Ok(address) = text.parse() {
            judge(address);
        }
    }
    if let Ok(bytes) = <[u8; 4]>::try_from(data) {
        judge(Ipv4Addr::from(bytes).into());
    }
    if let Ok(bytes) = <[u8; 16]>::try_from(data) {
        judge(Ipv6Addr::from(bytes).into());
    }
}

fn judge(address: IpAddr) {
    let word = special(address);
    assert_eq!(word, special(canonical(address)), "{address}");
    assert!(word.is_some() || !is_metadata(address), "{address}");
    if let IpAddr::V6(v6) = address
        && let Some(v4) = embedded(v6)
    {
        assert!(
            word.is_some() || special(v4.into()).is_none(),
            "{address} leads to {v4}"
        );
    }
}

/// Where a secret is kept. A secret that stands there instead is not repeated.
pub fn secret_reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match text.parse::<SecretRef>() {
        Ok(reference) => {
            reads_back(&reference);
            assert_eq!(reference.to_string(), text);
        }
        Err(error) => {
            let said = error.to_string();
            assert!(UNSHOWN.iter().any(|word| said.starts_with(word)), "{said}");
        }
    }
}

/// What a grant allows, as it is stored.
pub fn grant_terms(data: &[u8]) {
    let Ok(terms) = serde_json::from_slice::<Terms>(data) else {
        return;
    };
    let written = serde_json::to_string(&terms).expect("what was read can be written");
    let again: Terms = serde_json::from_str(&written).expect("and read again");
    assert_eq!(again, terms);
}

/// Names and ids.
pub fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    name::<ScopeName>(text);
    name::<SourceName>(text);
    name::<InstanceName>(text);
    name::<AlertId>(text);
    name::<ChangeId>(text);
    name::<IncidentId>(text);
    name::<Digest>(text);
    name::<Entity>(text);
}

fn name<T>(text: &str)
where
    T: Display + FromStr + PartialEq + std::fmt::Debug,
    T::Err: Display + std::fmt::Debug,
{
    match text.parse::<T>() {
        Ok(value) => reads_back(&value),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
