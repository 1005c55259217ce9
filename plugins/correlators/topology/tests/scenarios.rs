//! Scenarios: what happens, and what the correlator makes of it, as the host
//! carries it out.
//!
//! Each file in `scenarios/` tells a story in lines, then, after a line of
//! dashes, what is expected. Lines of one time are one round:
//!
//! ```text
//! set {"members-max": 100}
//! service/orders calls service/db
//! 10:00:00 changes orders-2.4 "orders 2.4.0" on service/orders
//! 10:02:00 fires db-full "disk full" critical 1.0 on service/db with shard=7
//! 10:40:00 resolves db-full
//! 10:50:00 passes
//! 11:10:00 leaves db-full
//! ```

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use faultline_domain::entity::Entity;
use faultline_domain::id::{AlertId, ChangeId, IncidentId};
use faultline_domain::incident::{Happening, Incident};
use faultline_domain::labels::Labels;
use faultline_domain::proposal::{Because, Cause};
use faultline_domain::severity::Severity;
use faultline_domain::signal::{Change, Dependency};
use faultline_domain::situation::AlertView;
use faultline_domain::time::Timestamp;
use faultline_plugin_topology::Config;
use support::World;

/// A story on its way.
struct Story {
    world: World,
    names: BTreeMap<String, String>,
    numbers: BTreeMap<IncidentId, usize>,
    told: String,
}

fn check(name: &str) {
    let path = format!("{}/tests/scenarios/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the scenario's file");
    let (input, expected) = text.split_once("\n----\n").expect("a line of dashes");
    let told = tell(input);
    assert!(
        told.trim() == expected.trim(),
        "{name} came out otherwise:\n{told}\n"
    );
}

fn tell(input: &str) -> String {
    let mut story = Story {
        world: World::new(),
        names: BTreeMap::new(),
        numbers: BTreeMap::new(),
        told: String::new(),
    };
    let lines: Vec<&str> = input
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let mut rest = lines.as_slice();
    while let [line, after @ ..] = rest {
        let time = line.split(' ').next().expect("a word");
        if let Some(setting) = line.strip_prefix("set ") {
            story.world.config = config(setting);
            rest = after;
            continue;
        }
        if !time.contains(':') {
            story.edge(line);
            rest = after;
            continue;
        }
        let together = rest.iter().take_while(|line| line.starts_with(time));
        let count = together.count();
        story.round(time, &rest[..count]);
        rest = &rest[count..];
    }
    story.end();
    story.told
}

impl Story {
    fn edge(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        self.world.dependencies.push(Dependency {
            dependent: entity(words[0]),
            provider: entity(words[2]),
            relation: words[1].to_owned(),
            seen: Timestamp::from_secs(1),
        });
    }

    fn round(&mut self, time: &str, lines: &[&str]) {
        let at = clock(time);
        self.world.pass(at);
        let mut news = Vec::new();
        let mut listened = false;
        for line in lines {
            let rest = &line[time.len() + 1..];
            let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            match verb {
                "passes" => continue,
                "changes" => self.change(at, rest),
                "fires" => news.push(self.fires(at, rest)),
                // Too long over for the host to show it.
                "leaves" => {
                    self.world.alerts.remove(&alert_id(rest));
                }
                "resolves" => {
                    let mut alert = self.world.alerts[&alert_id(rest)].clone();
                    alert.firing = false;
                    alert.at = at;
                    news.push(alert);
                }
                other => panic!("unknown verb `{other}` in `{line}`"),
            }
            listened = true;
        }
        if !listened {
            return;
        }
        let ids: BTreeSet<AlertId> = news.iter().map(|alert| alert.id).collect();
        let round = self.world.hear(news);
        assert!(round.refused.is_empty(), "{time}: {:#?}", round.refused);
        let again = self.world.round(&ids);
        assert!(
            again.proposals.is_empty(),
            "{time}: asked again, it says more: {:#?}",
            again.proposals
        );
        self.say(time, &round.events);
    }

    fn change(&mut self, at: Timestamp, rest: &str) {
        let (name, title, rest) = named(rest);
        let id = ChangeId::derive([name.as_bytes()]);
        self.names.insert(id.to_string(), name.to_owned());
        self.world.changes.push(Change {
            id,
            reference: name.to_owned(),
            kind: "deployment".to_owned(),
            title: title.to_owned(),
            at,
            entities: rest
                .trim_start_matches("on ")
                .split(", ")
                .map(entity)
                .collect(),
            attributes: Labels::default(),
            link: None,
        });
    }

    fn fires(&mut self, at: Timestamp, rest: &str) -> AlertView {
        let (name, title, rest) = named(rest);
        let (rest, labels) = rest.split_once(" with ").unwrap_or((rest, ""));
        let (words, on) = rest.split_once(" on ").unwrap_or((rest, ""));
        let (severity, score) = words.split_once(' ').expect("severity and score");
        let id = alert_id(name);
        self.names.insert(id.to_string(), name.to_owned());
        let before = self.world.alerts.get(&id);
        AlertView {
            id,
            episode: before.map_or(1, |before| before.episode + 1),
            firing: true,
            title: title.to_owned(),
            severity: severity.parse().unwrap_or(Severity::Warning),
            score: score.parse().expect("a score"),
            started: at,
            at,
            entities: on
                .split(", ")
                .filter(|text| !text.is_empty())
                .map(entity)
                .collect(),
            labels: labels
                .split(", ")
                .filter_map(|label| label.split_once('='))
                .collect(),
            origin: "prometheus".to_owned(),
            source: None,
        }
    }

