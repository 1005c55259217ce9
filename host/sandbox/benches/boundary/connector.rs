//! A connector has a fresh guest for each call: how long one takes that
//! decodes a single small payload, and what a payload costs among others.

use std::error::Error;

use faultline_domain::decode::Decoder as _;
use faultline_domain::envelope::{Arrival, Envelope, Format, Position};
use faultline_domain::id::{InstanceName, SourceName};
use faultline_domain::time::Timestamp;
use faultline_sandbox::Loaded;

use crate::event::EVENT;
use crate::surroundings::Surroundings;
use crate::{Goal, Stopwatch, report, rounds};

/// Turns of each number of envelopes.
const ROUNDS: usize = 60;
/// Calls of a turn.
const ROUND_CALLS: u32 = 100;
/// Calls before anything is measured.
const WARM_UP_CALLS: u32 = 500;
/// What the stages give a connector at once when there is much to do.
const MANY: usize = 64;

/// A group of one alert.
const GROUP: &str = r#"{"version":"4","groupKey":"{}:{alertname=\"HighLatency\"}","status":"firing",
"receiver":"faultline","groupLabels":{"alertname":"HighLatency"},"commonAnnotations":{},
"commonLabels":{"alertname":"HighLatency","service":"checkout","severity":"critical"},
"externalURL":"http://alertmanager:9093","truncatedAlerts":0,"alerts":[{"status":"firing",
"labels":{"alertname":"HighLatency","service":"checkout","severity":"critical"},
"annotations":{"summary":"p99 latency of checkout is above 2 s"},
"startsAt":"2026-03-01T11:59:00Z","endsAt":"0001-01-01T00:00:00Z",
"generatorURL":"http://prometheus:9090/graph?g0.expr=x","fingerprint":"91bbe5b5dc50a8d8"}]}"#;

/// Measures the connectors that come with the host.
pub(crate) fn run(surroundings: &Surroundings) -> Result<(), Box<dyn Error>> {
    for (name, content_type, body) in [
        ("cloudevents", "application/cloudevents+json", EVENT),
        ("alertmanager", "application/json", GROUP),
    ] {
        let Loaded::Connector(connector) = surroundings.load(name)? else {
            return Err(format!("{name} is no connector").into());
        };
        let envelope = envelope(name, content_type, body)?;
        let turn = |envelopes: &[&Envelope], calls: u32| -> Result<f64, Box<dyn Error>> {
            let began = Stopwatch::start();
            for _ in 0..calls {
                for answer in connector.decode(envelopes)? {
                    answer.map_err(|fault| format!("{name}: {fault}"))?;
                }
            }
            Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(calls))
        };
        let (one, many) = ([&envelope], [&envelope; MANY]);
        turn(&one, WARM_UP_CALLS)?;
        let (mut alone, mut among) = (Vec::new(), Vec::new());
        for _ in 0..rounds(ROUNDS) {
            alone.push(turn(&one, ROUND_CALLS)?);
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            among.push(turn(&many, ROUND_CALLS / 10)? / MANY as f64);
        }
        let what = format!("{name}: a fresh guest and its first call, one payload");
        report(&what, "us", Goal::AtMost(40.0), &alone);
        let what = format!("{name}: a payload of {MANY} in one call");
        report(&what, "us", Goal::None, &among);
    }
    Ok(())
}

fn envelope(name: &str, content_type: &str, body: &str) -> Result<Envelope, Box<dyn Error>> {
    Ok(Envelope {
        position: Position(1),
        arrival: Arrival {
            source: SourceName::new(name)?,
            format: Format::Connector(InstanceName::new(name)?),
            content_type: content_type.to_owned(),
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
            received: Timestamp::from_secs(1_772_366_400),
        },
    })
}
