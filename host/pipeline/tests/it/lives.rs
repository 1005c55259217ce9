//! Alerts and incidents from their beginning to their end.

use faultline_domain::incident::Phase;
use faultline_domain::incidents::Command;
use faultline_domain::proposal::Cause;
use faultline_domain::time::Timestamp;
use faultline_pipeline::{CommandEnvelope, PipelineSettings};
use faultline_store::{AlertFilter, LetterFilter};
use faultline_test_databases::{Database, on_each_database};
use serde_json::{Value, json};

use crate::{World, plugins, scope};

fn alert(name: &str, entity: &str, started: u64, ended: Option<u64>) -> Value {
    let alert = json!({
        "name": name, "entity": entity, "firing": ended.is_none(),
        "started": started, "ended": ended,
    });
    json!({"alerts": [alert]})
}

async fn an_alert_becomes_an_incident_and_both_resolve(database: Database) {
    let mut world = World::new(database).await;
    world
        .send(100_000, &[alert("down", "service/cart", 90, None)])
        .await;
    world.work().await;
    assert!(world.incidents().await.is_empty(), "its round is not over");

    world.wait_until(100_100).await;
    world.work().await;
    let incidents = world.incidents().await;
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].title, "service/cart: down");
    assert_eq!(incidents[0].phase, Phase::Open);
    assert_eq!(incidents[0].members.len(), 1);

    world
        .send(150_000, &[alert("down", "service/cart", 90, Some(149))])
        .await;
    world.wait_until(209_000).await;
    world.work().await;
    assert_eq!(world.incidents().await[0].phase, Phase::Resolved);
    world.wait_until(2_100_000).await;
    world.work().await;
    assert_eq!(world.incidents().await[0].phase, Phase::Closed);
}

async fn an_end_far_ahead_does_not_move_the_time(database: Database) {
    let mut world = World::new(database).await;
    world
        .send(100_000, &[alert("down", "service/cart", 90, None)])
        .await;
    let of_2223 = 8_000_000_000;
    world
        .send(150_000, &[alert("down", "service/cart", 90, Some(of_2223))])
        .await;
    world.wait_until(211_000).await;
    world.work().await;
    assert_eq!(world.incidents().await[0].phase, Phase::Resolved);
    world
        .send(300_000, &[alert("late", "service/mail", 299, None)])
        .await;
    world.wait_until(300_100).await;
    world.work().await;
    let incidents = world.incidents().await;
    let opened = incidents.iter().map(|incident| incident.opened).max();
    assert!(opened <= Some(Timestamp::from_secs(300)), "{opened:?}");
}

async fn what_arrives_together_is_shown_together(database: Database) {
    let mut world = World::new(database).await;
    let together = [
        alert("down", "service/cart", 90, None),
        alert("slow", "service/cart", 91, None),
        alert("full", "service/mail", 92, None),
    ];
    world.send(100_000, &together[..1]).await;
    world.send(100_099, &together[1..]).await;
    world.wait_until(100_200).await;
    world.work().await;
    let sizes: Vec<usize> = world
        .incidents()
        .await
        .iter()
        .map(|i| i.members.len())
        .collect();
    assert_eq!(sizes.len(), 2);
    assert_eq!(sizes.iter().sum::<usize>(), 3);
}

async fn what_is_not_repeated_ends_when_its_word_expires(database: Database) {
    let mut world = World::new(database).await;
    world
        .send(100_000, &[alert("down", "service/cart", 90, None)])
        .await;
    world.wait_until(399_000).await;
    world.work().await;
    let firing = AlertFilter {
        firing: Some(true),
        ..AlertFilter::default()
    };
    let list = world.store.alert_list(&scope(), &firing, None, 10).await;
    assert_eq!(list.expect("lists").items.len(), 1);
    world.wait_until(401_000).await;
    world.work().await;
    let list = world.store.alert_list(&scope(), &firing, None, 10).await;
    assert!(list.expect("lists").items.is_empty());
}

async fn a_change_is_suspected_whether_it_was_reported_before_or_after(database: Database) {
    let mut world = World::new(database).await;
    let change =
        |id: &str, at: u64| json!({"changes": [{"id": id, "entity": "service/cart", "at": at}]});
    world.send(50_000, &[change("early", 50)]).await;
    world
        .send(100_000, &[alert("down", "service/cart", 90, None)])
        .await;
    world.send(120_000, &[change("late", 80)]).await;
    world.wait_until(130_000).await;
    world.work().await;
    let incidents = world.incidents().await;
    assert_eq!(incidents[0].hypotheses.len(), 2);
    assert!(matches!(incidents[0].hypotheses[0].cause, Cause::Change(_)));
}

