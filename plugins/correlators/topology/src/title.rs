//! The title of an incident, given once when it is opened.
//!
//! `service/checkout, service/cart and 2 more: HighErrorRate, disk full`. What
//! is worst comes first, and no count of alerts stands in it: it stays true
//! whatever joins later.

use std::cmp::Reverse;

use faultline_sdk::{Severity, Timestamp};

use crate::graph::EntityId;
use crate::reading::Class;
use crate::scene::{AlertIndex, Scene};
use crate::words::{brief, cut_at_word, name, sentence};

/// The most characters of one alert's title.
const PART_CHARS_MAX: usize = 48;
/// The most alerts that are spelled out.
const PARTS_MAX: usize = 3;
/// The most entities that are spelled out.
const ENTITIES_MAX: usize = 2;
/// From this score on an alert is as good as sent by somebody.
const SURE: f64 = 1.0;

/// How much an alert tells of what is wrong, greatest first: how severe it is,
/// whether somebody thought of it beforehand, whether things fail, and how
/// early it began.
type Telling = (
    Severity,
    bool,
    bool,
    Reverse<Timestamp>,
    Reverse<AlertIndex>,
);

fn telling(scene: &Scene<'_>, member: AlertIndex) -> Telling {
    let alert = &scene.alerts[member];
    let fails = matches!(
        alert.reading.class,
        Class::Errors | Class::Outage | Class::Availability
    );
    (
        alert.severity,
        alert.score >= SURE,
        fails,
        Reverse(alert.view.started),
        Reverse(member),
    )
}

/// The alert that an incident is about before all others: of those that fire
/// the most telling.
pub(crate) fn lead(scene: &Scene<'_>, members: &[AlertIndex]) -> Option<AlertIndex> {
    members
        .iter()
        .copied()
        .filter(|&member| scene.alerts[member].view.firing)
        .max_by_key(|&member| telling(scene, member))
}

/// What to call the incident of these members.
pub(crate) fn title(scene: &Scene<'_>, lead: AlertIndex, members: &[AlertIndex]) -> String {
    let mut others: Vec<AlertIndex> = members
        .iter()
        .copied()
        .filter(|&member| member != lead)
        .collect();
    others.sort_by_key(|&member| Reverse(telling(scene, member)));
    let mut parts: Vec<(String, String)> = Vec::new();
    let mut entities: Vec<EntityId> = Vec::new();
    for member in std::iter::once(lead).chain(others) {
        let part = part(scene, member);
        let opening = opening(&part);
        if parts.len() < PARTS_MAX && parts.iter().all(|(other, _)| *other != opening) {
            parts.push((opening, part));
        }
        let entity = scene.alerts[member].primary();
        entities.extend(entity.filter(|entity| !entities.contains(entity)));
    }
    let parts: Vec<String> = parts.into_iter().map(|(_, part)| part).collect();
    let parts = parts.join(", ");
    let names: Vec<String> = entities
        .iter()
        .take(ENTITIES_MAX)
        .map(|&entity| name(scene.entity(entity)))
        .collect();
    sentence(&match (names.as_slice(), entities.len() - names.len()) {
        ([], _) => parts,
        (names, 0) => format!("{}: {parts}", names.join(" and ")),
        (names, more) => format!("{} and {more} more: {parts}", names.join(", ")),
    })
}

/// The rule's name, or the first clause of the title.
fn part(scene: &Scene<'_>, member: AlertIndex) -> String {
    let alert = &scene.alerts[member];
    let rule = alert.reading.rule.as_deref();
    let title = brief(
        rule.unwrap_or(&alert.view.title),
        alert.primary().map(|entity| scene.entity(entity)),
    );
    let mut clause = title
        .split_once(", ")
        .map_or(title.as_str(), |(head, _)| head);
    if alert.score < SURE {
        clause = without_value(clause);
    }
    match cut_at_word(clause, PART_CHARS_MAX) {
        part if part.is_empty() => alert.view.severity.clone(),
        part => part,
    }
}

/// What a finding is about, without the value of the moment: `latency is 3 s`,
/// `latency has averaged 3 s`.
fn without_value(clause: &str) -> &str {
    [" is ", " has "]
        .iter()
        .filter_map(|verb| clause.split_once(verb))
        .find(|(_, value)| value.contains(|c: char| c.is_ascii_digit()))
        .map_or(clause, |(what, _)| what)
}

/// The first two words: two alerts that begin alike are one thing to a reader.
fn opening(part: &str) -> String {
    let words: Vec<&str> = part.split_whitespace().take(2).collect();
    words.join(" ")
}
