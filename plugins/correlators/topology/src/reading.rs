//! What an alert's words say: which kind of symptom it is, and whether it
//! tells of something getting worse.
//!
//! Nothing here names a vendor or a product. The words are those that people
//! write in titles and rule names of any system; what none of them matches is
//! [`Class::Other`], which counts nearly as much. So a wrong guess shifts a
//! rank, and never decides by itself.

use std::collections::BTreeSet;

use faultline_sdk::{AlertView, Attributes};

/// The most characters of a title that are read.
const TITLE_CHARS_MAX: usize = 240;
/// The most words of a title that are read.
const WORDS_MAX: usize = 48;
/// Labels that name the rule or the metric behind an alert.
const NAMING_LABELS: [&str; 4] = ["alertname", "metric", "__name__", "rule"];
/// Labels in which senders say which way a value went.
const DIRECTION_LABELS: [&str; 2] = ["direction", "trend"];

/// What sort of symptom an alert reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Answers take too long.
    Latency,
    /// Answers are wrong.
    Errors,
    /// The share of what works; more of it is better.
    Availability,
    /// How much is asked for.
    Traffic,
    /// Something that is used up: processors, memory, disks, networks, pools.
    Resource,
    /// The thing itself stopped, crashed or cannot be reached.
    Outage,
    /// Anything else.
    Other,
}

impl Class {
    /// How much an alert of this class suggests that its own entity is the
    /// cause. What a thing runs out of, or that it stops, is its own trouble;
    /// slow and wrong answers are handed on from whoever was asked, and demand
    /// comes from those who ask.
    pub(crate) const fn as_cause(self) -> f64 {
        match self {
            Class::Resource | Class::Outage => 1.0,
            Class::Other => 0.8,
            Class::Errors | Class::Availability => 0.7,
            Class::Latency => 0.4,
            Class::Traffic => 0.25,
        }
    }

    /// How much an alert of this class is what failing providers bring about.
    pub(crate) const fn as_effect(self) -> f64 {
        match self {
            Class::Latency | Class::Errors | Class::Availability => 1.0,
            Class::Outage => 0.5,
            Class::Other => 0.3,
            Class::Traffic | Class::Resource => 0.1,
        }
    }

    /// Whether a cause elsewhere explains it as well.
    pub(crate) const fn is_symptom(self) -> bool {
        matches!(self, Class::Latency | Class::Errors | Class::Availability)
    }
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    /// What sort of symptom.
    pub(crate) class: Class,
    /// The value moved to the better: nothing fails because of it.
    pub(crate) improves: bool,
    /// The same for the same condition on different entities: the rule's name,
    /// or the title without names and numbers.
    pub(crate) kind: String,
    /// The rule's name, where the sender gave one.
    pub(crate) rule: Option<String>,
}

/// Which way a value went, as far as words tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
    Unsaid,
}

/// Reads title and labels.
pub(crate) fn read(alert: &AlertView) -> Reading {
    let title: String = alert.title.chars().take(TITLE_CHARS_MAX).collect();
    let words = words(&title);
    let named: Vec<String> = NAMING_LABELS
        .iter()
        .filter_map(|label| alert.labels.value_of(label))
        .flat_map(self::words)
        .take(WORDS_MAX)
        .collect();
    let class = class(words.iter().chain(&named));
    let stated: Vec<String> = DIRECTION_LABELS
        .iter()
        .filter_map(|label| alert.labels.value_of(label))
        .flat_map(self::words)
        .collect();
    let direction = match direction(&stated) {
        Direction::Unsaid => direction(&words),
        direction => direction,
    };
    let improves = matches!(
        (class, direction),
        (Class::Latency | Class::Errors, Direction::Down) | (Class::Availability, Direction::Up)
    );
    let rule = rule(alert);
    Reading {
        class,
        improves,
        kind: rule.clone().unwrap_or_else(|| kind(alert, &words)),
        rule,
    }
}

fn rule(alert: &AlertView) -> Option<String> {
    let rule = alert.labels.value_of("alertname")?;
    (!rule.is_empty()).then(|| rule.chars().take(TITLE_CHARS_MAX).collect())
}

/// The words of the title that are neither numbers nor parts of the names of
/// what the alert concerns.
fn kind(alert: &AlertView, words: &[String]) -> String {
    let names: BTreeSet<String> = alert
        .entities
        .iter()
        .flat_map(|entity| self::words(&entity.name))
        .collect();
    let telling: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| !names.contains(*word))
        .filter(|word| !word.chars().all(|c| c.is_ascii_digit()))
        .collect();
    telling.join(" ")
}

