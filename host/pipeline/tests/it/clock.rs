//! The clock of the machine is set while the stages work: their time goes on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use faultline_domain::arrival_clock::ClockState;
use faultline_domain::time::Timestamp;
use faultline_pipeline::Timekeeper;
use faultline_store::{AlertFilter, Clocks, Journal};
use faultline_test_databases::Database;
use serde_json::{Value, json};

use crate::{World, arrival, scope};

const HOUR: Duration = Duration::from_secs(3_600);

/// A machine whose clock can be set.
struct Machine {
    world: World,
    journal: Journal,
    timekeeper: Timekeeper,
    /// The time of day, and the time that has passed.
    hands: Arc<Mutex<(Timestamp, Duration)>>,
}

impl Machine {
    async fn at(secs: u64) -> Self {
        let hands = Arc::new(Mutex::new((Timestamp::from_secs(secs), Duration::ZERO)));
        let (wall, steady) = (Arc::clone(&hands), Arc::clone(&hands));
        let clocks = Clocks {
            wall: Arc::new(move || wall.lock().expect("unpoisoned").0),
            steady: Arc::new(move || steady.lock().expect("unpoisoned").1),
        };
        let world = World::new(Database::Sqlite).await;
        let journal = world.journal.clone().paced(clocks);
        let round = world.settings.correlate.round;
        Self {
            timekeeper: Timekeeper::new(journal.clone(), round),
            journal,
            world,
            hands,
        }
    }

    fn wall(&self) -> Timestamp {
        self.hands.lock().expect("unpoisoned").0
    }

    fn set(&self, wall: Timestamp) {
        self.hands.lock().expect("unpoisoned").0 = wall;
    }

    /// Something comes in.
    async fn send(&self, body: &Value) {
        let mut arrival = arrival(0, body);
        arrival.received = self.wall();
        self.journal.append(vec![arrival]).await.expect("appends");
    }

    /// So much time passes, and the timekeeper and the stages do their work.
    async fn pass(&mut self, duration: Duration) {
        let mut left = duration;
        while left > Duration::ZERO {
            let wait = self.timekeeper.wait(self.wall());
            let wait = wait.max(Duration::from_millis(1)).min(left);
            left -= wait;
            {
                let mut hands = self.hands.lock().expect("unpoisoned");
                hands.0 = hands.0.plus(wait);
                hands.1 += wait;
            }
            let noted = self.timekeeper.note(self.wall()).await;
            noted.expect("notes");
        }
        self.world.work().await;
    }

    async fn firing(&self) -> usize {
        let firing = AlertFilter {
            firing: Some(true),
            ..AlertFilter::default()
        };
        let scope = scope();
        let listed = self.world.store.alert_list(&scope, &firing, None, 10);
        listed.await.expect("lists").items.len()
    }
}

fn down(secs: u64) -> Value {
    json!({"alerts": [
        {"name": "down", "entity": "service/cart", "firing": true, "started": secs}
    ]})
}

#[tokio::test]
async fn set_back_it_stops_nothing() {
    let mut machine = Machine::at(100_000).await;
    machine.send(&json!({})).await;
    machine.pass(Duration::from_secs(60)).await;
    machine.set(Timestamp::from_secs(100_060).minus(HOUR));
    machine.send(&down(96_000)).await;
    // Two rounds of correlation, at half their speed.
    machine.pass(Duration::from_secs(1)).await;
    assert_eq!(
        machine.world.incidents().await.len(),
        1,
        "it is found at once"
    );
    assert!(
        matches!(machine.journal.clock_state(), ClockState::SetBack(by) if by + Duration::from_secs(5) > HOUR)
    );
    // Five minutes after its last report it counts as over: at half speed, ten.
    machine.pass(Duration::from_secs(640)).await;
    assert_eq!(machine.firing().await, 0, "conditions expire");
    machine.pass(2 * HOUR).await;
    assert_eq!(machine.journal.clock_state(), ClockState::InStep);
    machine.send(&json!({})).await;
    let head = *machine.journal.head().borrow();
    assert_eq!(head.received, machine.wall(), "and it has caught up");
}

#[tokio::test]
async fn set_far_ahead_it_ends_nothing() {
    let mut machine = Machine::at(100_000).await;
    machine.send(&down(99_990)).await;
    machine.pass(Duration::from_secs(60)).await;
    let by_mistake = Timestamp::from_secs(4_000_000_000);
    machine.set(by_mistake);
    machine.pass(Duration::from_secs(60)).await;
    assert_eq!(machine.firing().await, 1, "nothing expires early");
    assert!(matches!(
        machine.journal.clock_state(),
        ClockState::SetAhead(_)
    ));
    assert_eq!(
        machine.journal.time(machine.wall()),
        Timestamp::from_secs(100_120)
    );
    machine.set(Timestamp::from_secs(100_120));
    machine.pass(Duration::from_secs(300)).await;
    assert_eq!(machine.journal.clock_state(), ClockState::InStep);
    assert_eq!(machine.firing().await, 0, "it does when it is time");
}

/// Somebody else runs between a look at one clock and a look at the other, or
/// between two looks: the note is then of the round that it was to end.
#[tokio::test]
async fn a_note_that_ends_no_round_is_not_the_last() {
    let at = |millis| Timestamp::from_secs(100_000).plus(Duration::from_millis(millis));
    // For the arrival, whether a note is due, and the note itself.
    let looks = Arc::new(Mutex::new(VecDeque::from([
        (at(150), Duration::from_millis(150)),
        (at(198), Duration::from_millis(300)),
        (at(230), Duration::from_millis(301)),
    ])));
    let (wall, steady) = (Arc::clone(&looks), looks);
    let clocks = Clocks {
        wall: Arc::new(move || wall.lock().expect("unpoisoned")[0].0),
        steady: Arc::new(move || {
            let mut looks = steady.lock().expect("unpoisoned");
            looks.pop_front().expect("three looks").1
        }),
    };
    let world = World::new(Database::Sqlite).await;
    let journal = world.journal.clone().paced(clocks);
    let round = world.settings.correlate.round;
    let mut timekeeper = Timekeeper::new(journal.clone(), round);
    let mut arrival = arrival(0, &json!({}));
    arrival.received = at(150);
    journal.append(vec![arrival]).await.expect("appends");
    timekeeper.note(at(198)).await.expect("notes");
    let head = *journal.head().borrow();
    assert_eq!((head.position.0, head.received), (2, at(198)));
    assert_eq!(timekeeper.due(), at(200), "the round is not over");
}
