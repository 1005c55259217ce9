//! Dead letters, and giving them to their readers once more.

use axum::http::Method;
use faultline_domain::access::Role;
use faultline_domain::envelope::{Position, REDRIVE_OF};
use faultline_store::{DeadLetter, LetterKind, ObserveCommit, StageName};

use crate::observed::{reached, source};
use crate::{Answer, Bench, NOW, at, scope};

impl Bench {
    async fn redrive(&self, position: u64) -> Answer {
        let path = format!("/api/v1/dead-letters/{position}/redrive");
        self.bare(Method::POST, Role::Operator, &path).await
    }

    /// A letter about what lies there.
    async fn letter(&self, position: u64, reader: &str, kind: LetterKind) {
        let from = self.position(StageName::Observe).await;
        let observed = ObserveCommit {
            from: from.position,
            to: reached(from.position),
            dead_letters: vec![DeadLetter {
                position: Position(position),
                reader: reader.to_owned(),
                kind,
                received: at(position),
                source: source("ci"),
                code: "trap".to_owned(),
                message: "unreachable".to_owned(),
            }],
            ..ObserveCommit::default()
        };
        let committed = self.store.observe_commit(&scope(), &observed).await;
        committed.expect("commits");
    }
}

#[tokio::test]
async fn a_payload_is_put_at_the_end_of_the_journal_once_more_and_says_so() {
    let bench = Bench::open().await;
    // Its envelope, at 1, is a dead letter as well.
    bench.open_incident("checkout").await;
    let redriven = bench.redrive(1).await.expect(200);
    assert_eq!(
        (&redriven["from"], &redriven["position"]),
        (&1.into(), &2.into())
    );
    let fetch = async |position| {
        let found = bench
            .store
            .envelope_fetch(&scope(), Position(position))
            .await;
        found.expect("reads").expect("it is there").arrival
    };
    let (first, copy) = (fetch(1).await, fetch(2).await);
    assert_eq!(copy.received, at(NOW), "it arrives now");
    assert_eq!(
        (&copy.body, &copy.format, &copy.source),
        (&first.body, &first.format, &first.source)
    );
    assert_eq!(copy.headers, [(REDRIVE_OF.to_owned(), "1".to_owned())]);
    let actions = bench.actions().await;
    let rows: Vec<&str> = actions.iter().map(String::as_str).collect();
    assert_eq!(rows, ["envelope.redrive intent", "envelope.redrive ok"]);
    // The copy names what it is a copy of, whatever that was.
    bench.letter(2, "connector:json", LetterKind::Poison).await;
    bench.redrive(2).await.expect(200);
    assert_eq!(
        fetch(3).await.headers,
        [(REDRIVE_OF.to_owned(), "2".to_owned())]
    );
}

#[tokio::test]
async fn what_was_read_or_is_not_there_is_not_redriven_and_leaves_no_trace() {
    let bench = Bench::open().await;
    bench.open_incident("checkout").await;
    let problem = bench.redrive(7).await.problem("not-found");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains("nothing at 7 is a dead letter"), "{detail}");
    // The letter is there, and the payload is gone, as after a sweep.
    bench.letter(9, "connector:json", LetterKind::Poison).await;
    let problem = bench.redrive(9).await.problem("not-found");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("older than what the journal keeps"),
        "{detail}"
    );
    // A detector is not shown again what is past.
    bench.letter(8, "detector:eye", LetterKind::Poison).await;
    let problem = bench.redrive(8).await.problem("conflict");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("detector:eye failed on what it says"),
        "{detail}"
    );
    assert!(detail.contains("resume it"), "{detail}");
    assert!(bench.actions().await.is_empty());
    let head = bench.store.journal_head(&scope()).await.expect("reads");
    assert_eq!(head.position, Position(1));
}