/// Lower-case words, split where letters end and at humps, as in
/// `HighErrorRate`.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut after_lower = false;
    for c in text.chars() {
        let hump = after_lower && c.is_uppercase();
        if (hump || !c.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if words.len() >= WORDS_MAX {
            return words;
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        after_lower = c.is_lowercase();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The class that the words speak for. Symptoms first: `request errors` is
/// about errors, `disk latency` about latency.
fn class<'a>(words: impl Iterator<Item = &'a String>) -> Class {
    let mut found = Class::Other;
    for word in words {
        let class = class_of(word);
        if precedence(class) > precedence(found) {
            found = class;
        }
    }
    found
}

const fn precedence(class: Class) -> u8 {
    match class {
        Class::Errors => 6,
        Class::Latency => 5,
        Class::Availability => 4,
        Class::Resource => 3,
        Class::Traffic => 2,
        Class::Outage => 1,
        Class::Other => 0,
    }
}

fn class_of(word: &str) -> Class {
    match WORDS.binary_search_by_key(&word, |&(known, _)| known) {
        Ok(place) => WORDS[place].1,
        Err(_) => Class::Other,
    }
}

/// Where words speak for both ways, they speak for neither. `down` in the
/// middle of a title is an outage (`checkout down, many errors`), at its end a
/// direction (`latency down`).
fn direction(words: &[String]) -> Direction {
    let mut found = Direction::Unsaid;
    for (place, word) in words.iter().enumerate() {
        let is_last = place + 1 == words.len();
        let said = match word.as_str() {
            "high" | "higher" | "above" | "over" | "exceeds" | "exceeded" | "spike" | "spiking"
            | "rise" | "rising" | "increase" | "increased" | "increasing" => Direction::Up,
            "low" | "lower" | "below" | "under" | "drop" | "dropped" | "dropping" | "fall"
            | "falling" | "decrease" | "decreased" | "decreasing" => Direction::Down,
            "up" if is_last => Direction::Up,
            "down" if is_last => Direction::Down,
            _ => continue,
        };
        if found != Direction::Unsaid && found != said {
            return Direction::Unsaid;
        }
        found = said;
    }
    found
}

/// Sorted by word.
const WORDS: &[(&str, Class)] = &[
    ("502", Class::Errors),
    ("503", Class::Errors),
    ("504", Class::Errors),
    ("5xx", Class::Errors),
    ("abort", Class::Errors),
    ("aborted", Class::Errors),
    ("apdex", Class::Availability),
    ("availability", Class::Availability),
    ("available", Class::Availability),
    ("bandwidth", Class::Resource),
    ("capacity", Class::Resource),
    ("connections", Class::Resource),
    ("conns", Class::Resource),
    ("cpu", Class::Resource),
    ("crash", Class::Outage),
    ("crashed", Class::Outage),
    ("crashing", Class::Outage),
    ("crashloop", Class::Outage),
    ("crashlooping", Class::Outage),
    ("dead", Class::Outage),
    ("deadlock", Class::Resource),
    ("deadlocks", Class::Resource),
    ("degradation", Class::Latency),
    ("degraded", Class::Latency),
    ("delay", Class::Latency),
    ("delayed", Class::Latency),
    ("delays", Class::Latency),
    ("denied", Class::Errors),
    ("descriptors", Class::Resource),
    ("disk", Class::Resource),
    ("disks", Class::Resource),
    ("down", Class::Outage),
    ("duration", Class::Latency),
    ("durations", Class::Latency),
    ("err", Class::Errors),
    ("error", Class::Errors),
    ("errors", Class::Errors),
    ("evicted", Class::Outage),
    ("exception", Class::Errors),
    ("exceptions", Class::Errors),
    ("exhausted", Class::Resource),
    ("fail", Class::Errors),
    ("failed", Class::Errors),
    ("failing", Class::Errors),
    ("failure", Class::Errors),
    ("failures", Class::Errors),
    ("fault", Class::Errors),
    ("faults", Class::Errors),
    ("fd", Class::Resource),
    ("filesystem", Class::Resource),
    ("fs", Class::Resource),
    ("full", Class::Resource),
    ("gc", Class::Resource),
    ("heap", Class::Resource),
    ("inode", Class::Resource),
    ("inodes", Class::Resource),
    ("io", Class::Resource),
    ("iops", Class::Resource),
    ("iowait", Class::Resource),
    ("killed", Class::Outage),
    ("lag", Class::Latency),
    ("latencies", Class::Latency),
    ("latency", Class::Latency),
    ("load", Class::Resource),
    ("lock", Class::Resource),
    ("locks", Class::Resource),
    ("lost", Class::Outage),
    ("mem", Class::Resource),
    ("memory", Class::Resource),
    ("missing", Class::Outage),
    ("network", Class::Resource),
    ("notready", Class::Outage),
    ("offline", Class::Outage),
    ("oom", Class::Outage),
    ("oomkilled", Class::Outage),
    ("packet", Class::Resource),
    ("packets", Class::Resource),
    ("panic", Class::Errors),
    ("pool", Class::Resource),
    ("qps", Class::Traffic),
    ("queue", Class::Resource),
    ("quota", Class::Resource),
    ("refused", Class::Errors),
    ("rejected", Class::Errors),
    ("request", Class::Traffic),
    ("requests", Class::Traffic),
    ("reset", Class::Errors),
    ("resets", Class::Errors),
    ("response", Class::Latency),
    ("restart", Class::Outage),
    ("restarted", Class::Outage),
    ("restarting", Class::Outage),
    ("restarts", Class::Outage),
    ("rps", Class::Traffic),
    ("rss", Class::Resource),
    ("rtt", Class::Latency),
    ("saturated", Class::Resource),
    ("saturation", Class::Resource),
    ("slow", Class::Latency),
    ("slower", Class::Latency),
    ("slowness", Class::Latency),
    ("stopped", Class::Outage),
    ("storage", Class::Resource),
    ("success", Class::Availability),
    ("successful", Class::Availability),
    ("swap", Class::Resource),
    ("terminated", Class::Outage),
    ("thread", Class::Resource),
    ("threads", Class::Resource),
    ("throttled", Class::Resource),
    ("throttling", Class::Resource),
    ("throughput", Class::Traffic),
    ("timeout", Class::Errors),
    ("timeouts", Class::Errors),
    ("tps", Class::Traffic),
    ("traffic", Class::Traffic),
    ("unavailable", Class::Outage),
    ("unhealthy", Class::Errors),
    ("unreachable", Class::Outage),
    ("uptime", Class::Availability),
    ("usage", Class::Resource),
    ("utilisation", Class::Resource),
    ("utilization", Class::Resource),
    ("volume", Class::Resource),
];

#[cfg(test)]
mod tests {
    use super::*;
    use faultline_sdk::{Attribute, Entity};

    fn alert(title: &str, labels: &[(&str, &str)]) -> AlertView {
        AlertView {
            id: "a".to_owned(),
            firing: true,
            title: title.to_owned(),
            severity: "warning".to_owned(),
            score: 1.0,
            started: 0,
            at: 0,
            entities: vec![Entity::new("pod", "cart-7f9c")],
            labels: labels
                .iter()
                .map(|&(key, value)| Attribute::new(key, value))
                .collect(),
            origin: "prometheus".to_owned(),
            incident: None,
        }
    }

    fn check(title: &str, labels: &[(&str, &str)], class: Class, improves: bool, kind: &str) {
        let expected = Reading {
            class,
            improves,
            kind: kind.to_owned(),
            rule: labels
                .iter()
                .find(|(key, _)| *key == "alertname")
                .map(|&(_, rule)| rule.to_owned()),
        };
        assert_eq!(read(&alert(title, labels)), expected, "{title}");
    }

    #[test]
    fn the_words_are_sorted() {
        assert!(WORDS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn tells_symptoms_from_causes() {
        check(
            "HighErrorRate",
            &[],
            Class::Errors,
            false,
            "high error rate",
        );
        check(
            "p99 latency of cart-7f9c above 500 ms",
            &[],
            Class::Latency,
            false,
            "p99 latency of above ms",
        );
        check("disk full", &[], Class::Resource, false, "disk full");
        check(
            "checkout down, many errors",
            &[],
            Class::Errors,
            false,
            "checkout down many errors",
        );
        check("cart is down", &[], Class::Outage, false, "is down");
        check(
            "cpu usage down",
            &[],
            Class::Resource,
            false,
            "cpu usage down",
        );
        check("HTTP 503", &[], Class::Errors, false, "http");
        check("requests up", &[], Class::Traffic, false, "requests up");
        check("it hums", &[], Class::Other, false, "it hums");
        check("", &[], Class::Other, false, "");
    }

    #[test]
    fn tells_better_from_worse() {
        check("latency down", &[], Class::Latency, true, "latency down");
        check(
            "availability below 99 %",
            &[],
            Class::Availability,
            false,
            "availability below",
        );
        check(
            "availability",
            &[("direction", "up")],
            Class::Availability,
            true,
            "availability",
        );
    }

    #[test]
    fn prefers_the_name_of_the_rule() {
        check(
            "cart: 12 % of something",
            &[("alertname", "HighErrorRate")],
            Class::Errors,
            false,
            "HighErrorRate",
        );
    }
}
