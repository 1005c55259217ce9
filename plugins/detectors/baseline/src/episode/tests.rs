use super::*;
use crate::synthetic::{Random, Run, SECOND};

/// Latencies around 100 ms that stray by a fifth.
fn latencies(rows: usize, seed: u64) -> Vec<f64> {
    let mut random = Random::new(seed);
    (0..rows)
        .map(|_| 0.1 * (0.2 * random.normal()).exp())
        .collect()
}

fn scaled(mut values: Vec<f64>, rows: std::ops::Range<usize>, factor: f64) -> Vec<f64> {
    for value in &mut values[rows] {
        *value *= factor;
    }
    values
}

#[test]
fn a_new_series_that_slows_down_is_found_at_once_and_its_recovery_too() {
    // 20 minutes of ordinary life, then 10 minutes at five times the latency,
    // and the same again a little later.
    let mut false_alarms = 0;
    let mut found_again = 0;
    for seed in 0..20 {
        let values = scaled(latencies(800, seed), 240..360, 5.0);
        let values = scaled(values, 480..600, 5.0);
        let run = Run::of("s", 5 * SECOND, values);
        let openings = run.openings();
        assert!(
            openings.iter().any(|row| (240..243).contains(row)),
            "{openings:?}"
        );
        let recovered = run.events.iter().any(|(row, event)| {
            (360..390).contains(row) && matches!(event, Event::Closed(_, Ending::Recovered))
        });
        assert!(recovered, "{:?}", run.events);
        found_again += u32::from(openings.iter().any(|row| (480..500).contains(row)));
        false_alarms += openings
            .iter()
            .filter(|row| **row < 240 || (360..480).contains(*row) || **row >= 600)
            .count();
    }
    assert!(false_alarms <= 4, "{false_alarms}");
    assert!(found_again >= 12, "{found_again}");
}

#[test]
fn errors_where_there_never_were_any_are_high() {
    let mut random = Random::new(3);
    let values = (0..400).map(|row| {
        if row < 240 {
            0.0
        } else {
            0.3 + 0.02 * random.normal()
        }
    });
    let run = Run::of("1", 5 * SECOND, values);
    assert_eq!(run.openings(), [240]);
    let worsened = run.events.iter().filter_map(|(row, event)| match event {
        Event::Worsened(episode) => Some((*row, episode.grade)),
        _ => None,
    });
    // Each row is further evidence that it is no accident.
    let expected = [(241, Grade::Low), (242, Grade::Warning), (244, Grade::High)];
    assert_eq!(worsened.collect::<Vec<_>>(), expected);
}

#[test]
fn one_odd_row_of_a_series_that_is_known_for_minutes_is_not_said() {
    let quiet = |odd_rows: usize| {
        let values = (0..120).map(move |row| {
            if (60..60 + odd_rows).contains(&row) {
                1e6
            } else {
                0.0
            }
        });
        Run::of("", 5 * SECOND, values).openings()
    };
    assert_eq!(quiet(1), Vec::<usize>::new());
    assert_eq!(quiet(3), [61]);
}

#[test]
fn a_level_shift_is_said_once_and_then_learned() {
    let mut random = Random::new(4);
    let values = (0..6_000).map(|row| {
        let level = if row < 3_000 { 100.0 } else { 160.0 };
        level + 5.0 * random.normal()
    });
    let run = Run::of("", 60 * SECOND, values);
    let openings: Vec<_> = run
        .openings()
        .into_iter()
        .filter(|row| *row >= 3_000)
        .collect();
    assert_eq!(openings.first(), Some(&3_000));
    let settled = run.events.iter().find_map(|(row, event)| match event {
        Event::Closed(_, Ending::Settled) => Some(*row),
        _ => None,
    });
    // After six hours.
    assert_eq!(settled, Some(3_360));
    let later = openings.iter().filter(|row| **row > 3_360).count();
    assert!(later <= 1, "{openings:?}");
}

#[test]
fn a_spike_is_one_episode_and_soon_over() {
    let mut random = Random::new(5);
    let mut values: Vec<f64> = (0..3_000).map(|_| 50.0 + random.normal()).collect();
    values[2_500] = 90.0;
    let run = Run::of("", 15 * SECOND, values);
    let of_spike: Vec<_> = run
        .events
        .iter()
        .filter(|(row, _)| (2_490..2_600).contains(row))
        .collect();
    let [
        (opened, Event::Opened(episode)),
        (closed, Event::Closed(_, Ending::Recovered)),
    ] = of_spike.as_slice()
    else {
        panic!("{of_spike:?}");
    };
    assert_eq!((*opened, *closed), (2_500, 2_512));
    // Strange as it is, a single row is not high.
    assert_eq!(episode.grade, Grade::Warning);
}

#[test]
fn a_series_that_stops_varying_is_found_in_time() {
    let mut random = Random::new(6);
    let mut values: Vec<f64> = (0..4_000).map(|_| 50.0 + random.normal()).collect();
    let last = values[2_999];
    for value in &mut values[3_000..] {
        *value = last;
    }
    let run = Run::of("", 15 * SECOND, values);
    let opened = run.openings().into_iter().find(|row| *row >= 3_000);
    assert!(opened.is_some_and(|row| row < 3_060), "{opened:?}");
}

#[test]
fn rare_steps_of_a_quiet_series_do_not_matter_much() {
    // Replicas: 3, then 4, then 3 again.
    let values = (0..6_000).map(|row| {
        if (2_000..4_000).contains(&row) {
            4.0
        } else {
            3.0
        }
    });
    let run = Run::of("", 15 * SECOND, values);
    for (row, event) in &run.events {
        if let Event::Opened(episode) | Event::Worsened(episode) = event {
            assert!(episode.grade <= Grade::Warning, "{row}: {episode:?}");
        }
    }
    assert!(run.openings().len() <= 2, "{:?}", run.openings());
}

#[test]
fn restarts_and_gaps_are_not_episodes() {
    let mut random = Random::new(7);
    let rows = (0..4_000_u64).map(|row| {
        let pause = row / 500 * 3_600 * SECOND;
        let time = crate::synthetic::START + row * 15 * SECOND + pause;
        (time, 50.0 + random.normal())
    });
    let run = Run::of_rows("", rows);
    assert!(run.openings().len() <= 2, "{:?}", run.openings());
}

#[test]
fn rates_that_are_mostly_zero_raise_few_alarms() {
    let mut openings = 0;
    for seed in 0..5 {
        let mut random = Random::new(seed);
        let values = (0..5_760).map(|_| random.poisson(0.05));
        openings += Run::of("1/s", 15 * SECOND, values).openings().len();
    }
    assert!(openings <= 15, "{openings} in five days");
}

#[test]
fn what_comes_back_soon_is_no_news() {
    let mut random = Random::new(8);
    let mut values: Vec<f64> = (0..3_000).map(|_| 50.0 + random.normal()).collect();
    for row in [2_000, 2_030, 2_060] {
        values[row] = 80.0;
    }
    let run = Run::of("", 15 * SECOND, values);
    let spikes: Vec<_> = run
        .openings()
        .into_iter()
        .filter(|row| *row >= 2_000)
        .collect();
    assert_eq!(spikes.first(), Some(&2_000));
    assert!(spikes.len() <= 2, "{spikes:?}");
}