    fn say(&mut self, time: &str, events: &[faultline_domain::incident::IncidentEvent]) {
        for event in events {
            let next = self.numbers.len() + 1;
            let number = *self.numbers.entry(event.incident).or_insert(next);
            let line = match &event.happening {
                Happening::Opened { title, .. } => format!("opened: {title}"),
                Happening::Joined { alert, because, .. } => {
                    let name = self.names[&alert.to_string()].clone();
                    format!("{name} joined {}", reasons(because))
                }
                Happening::MergedInto { incident, because } => {
                    format!(
                        "merged into #{} {}",
                        self.numbers[incident],
                        reasons(because)
                    )
                }
                Happening::Reopened => "reopened".to_owned(),
                _ => continue,
            };
            writeln!(self.told, "{time} #{number} {line}").expect("a string");
        }
    }

    /// What stands in the end.
    fn end(&mut self) {
        let incidents: Vec<Incident> = self.world.incidents.iter().cloned().collect();
        let mut by_number: Vec<(usize, Incident)> = incidents
            .into_iter()
            .map(|incident| (self.numbers[&incident.id], incident))
            .collect();
        by_number.sort_by_key(|(number, _)| *number);
        for (number, incident) in by_number {
            let members: Vec<&str> = incident
                .members
                .keys()
                .map(|member| self.names[&member.to_string()].as_str())
                .collect::<BTreeSet<&str>>()
                .into_iter()
                .collect();
            writeln!(
                self.told,
                "in the end #{number} ({}): {}",
                incident.phase.as_str(),
                members.join(" ")
            )
            .expect("a string");
            for hypothesis in &incident.hypotheses {
                let cause = match &hypothesis.cause {
                    Cause::Entity(entity) => entity.to_string(),
                    Cause::Change(id) => format!("change {}", self.names[&id.to_string()]),
                    Cause::Alert(id) => format!("alert {}", self.names[&id.to_string()]),
                };
                writeln!(self.told, "    {cause} {}", reasons(&hypothesis.because))
                    .expect("a string");
            }
        }
    }
}

fn reasons(because: &Because) -> String {
    let mut text = format!("{}: {}", because.confidence, because.reason);
    for evidence in &because.evidence {
        write!(text, "\n        + {}", evidence.text).expect("a string");
    }
    for evidence in &because.against {
        write!(text, "\n        - {}", evidence.text).expect("a string");
    }
    text
}

/// `name "a title" the rest`
fn named(text: &str) -> (&str, &str, &str) {
    let (name, rest) = text.split_once(" \"").expect("a name and a title");
    let (title, rest) = rest.split_once("\" ").expect("the end of the title");
    (name, title, rest.trim())
}

/// The configuration, where it is not the default.
fn config(text: &str) -> Config {
    serde_json::from_str(text).expect("a configuration")
}

fn alert_id(name: &str) -> AlertId {
    AlertId::derive([name.as_bytes()])
}

fn entity(text: &str) -> Entity {
    text.parse().expect("an entity")
}

/// A time of day, on the second day of the epoch.
fn clock(text: &str) -> Timestamp {
    let parts: Vec<u64> = text
        .split(':')
        .map(|part| part.parse().expect("a number"))
        .collect();
    Timestamp::from_secs(86_400).plus(Duration::from_secs(
        parts[0] * 3_600 + parts[1] * 60 + parts[2],
    ))
}

#[test]
fn what_is_over_and_shown_no_more() {
    check("what-is-over");
}

#[test]
fn a_deployment_and_the_cascade_after_it() {
    check("cascade-after-deployment");
}

#[test]
fn two_unrelated_incidents_at_once() {
    check("two-at-once");
}

#[test]
fn a_member_that_flaps() {
    check("flapping-member");
}

#[test]
fn a_host_fails_with_all_that_runs_on_it() {
    check("host-failure");
}

#[test]
fn a_change_after_the_onset() {
    check("change-after-onset");
}

#[test]
fn a_lonely_weak_anomaly() {
    check("lonely-weak-anomaly");
}

#[test]
fn weak_anomalies_that_corroborate_each_other_late() {
    check("late-corroboration");
}

#[test]
fn two_incidents_turn_out_to_be_one() {
    check("merge");
}

#[test]
fn a_victim_of_two_incidents_does_not_make_them_one() {
    check("victim-of-two");
}

#[test]
fn a_service_all_of_whose_instances_suffer() {
    check("whole-and-parts");
}

#[test]
fn alerts_without_entities() {
    check("without-entities");
}

#[test]
fn a_weak_anomaly_long_before_an_outage() {
    check("long-before");
}

#[test]
fn a_database_that_a_release_uses_up() {
    check("shared-database");
}

#[test]
fn a_storm_that_one_incident_cannot_hold() {
    check("overflow");
}

#[test]
fn a_rare_label_where_it_suffices() {
    check("rare-label");
}
