use proptest::prelude::*;

use super::*;

const MOST: usize = 100;
/// Nearly as many as are looked at.
const TOKENS: u32 = 150;

/// The kind of a line, as it is after the line.
fn kind_of(miner: &mut Miner<()>, line: &str) -> (TemplateId, String) {
    let found = miner.find(line, 0, MOST);
    let kind = &miner.kinds()[found.slot];
    (kind.id, kind.template.text())
}

fn reloaded(miner: &Miner<()>) -> Miner<()> {
    let bytes = faultline_sdk::state::to_bytes(miner).expect("it can be written");
    faultline_sdk::state::from_bytes(&bytes).expect("it can be read")
}

fn letters(mut number: u32) -> String {
    let mut word = String::from("w");
    while number > 0 {
        // Letters beyond those of hexadecimal digits.
        word.push(char::from(
            b'g' + u8::try_from(number % 16).expect("below 16"),
        ));
        number /= 16;
    }
    word
}

#[test]
fn lines_that_differ_in_numbers_are_of_one_kind() {
    let mut miner = Miner::<()>::default();
    let (first, text) = kind_of(&mut miner, "order 17 of customer 4 took 12 ms");
    let (second, _) = kind_of(&mut miner, "order 9811 of customer 72 took 3.5 ms");
    assert_eq!(first, second);
    assert_eq!(text, "order <*> of customer <*> took <*>");
    let (other, _) = kind_of(&mut miner, "order 17 of customer 4 was dropped");
    assert_ne!(first, other);
}

#[test]
fn only_the_first_line_of_a_kind_is_new() {
    let mut miner = Miner::<()>::default();
    let mut find = |line: &str| miner.find(line, 0, MOST).new;
    assert_eq!(find("cache is warm"), Some(Novelty::Unlike));
    assert_eq!(find("cache is warm"), None);
    assert_eq!(
        find("stock of the item was counted in room 4"),
        Some(Novelty::Unlike)
    );
    assert_eq!(
        find("stock of the item was missing in room 4"),
        Some(Novelty::Variant)
    );
}

#[test]
fn opposites_are_not_merged_and_names_are() {
    let mut miner = Miner::<()>::default();
    let (up, _) = kind_of(&mut miner, "the link to the peer is now up");
    let (down, _) = kind_of(&mut miner, "the link to the peer is now down");
    assert_ne!(up, down);
    let mut last = (TemplateId(0), String::new());
    for user in ["ann", "bob", "cem", "dana", "eli"] {
        last = kind_of(
            &mut miner,
            &format!("session of {user} was opened on the host"),
        );
    }
    assert_eq!(last.1, "session of <*> was opened on the host");
    assert_eq!(miner.kinds().len(), 3);
    // The kind that remains is the oldest of those that were merged.
    assert_eq!(last.0, TemplateId(2));
}

#[test]
fn ids_are_never_given_twice() {
    let mut miner = Miner::<()>::default();
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..2_000 {
        let line = format!(
            "{} {} {}",
            letters(number),
            letters(number + 7),
            letters(number * 3)
        );
        let found = miner.find(&line, u64::from(number), MOST);
        if found.new.is_some() {
            assert!(seen.insert(miner.kinds()[found.slot].id));
        }
    }
    assert!(miner.forgotten().kinds > 0);
}

#[test]
fn room_is_bounded_whatever_is_written() {
    let mut miner = Miner::<()>::default();
    let long = "some more words to fill the line ".repeat(40);
    for number in 0..3_000 {
        let line = match number % 3 {
            0 => format!("{} begins [{}]", letters(number), letters(number / 3)),
            1 => format!("{} {long}", letters(number)),
            _ => "=".repeat(usize::try_from(number % 150).expect("small")),
        };
        miner.find(&line, u64::from(number), MOST);
        assert!(miner.kinds().len() <= MOST);
        assert!(miner.bytes <= MOST * TEMPLATE_BYTES_MEAN);
        assert!(miner.known.len() <= MOST * KNOWN_SKELETONS_PER_TEMPLATE);
    }
    let bytes = faultline_sdk::state::to_bytes(&miner).expect("it can be written");
    assert!(
        bytes.len() < 2 * MOST * TEMPLATE_BYTES_MEAN,
        "{}",
        bytes.len()
    );
}

#[test]
fn what_was_not_seen_for_longest_makes_room() {
    let mut miner = Miner::<()>::default();
    for number in 0..1_000_u32 {
        let time = u64::from(number);
        miner.find("the one that comes again", time, MOST);
        miner.find(&format!("{0} {0}", letters(number)), time, MOST);
    }
    assert_eq!(
        miner.find("the one that comes again", 1_000, MOST).new,
        None
    );
    let forgotten = miner.forgotten();
    assert!(
        forgotten.kinds > 100 && (800..1_000).contains(&forgotten.until),
        "{forgotten:?}"
    );
}

#[test]
fn lines_that_fit_nothing_together_cost_little() {
    // Words that agree in half of the places, a different half each time: as
    // many ways to merge as there are siblings.
    let mut miner = Miner::<()>::default();
    for line in 0..400_u32 {
        let words: Vec<String> = (0..TOKENS)
            .map(|place| {
                let mixed = (line * 7 + place * 13) % 97;
                if mixed < 46 {
                    letters(line * TOKENS + place)
                } else {
                    letters(place)
                }
            })
            .collect();
        miner.find(&words.join(" "), 0, 10_000);
    }
    assert!(miner.kinds().len() <= 400);
}

proptest! {
    /// Whatever the lines: a miner that was saved and read goes on as the one
    /// that was not, and what it finds is the kind that matches the line.
    #[test]
    fn goes_on_the_same_after_a_reload(
        lines in proptest::collection::vec("[a-d]{1,2}( [a-c0-9]{1,3}| =|\\[x\\]){0,5}", 1..120),
        reload_every in 1..20_usize,
    ) {
        let mut steady = Miner::<()>::default();
        let mut restless = Miner::<()>::default();
        for (number, line) in lines.iter().enumerate() {
            if number % reload_every == 0 {
                restless = reloaded(&restless);
            }
            let time = u64::try_from(number).expect("few");
            let expected = steady.find(line, time, 12);
            prop_assert_eq!(restless.find(line, time, 12), expected);
            prop_assert_eq!(
                &restless.kinds()[expected.slot].template,
                &steady.kinds()[expected.slot].template
            );
            let mut tokens = Vec::new();
            scan(line.as_bytes(), &mut tokens);
            prop_assert!(steady.kinds()[expected.slot].template.matches(&tokens));
        }
        prop_assert!(steady.kinds().len() <= 12);
    }
}
