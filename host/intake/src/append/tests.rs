//! Envelopes in, batches and answers out.

use faultline_domain::envelope::Format;
use faultline_domain::id::SourceName;
use faultline_domain::time::Timestamp;
use tokio::sync::Semaphore;

use super::*;
use crate::budget::Budget;
use crate::tests::bench::MemoryJournal;

fn arrival(bytes: usize) -> Arrival {
    Arrival {
        source: SourceName::new("any").expect("a name"),
        format: Format::AlertmanagerAlerts,
        content_type: "application/json".to_owned(),
        headers: Vec::new(),
        body: vec![b'x'; bytes],
        received: Timestamp::ZERO,
    }
}

fn nothing() -> Reservation {
    Budget::new(0).reservation()
}

struct Running {
    queue: AppendQueue,
    writer: JoinHandle<()>,
    backlog: Arc<Backlog>,
}

fn start(journal: &MemoryJournal, limits: ListenerLimits) -> Running {
    let backlog = Arc::new(Backlog::new(Position(0), Position(0)));
    let metrics = Metrics::default();
    let (queue, writer) = Writer::start(journal.clone(), limits, Arc::clone(&backlog), metrics);
    Running {
        queue,
        writer,
        backlog,
    }
}

/// Appends envelopes of these sizes while the journal takes the first of them;
/// gives positions, and sizes of the envelopes of each batch.
async fn batches(limits: ListenerLimits, sizes: &[usize]) -> (Vec<u64>, Vec<Vec<usize>>) {
    let journal = MemoryJournal {
        appends: Semaphore::new(0).into(),
        ..MemoryJournal::default()
    };
    let Running {
        queue,
        writer,
        backlog,
    } = start(&journal, limits);
    let mut appending = Vec::new();
    for bytes in sizes.iter().copied() {
        let queue = queue.clone();
        appending.push(tokio::spawn(async move {
            queue.append(arrival(bytes), nothing(), None).await
        }));
        // Into the queue before the next one.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
    }
    journal.appends.add_permits(100);
    let mut positions = Vec::new();
    for appending in appending {
        let position = appending.await.expect("no panic").expect("appended");
        positions.push(position.0);
    }
    drop(queue);
    writer.await.expect("it ends when nobody is left");
    let total: usize = sizes.iter().sum();
    let distance = backlog.distance();
    assert_eq!(distance.envelopes, sizes.len() as u64);
    assert_eq!(distance.bytes, total as u64);
    let batches = journal.batches.lock().expect("unpoisoned");
    let sizes_of = |batch: &Vec<Arrival>| batch.iter().map(|it| it.body.len()).collect();
    (positions, batches.iter().map(sizes_of).collect())
}

#[tokio::test]
async fn what_waits_is_written_together() {
    let (positions, batches) = batches(ListenerLimits::default(), &[1, 2, 3, 4]).await;
    assert_eq!(positions, [1, 2, 3, 4]);
    assert_eq!(batches, [vec![1], vec![2, 3, 4]]);
}

#[tokio::test]
async fn batches_are_bounded_in_number_and_bytes() {
    let limits = ListenerLimits {
        batch_envelopes_max: 2,
        batch_bytes_max: 10,
        ..ListenerLimits::default()
    };
    let sizes = [1, 2, 3, 4, 5, 6, 50, 1];
    let (positions, batches) = batches(limits, &sizes).await;
    assert_eq!(positions, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(
        batches,
        [vec![1], vec![2, 3], vec![4, 5], vec![6], vec![50], vec![1]]
    );
}

#[tokio::test]
async fn a_failure_is_told_and_is_not_the_end() {
    let journal = MemoryJournal {
        fails: true,
        ..MemoryJournal::default()
    };
    let running = start(&journal, ListenerLimits::default());
    for _ in 0..2 {
        let refused = running
            .queue
            .append(arrival(1), nothing(), None)
            .await
            .expect_err("failed");
        assert_eq!(refused.reason, Reason::Unavailable);
    }
    assert_eq!(running.backlog.distance().envelopes, 0);
}

#[tokio::test]
async fn who_does_not_wait_for_the_answer_is_written_nevertheless() {
    let journal = MemoryJournal {
        appends: Semaphore::new(0).into(),
        ..MemoryJournal::default()
    };
    let running = start(&journal, ListenerLimits::default());
    for _ in 0..2 {
        let queue = running.queue.clone();
        let appending =
            tokio::spawn(async move { queue.append(arrival(1), nothing(), None).await });
        tokio::task::yield_now().await;
        appending.abort();
    }
    journal.appends.add_permits(2);
    drop(running.queue);
    running.writer.await.expect("no panic");
    let written: usize = journal
        .batches
        .lock()
        .expect("unpoisoned")
        .iter()
        .map(Vec::len)
        .sum();
    assert_eq!(written, 2);
}
