//! Relations in words: why an alert is where it is, and what speaks against it.

use faultline_sdk::{Because, Evidence, Reference};

use crate::config::Config;
use crate::graph::{EntityId, Relation};
use crate::grouping::Newcomer;
use crate::links::{How, Link, Meaning};
use crate::measure::rounded;
use crate::scene::{AlertIndex, Scene};
use crate::timing::SKEW;
use crate::words::{brief, count, duration, name, quote, sentence};

/// The most edges that one sentence refers to.
const EDGES_SHOWN_MAX: usize = 4;
/// The most sentences on either side.
pub(crate) const EVIDENCE_MAX: usize = 6;
/// Findings below this score are called weak.
const WEAK: f64 = 0.5;

/// One sentence, with references.
pub(crate) fn said(text: &str, references: impl IntoIterator<Item = Reference>) -> Evidence {
    Evidence {
        text: sentence(text),
        references: references.into_iter().collect(),
    }
}

/// A reference to an alert.
pub(crate) fn alert(scene: &Scene<'_>, index: AlertIndex) -> Reference {
    Reference::Alert(scene.alerts[index].view.id.clone())
}

/// A reference to an entity.
pub(crate) fn entity(scene: &Scene<'_>, id: EntityId) -> Reference {
    Reference::Entity(scene.entity(id).clone())
}

/// References to edges, by their places in the situation.
pub(crate) fn edges(scene: &Scene<'_>, places: &[usize]) -> Vec<Reference> {
    places
        .iter()
        .take(EDGES_SHOWN_MAX)
        .map(|&place| Reference::from(&scene.edges[place]))
        .collect()
}

/// `"HighErrorRate"`, for where the entity stands beside it.
pub(crate) fn quoted(scene: &Scene<'_>, index: AlertIndex) -> String {
    let alert = &scene.alerts[index];
    let about = alert.primary().map(|entity| scene.entity(entity));
    quote(&brief(&alert.view.title, about))
}

/// `"HighErrorRate" on service/orders`.
pub(crate) fn titled(scene: &Scene<'_>, index: AlertIndex) -> String {
    let alert = &scene.alerts[index];
    let title = quoted(scene, index);
    match alert.primary() {
        Some(entity) => format!("{title} on {}", name(scene.entity(entity))),
        None => title,
    }
}

/// A link, and the alert whose link it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bond<'g> {
    pub(crate) of: AlertIndex,
    pub(crate) link: &'g Link,
}

/// Why a newcomer joins. `alike` more join for the same reason.
pub(crate) fn joining(
    scene: &Scene<'_>,
    config: &Config,
    newcomer: &Newcomer,
    bonds: &[Bond<'_>],
    alike: usize,
) -> Because {
    let mut reason = match bonds.first() {
        Some(bond) => reason(scene, bond.link),
        None => "related to other alerts that join".to_owned(),
    };
    if alike > 0 {
        reason = format!("{reason}; {} likewise", count(alike, "other", "others"));
    }
    Because {
        reason: sentence(&reason),
        confidence: rounded(newcomer.confidence),
        evidence: bonds
            .iter()
            .take(EVIDENCE_MAX)
            .map(|bond| for_it(scene, *bond))
            .collect(),
        against: against(scene, config, newcomer, bonds),
    }
}

/// One line about the strongest link.
fn reason(scene: &Scene<'_>, link: &Link) -> String {
    let apart = duration(link.near.gap);
    match &link.how {
        How::Same { entity } => {
            format!("both on {}, {apart} apart", name(scene.entity(*entity)))
        }
        How::Path {
            from, to, meaning, ..
        } => format!("{}, {apart} apart", path(scene, *from, *to, *meaning)),
        How::Siblings {
            provider,
            relation,
            alerting,
            all,
            ..
        } => {
            let verb = verb(*relation);
            format!(
                "both {verb} {} ({alerting} of {all} alert), {apart} apart",
                name(scene.entity(*provider))
            )
        }
        How::Label { key, value, .. } => {
            format!("both have {key}={}, {apart} apart", quote(value))
        }
        How::Change { change } => format!(
            "both after the change {}, {apart} apart",
            quote(&scene.changes[*change].view.title)
        ),
    }
}

fn verb(relation: Relation) -> &'static str {
    match relation {
        Relation::RunsOn => "run on",
        Relation::PartOf => "belong to",
        Relation::Calls => "depend on",
    }
}

/// Who depends on whom.
fn path(scene: &Scene<'_>, from: EntityId, to: EntityId, meaning: Meaning) -> String {
    let (from, to) = (name(scene.entity(from)), name(scene.entity(to)));
    match meaning {
        Meaning::Depends => format!("{from} depends on {to}"),
        Meaning::Provides => format!("{to} depends on {from}"),
        Meaning::OneWhole => format!("{from} and {to} belong to one whole"),
    }
}

/// Two alerts by their titles, once if they are the same. What an alert is
/// about is said too unless it is one of these.
fn pair(scene: &Scene<'_>, alerts: [AlertIndex; 2], known: &[EntityId]) -> String {
    let [this, other] = alerts.map(|index| match scene.alerts[index].primary() {
        Some(primary) if !known.contains(&primary) => titled(scene, index),
        _ => quoted(scene, index),
    });
    if this == other {
        format!("{this} on both")
    } else {
        format!("{this} and {other}")
    }
}