async fn people_act_through_the_journal(database: Database) {
    let mut world = World::new(database).await;
    world
        .send(100_000, &[alert("down", "service/cart", 90, None)])
        .await;
    world.wait_until(100_100).await;
    world.work().await;
    let incident = world.incidents().await[0].id;
    let mut positions = Vec::new();
    for millis in [110_000, 111_000] {
        let command = CommandEnvelope {
            person: "dana".to_owned(),
            command: Command::Acknowledge { incident },
        };
        let arrival = command.into_arrival(Timestamp::from_millis(millis));
        positions.push(world.journal.append(vec![arrival]).await.expect("appends"));
    }
    world.wait_until(112_000).await;
    world.work().await;
    let outcome = async |index: usize| {
        let outcome = world
            .store
            .command_outcome(&scope(), positions[index])
            .await;
        outcome.expect("reads").expect("settled")
    };
    assert_eq!(outcome(0).await, Ok(()));
    assert!(
        outcome(1)
            .await
            .is_err_and(|why| why.contains("acknowledged"))
    );
    let incident = &world.incidents().await[0];
    assert_eq!(incident.phase, Phase::Acknowledged);
    assert_eq!(
        incident.acknowledged.as_ref().map(|act| act.at),
        Some(Timestamp::from_secs(110))
    );
}

async fn what_cannot_be_read_is_kept_and_stops_nothing(database: Database) {
    let mut world = World::new(database).await;
    let bodies = [
        json!("not a payload"),
        alert("down", "nothing", 90, None),
        alert("down", "service/cart", 90, None),
    ];
    world.send(100_000, &bodies).await;
    world.wait_until(100_200).await;
    world.work().await;
    assert_eq!(world.incidents().await.len(), 1);
    let letters = world
        .store
        .dead_letter_list(&scope(), &LetterFilter::default(), None, 10)
        .await;
    let letters = letters.expect("lists").items;
    assert_eq!(letters.len(), 2);
    assert!(
        letters
            .iter()
            .all(|l| l.code == "malformed" && l.reader == "connector:fake")
    );
    let sources = world.store.source_list(&scope()).await.expect("lists");
    assert_eq!((sources[0].envelopes, sources[0].faults), (3, 2));
}

async fn payloads_that_nobody_reads_are_kept(database: Database) {
    let mut world = World::new(database).await;
    world.plugins.readers.clear();
    world.crash();
    world
        .send(100_000, &[alert("down", "service/cart", 90, None)])
        .await;
    world.work().await;
    let letters = world
        .store
        .dead_letter_list(&scope(), &LetterFilter::default(), None, 10)
        .await;
    let letter = &letters.expect("lists").items[0];
    assert_eq!(letter.code, "no-reader");
    assert!(letter.message.contains("enable its connector"));
}

/// More than are read at once of what nobody is shown lies before what is news.
async fn what_was_over_before_it_was_heard_of_holds_nothing_up(database: Database) {
    let mut settings = PipelineSettings::default();
    settings.correlate.batch_records_max = 4;
    let mut world = World::with(database, settings, plugins()).await;
    for second in 0..6 {
        let over = |number: u64| {
            let entity = format!("service/past-{second}-{number}");
            alert("down", &entity, 80, Some(85))
        };
        let payloads: Vec<Value> = (0..3).map(over).collect();
        world.send(100_000 + 1_000 * second, &payloads).await;
    }
    world
        .send(106_000, &[alert("down", "service/cart", 90, None)])
        .await;
    world.wait_until(107_000).await;
    world.work().await;
    let incidents = world.incidents().await;
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].title, "service/cart: down");
}

on_each_database!(
    what_was_over_before_it_was_heard_of_holds_nothing_up,
    an_alert_becomes_an_incident_and_both_resolve,
    an_end_far_ahead_does_not_move_the_time,
    what_arrives_together_is_shown_together,
    what_is_not_repeated_ends_when_its_word_expires,
    a_change_is_suspected_whether_it_was_reported_before_or_after,
    people_act_through_the_journal,
    what_cannot_be_read_is_kept_and_stops_nothing,
    payloads_that_nobody_reads_are_kept,
);
