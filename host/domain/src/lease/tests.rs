use super::*;

const LIFETIME: Duration = Duration::from_secs(8);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn holder(node: &str, life: &str) -> Holder {
    Holder {
        node: node.to_owned(),
        life: life.to_owned(),
    }
}

fn claim(node: &str, life: &str) -> Claim {
    let terms = Terms {
        lifetime: LIFETIME,
        alone: false,
    };
    Claim::new(holder(node, life), terms)
}

fn lease(holder: Option<Holder>, fence: u64, beat: u64) -> LeaseView {
    LeaseView {
        holder,
        fence: Fence(fence),
        beat,
    }
}

/// The table itself, so that several claims can be played against one another.
#[derive(Default)]
struct Table(Option<LeaseView>);

impl Table {
    /// One look of one process, and what comes of it.
    fn look(&mut self, claim: &mut Claim, now: Duration) -> Option<Loss> {
        let (loss, step) = claim.look(now, self.0.as_ref());
        match step {
            Step::Wait => {}
            Step::Take(over) => {
                let now_there = self.0.as_ref().map(|lease| (lease.fence, lease.beat));
                assert_eq!(over, now_there, "nobody was in between");
                let fence = Fence(over.map_or(0, |(fence, _)| fence.0) + 1);
                self.0 = Some(lease(Some(claim.me.clone()), fence.0, 0));
                claim.taken(now, fence);
            }
            Step::Renew(fence) => {
                let lease = self.0.as_mut().expect("it is there");
                assert_eq!(lease.fence, fence);
                lease.beat += 1;
                claim.renewed(now);
            }
        }
        loss
    }
}

#[test]
fn what_nobody_has_is_taken_at_once() {
    for free in [None, Some(lease(None, 7, 3))] {
        let (loss, step) = claim("a", "1").look(secs(0), free.as_ref());
        let over = free.map(|lease| (lease.fence, lease.beat));
        assert_eq!((loss, step), (None, Step::Take(over)));
    }
}

#[test]
fn an_earlier_life_is_succeeded_at_once_but_only_at_the_first_look() {
    let left = lease(Some(holder("a", "1")), 3, 9);
    let mut again = claim("a", "2");
    let take = Step::Take(Some((Fence(3), 9)));
    assert_eq!(again.look(secs(0), Some(&left)).1, take);

    // Two processes of one name, by mistake.
    let other = lease(Some(holder("a", "1")), 3, 10);
    assert_eq!(again.look(secs(1), Some(&other)).1, Step::Wait);
}

#[test]
fn a_holder_that_shows_no_life_is_succeeded_after_the_lifetime() {
    let mut table = Table::default();
    let (mut a, mut b) = (claim("a", "1"), claim("b", "1"));
    // Their clocks have nothing to do with each other.
    let far = secs(1_000_000);
    table.look(&mut a, secs(0));
    assert_eq!(a.held(), Some(Fence(1)));
    for second in 0..20 {
        assert_eq!(table.look(&mut a, secs(second)), None);
        table.look(&mut b, far + secs(second));
        assert_eq!(b.held(), None, "second {second}");
    }
    // a is dead from here on; its last sign of life was seen at second 18.
    for second in 20..26 {
        table.look(&mut b, far + secs(second));
        assert_eq!(b.held(), None, "second {second}");
    }
    table.look(&mut b, far + secs(26));
    assert_eq!(b.held(), Some(Fence(2)));
    // It was not dead after all.
    assert_eq!(table.look(&mut a, secs(26)), Some(Loss::Taken));
    assert_eq!(a.held(), None);
}

#[test]
fn who_cannot_renew_lets_go_in_time_and_may_have_it_back() {
    let mut table = Table::default();
    let mut a = claim("a", "1");
    table.look(&mut a, secs(0));
    table.look(&mut a, secs(3));
    assert_eq!(a.pass_time(secs(10)), None);
    assert_eq!(a.pass_time(secs(11)), Some(Loss::Expired));
    assert_eq!(a.pass_time(secs(12)), None, "said once");
    assert_eq!(table.look(&mut a, secs(13)), None);
    assert_eq!(a.held(), Some(Fence(2)), "nobody else wanted it");
}

#[test]
fn renews_often_enough_and_no_more() {
    let mut table = Table::default();
    let mut a = claim("a", "1");
    table.look(&mut a, secs(0));
    for second in 0..=40 {
        assert_eq!(table.look(&mut a, secs(second)), None);
    }
    assert_eq!(table.0.expect("it is there").beat, 20);
}

#[test]
fn who_is_alone_takes_what_is_left_over_and_need_not_renew() {
    let terms = Terms {
        lifetime: LIFETIME,
        alone: true,
    };
    let mut alone = Claim::new(holder("a", "2"), terms);
    let mut table = Table(Some(lease(Some(holder("b", "1")), 4, 1)));
    table.look(&mut alone, secs(0));
    assert_eq!(alone.held(), Some(Fence(5)));
    assert_eq!(table.look(&mut alone, secs(1_000)), None);
    assert_eq!(alone.pass_time(secs(2_000)), None);
    assert_eq!(alone.held(), Some(Fence(5)));
    assert_eq!(table.0.expect("it is there").beat, 0);
}

#[test]
fn of_many_at_most_one_has_it_whenever_they_look() {
    // A few processes that look at odd times, some of which stop for a while.
    let mut seed: u64 = 7;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut table = Table::default();
    let mut claims: Vec<Claim> = (0..4)
        .map(|number| claim(&format!("node-{number}"), "1"))
        .collect();
    let mut asleep_until = [0; 4];
    let (mut last, mut takings) = (0, 0);
    for tick in 0..20_000_u64 {
        let now = Duration::from_millis(100 * tick);
        let number = usize::try_from(random(4)).expect("a small number");
        if asleep_until[number] > tick {
            continue;
        }
        if random(500) == 0 {
            asleep_until[number] = tick + random(300);
        }
        table.look(&mut claims[number], now);
        let lease = table.0.as_ref().expect("somebody has taken it");
        assert!(lease.fence.0 >= last, "a fence never goes back");
        takings += lease.fence.0 - last;
        last = lease.fence.0;
        let current = claims
            .iter()
            .filter(|claim| claim.held() == Some(lease.fence));
        assert!(current.count() <= 1);
    }
    assert!(takings > 3, "{takings}");
}