/// One link as evidence.
pub(crate) fn for_it(scene: &Scene<'_>, bond: Bond<'_>) -> Evidence {
    let Bond { of, link } = bond;
    let witness = link.near.witness;
    let both = [alert(scene, of), alert(scene, witness)];
    let apart = duration(link.near.gap);
    match &link.how {
        How::Same { entity: shared } => said(&same(scene, [of, witness], *shared, &apart), both),
        How::Path {
            from,
            to,
            edges: places,
            meaning,
        } => {
            let far = match places.len() {
                0 | 1 => "directly".to_owned(),
                edges => format!("over {edges} edges"),
            };
            said(
                &format!(
                    "{} {far}; {}, {apart} apart",
                    path(scene, *from, *to, *meaning),
                    pair(scene, [of, witness], &[*from, *to])
                ),
                both.into_iter().chain(edges(scene, places)),
            )
        }
        How::Siblings {
            from,
            to,
            provider,
            relation,
            alerting,
            all,
        } => said(
            &format!(
                "{} and {} both {} {}; of the {all} that do, {alerting} alert",
                name(scene.entity(*from)),
                name(scene.entity(*to)),
                verb(*relation),
                name(scene.entity(*provider)),
            ),
            both.into_iter().chain([entity(scene, *provider)]),
        ),
        How::Label {
            key,
            value,
            holders,
        } => said(
            &format!(
                "both have {key}={}, as have only {holders} of {} alerts",
                quote(value),
                scene.alerts.len()
            ),
            both,
        ),
        How::Change { change } => {
            let deed = &scene.changes[*change];
            let since = scene.alerts[of].view.started.saturating_sub(deed.view.at);
            said(
                &format!(
                    "the change {} reaches both, {} before {}",
                    quote(&deed.view.title),
                    duration(since),
                    titled(scene, of)
                ),
                both.into_iter().chain([Reference::from(deed.view)]),
            )
        }
    }
}

/// Two alerts that name one entity.
fn same(
    scene: &Scene<'_>,
    [this, other]: [AlertIndex; 2],
    shared: EntityId,
    apart: &str,
) -> String {
    let about_it = |index: AlertIndex| scene.alerts[index].primary() == Some(shared);
    let entity = name(scene.entity(shared));
    match (about_it(this) && about_it(other), quoted(scene, this)) {
        (true, title) if title == quoted(scene, other) => {
            format!("two alerts {title} are about {entity}, {apart} apart")
        }
        (true, title) => format!(
            "{title} and {} are both about {entity}, {apart} apart",
            quoted(scene, other)
        ),
        (false, _) => format!(
            "{} and {} both name {entity}, {apart} apart",
            titled(scene, this),
            titled(scene, other)
        ),
    }
}

/// What speaks against a newcomer's place.
fn against(
    scene: &Scene<'_>,
    config: &Config,
    newcomer: &Newcomer,
    bonds: &[Bond<'_>],
) -> Vec<Evidence> {
    let mut against = Vec::new();
    let this = &scene.alerts[newcomer.alert];
    if let Some(&bond) = bonds.first() {
        against.extend(against_bond(scene, config, bond, bonds));
    }
    if this.score < WEAK {
        against.push(said(
            &format!("the finding is weak: its score is {:.2}", this.score),
            [alert(scene, newcomer.alert)],
        ));
    }
    if !this.view.firing {
        against.push(said(
            "it had resolved by the time it was looked at",
            [alert(scene, newcomer.alert)],
        ));
    }
    for &incident in newcomer.apart.iter().take(2) {
        let title = quote(&scene.incidents[incident].view.title);
        against.push(said(
            &format!("it is related to the incident {title} too, which stays apart"),
            [alert(scene, newcomer.alert)],
        ));
    }
    against.truncate(EVIDENCE_MAX);
    against
}

fn against_bond(
    scene: &Scene<'_>,
    config: &Config,
    bond: Bond<'_>,
    bonds: &[Bond<'_>],
) -> Vec<Evidence> {
    let Bond { of: newcomer, link } = bond;
    let mut against = Vec::new();
    let both = || [alert(scene, newcomer), alert(scene, link.near.witness)];
    let (this, other) = (
        &scene.alerts[newcomer].view,
        &scene.alerts[link.near.witness].view,
    );
    let by_path = bonds
        .iter()
        .any(|bond| matches!(bond.link.how, How::Path { .. } | How::Same { .. }));
    if !by_path
        && let (Some(a), Some(b)) = (
            scene.alerts[newcomer].primary(),
            scene.alerts[link.near.witness].primary(),
        )
        && a != b
    {
        against.push(said(
            &format!(
                "no dependency path is known between {} and {} within {} edges",
                name(scene.entity(a)),
                name(scene.entity(b)),
                config.hops
            ),
            [entity(scene, a), entity(scene, b)],
        ));
    }
    if let How::Siblings {
        provider,
        relation,
        alerting,
        all,
        ..
    } = &link.how
        && alerting < all
    {
        against.push(said(
            &format!(
                "{} of the {all} that {} {} show no alert",
                all - alerting,
                verb(*relation),
                name(scene.entity(*provider))
            ),
            [entity(scene, *provider)],
        ));
    }
    let effect_and_cause = match &link.how {
        How::Path {
            meaning: Meaning::Depends,
            ..
        } => Some((this, other)),
        How::Path {
            meaning: Meaning::Provides,
            ..
        } => Some((other, this)),
        _ => None,
    };
    if let Some((effect, cause)) = effect_and_cause {
        let early = cause.started.saturating_sub(effect.started);
        if early > SKEW {
            against.push(said(
                &format!(
                    "the dependent's alert began {} before the provider's",
                    duration(early)
                ),
                both(),
            ));
        }
    }
    if link.near.gap > config.window() / 2 {
        against.push(said(
            &format!("the two are {} apart", duration(link.near.gap)),
            both(),
        ));
    }
    if !other.firing && other.at < this.started {
        against.push(said(
            &format!(
                "{} had resolved before it began",
                titled(scene, link.near.witness)
            ),
            both(),
        ));
    }
    against
}
