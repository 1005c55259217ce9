//! Golden cases: envelopes and the answers that a connector gives to them, in
//! files that lie in a bundle's `tests/` folder.
//!
//! The format is described in `sdk/golden-cases.md`.

mod case;
mod convert;
mod memory;

use std::fs;
use std::path::{Path, PathBuf};

use case::{Case, Line, Step};
use memory::{Answers, Played};
use serde_json::Value;

use crate::testkit::FakeHost;
use crate::testkit::apart::apart;
use crate::{Connector, Decoded, Envelope, Fault};

/// Set to anything, this writes what the connector answers into the cases,
/// instead of comparing: to be read before it is committed.
const BLESS_VARIABLE: &str = "FAULTLINE_BLESS";

/// Runs every case of a folder, relative to the crate's own. Each envelope is
/// decoded by itself and all of a case in one call, which must not make a
/// difference. Nor must it make one what came before: all cases of one
/// configuration are then decoded once more one after the other, there and back,
/// as by a guest that is kept warm.
///
/// ```no_run
/// # use faultline_sdk::{Connector, Decoded, Envelope, Fault, config::NoConfig};
/// # struct Acme;
/// # impl Connector for Acme {
/// #     type Config = NoConfig;
/// #     fn decode(_: &NoConfig, _: &Envelope) -> Result<Decoded, Fault> {
/// #         Decoded::builder().finish()
/// #     }
/// # }
/// #[test]
/// fn golden_cases() {
///     faultline_sdk::testkit::check_golden_cases::<Acme>("tests");
/// }
/// ```
///
/// # Panics
/// If a case cannot be read, if there is none, or if the connector answers
/// anything else; naming the file.
pub fn check_golden_cases<C: Connector>(folder: impl AsRef<Path>) {
    let folder = folder.as_ref();
    let paths = cases(folder);
    assert!(!paths.is_empty(), "{}: no golden cases", folder.display());
    let bless = std::env::var_os(BLESS_VARIABLE).is_some();
    let (mut played, mut complaints) = (Vec::new(), Vec::new());
    for path in &paths {
        match check::<C>(path, bless) {
            Ok(case) => played.push(case),
            Err(complaint) => complaints.push(complaint),
        }
    }
    let failed = complaints.len();
    complaints.extend(memory::complaints::<C>(&played));
    assert!(
        complaints.is_empty(),
        "{failed} of {} golden cases fail; {BLESS_VARIABLE}=1 writes the answers into the \
         files\n\n{}",
        paths.len(),
        complaints.join("\n\n")
    );
}

/// The JSON files of a folder, by name.
fn cases(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: cannot be read: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    paths.sort();
    paths
}

fn check<C: Connector>(path: &Path, bless: bool) -> Result<Played, String> {
    let place = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("{place}: {error}"))?;
    let mut case: Case = crate::json::parse(text.as_bytes())
        .map_err(|error| format!("{place}: not a golden case: {error}"))?;
    let envelopes = envelopes(&case).map_err(|error| format!("{place}: {error}"))?;
    let (answers, lines) =
        answers::<C>(&case.config, &envelopes).map_err(|error| format!("{place}: {error}"))?;
    let played = |answers| Played {
        place: place.to_string(),
        config: case.config.clone(),
        envelopes,
        answers,
    };
    if bless {
        for (step, answer) in case.steps.iter_mut().zip(&answers) {
            step.decoded = answer.as_ref().ok().map(Into::into);
            step.fault = answer.as_ref().err().map(Into::into);
        }
        case.lines = lines;
        fs::write(path, pretty(&case) + "\n").map_err(|error| format!("{place}: {error}"))?;
        return Ok(played(answers));
    }
    for (index, (step, answer)) in case.steps.iter().zip(&answers).enumerate() {
        let place = format!("{place}: steps[{index}]");
        compare(&place, &expected_of(step, &place)?, &pretty_answer(answer))?;
    }
    compare(
        &format!("{place}: lines"),
        &pretty(&case.lines),
        &pretty(&lines),
    )?;
    Ok(played(answers))
}

fn envelopes(case: &Case) -> Result<Vec<Envelope>, String> {
    let steps = case.steps.iter().enumerate();
    steps
        .map(|(index, step)| {
            let envelope = step.envelope.to_envelope();
            envelope.map_err(|error| format!("steps[{index}]: {error}"))
        })
        .collect()
}

/// What a guest that was just started answers to all of them, and what it logs.
fn answers<C: Connector>(
    config: &Value,
    envelopes: &[Envelope],
) -> Result<(Answers, Vec<Line>), String> {
    let decode = |envelopes: &[Envelope]| {
        let host = FakeHost::new().with_config(config);
        let answers = host.run(|| crate::connector::decode::<C>(envelopes));
        (answers, host.lines())
    };
    let (together, lines) = apart(|| decode(envelopes));
    for (index, (envelope, answer)) in envelopes.iter().zip(&together).enumerate() {
        let (alone, _) = apart(|| decode(std::slice::from_ref(envelope)));
        if alone != std::slice::from_ref(answer) {
            return Err(format!(
                "steps[{index}]: decoded by itself the envelope has another answer than among \
                 the others"
            ));
        }
    }
    Ok((together, lines.into_iter().map(Into::into).collect()))
}

fn expected_of(step: &Step, place: &str) -> Result<String, String> {
    match (&step.decoded, &step.fault) {
        (Some(decoded), None) => Ok(pretty(&serde_json::json!({ "decoded": decoded }))),
        (None, Some(fault)) => Ok(pretty(&serde_json::json!({ "fault": fault }))),
        _ => Err(format!("{place}: a step has one of `decoded` and `fault`")),
    }
}

fn pretty_answer(answer: &Result<Decoded, Fault>) -> String {
    match answer {
        Ok(decoded) => pretty(&serde_json::json!({ "decoded": case::Decoded::from(decoded) })),
        Err(fault) => pretty(&serde_json::json!({ "fault": case::Fault::from(fault) })),
    }
}

fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).expect("plain data can be written as JSON")
}

fn compare(place: &str, expected: &str, found: &str) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    let differs = expected
        .lines()
        .zip(found.lines())
        .position(|(expected, found)| expected != found)
        .unwrap_or_else(|| expected.lines().count().min(found.lines().count()));
    Err(format!(
        "{place}: differs from line {} on\nexpected: {expected}\nfound: {found}",
        differs + 1
    ))
}
