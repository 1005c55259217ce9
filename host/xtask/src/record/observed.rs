//! What was seen of an outage from outside: by the customers, and by
//! Prometheus.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use faultline_domain::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::http::Client;
use crate::record::outage::{AlertFacts, Phase};

/// As often as Prometheus evaluates.
const STEP: &str = "5s";

/// What the customers report every five seconds (`shop/load.py`).
#[derive(Debug, Deserialize)]
struct Report {
    /// Seconds since the epoch.
    at: f64,
    requests: u64,
    failed: u64,
    p95_ms: f64,
    statuses: BTreeMap<String, u64>,
}

/// A part of the recording, in seconds since its beginning.
pub(crate) struct Span {
    pub(crate) name: &'static str,
    pub(crate) from: f64,
    pub(crate) to: f64,
}

/// One value and when it was, in seconds since the epoch.
type Point = (f64, f64);

/// Sums up what customers reported, by phase.
pub(crate) fn phases(
    began: Timestamp,
    spans: &[Span],
    customers: &str,
    connections: &[Point],
) -> Result<Vec<Phase>> {
    let reports = customers
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("reading `{line}`")))
        .collect::<Result<Vec<Report>>>()
        .context("reading what the customers reported")?;
    let began = seconds(began);
    Ok(spans
        .iter()
        .map(|span| {
            let within = |at: f64| at - began >= span.from && at - began < span.to;
            let reports: Vec<&Report> = reports.iter().filter(|report| within(report.at)).collect();
            let most = connections
                .iter()
                .filter(|(at, _)| within(*at))
                .map(|(_, count)| *count)
                .fold(0.0, f64::max);
            phase(span, &reports, most)
        })
        .collect())
}

fn phase(span: &Span, reports: &[&Report], connections_max: f64) -> Phase {
    let requests: u64 = reports.iter().map(|report| report.requests).sum();
    let failed: u64 = reports.iter().map(|report| report.failed).sum();
    let mut p95: Vec<f64> = reports.iter().map(|report| report.p95_ms).collect();
    p95.sort_by(f64::total_cmp);
    let mut statuses = BTreeMap::new();
    for report in reports {
        for (status, count) in &report.statuses {
            *statuses.entry(status.clone()).or_default() += count;
        }
    }
    let worst = reports
        .iter()
        .map(|report| share(report.failed, report.requests))
        .fold(0.0, f64::max);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of connections, of which there are at most 40"
    )]
    let connections_max = connections_max as u32;
    Phase {
        name: span.name.to_owned(),
        from_seconds: span.from,
        to_seconds: span.to,
        requests,
        failed_share: share(failed, requests),
        failed_share_max: worst,
        p95_ms_median: p95.get(p95.len() / 2).copied().unwrap_or_default(),
        p95_ms_max: p95.last().copied().unwrap_or_default(),
        statuses,
        postgresql_connections_max: connections_max,
    }
}

/// To four places; nothing of nothing is nothing.
fn share(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    let share = part as f64 / whole.max(1) as f64;
    (share * 1e4).round() / 1e4
}

/// Seconds since the epoch.
fn seconds(at: Timestamp) -> f64 {
    at.since(Timestamp::ZERO).as_secs_f64()
}

/// Asks Prometheus what it knows about a span of time.
pub(crate) struct Prometheus<'a> {
    pub(crate) client: &'a Client,
    /// Of its API.
    pub(crate) base: String,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Prometheus<'_> {
    /// How many connections PostgreSQL had.
    pub(crate) fn connections(&self) -> Result<Vec<Point>> {
        let series = self.range("sum(pg_stat_activity_count)")?;
        Ok(series.into_iter().flat_map(|(_, points)| points).collect())
    }

    /// Which alerts fired, in the order in which they did.
    pub(crate) fn alerts(&self) -> Result<Vec<AlertFacts>> {
        let began = seconds(self.from);
        let mut alerts: Vec<AlertFacts> = self
            .range(r#"ALERTS{alertstate="firing"}"#)?
            .into_iter()
            .filter_map(|(labels, points)| {
                let label = |name: &str| labels[name].as_str().map(ToOwned::to_owned);
                Some(AlertFacts {
                    name: label("alertname")?,
                    subject: label("service").or_else(|| label("instance"))?,
                    severity: label("severity").unwrap_or_default(),
                    fired_seconds: tenths(points.first()?.0 - began),
                    last_seconds: tenths(points.last()?.0 - began),
                })
            })
            .collect();
        alerts.sort_by(|a, b| a.fired_seconds.total_cmp(&b.fired_seconds));
        Ok(alerts)
    }

    /// Series and their points, by the API's `query_range`.
    fn range(&self, query: &str) -> Result<Vec<(Value, Vec<Point>)>> {
        let (from, to) = (self.from.to_string(), self.to.to_string());
        let answer = self.client.get_json(
            &format!("{}/api/v1/query_range", self.base),
            &[
                ("query", query),
                ("start", &from),
                ("end", &to),
                ("step", STEP),
            ],
        )?;
        let series = answer["data"]["result"]
            .as_array()
            .with_context(|| format!("Prometheus answered {answer}"))?;
        Ok(series
            .iter()
            .map(|one| {
                let points = one["values"].as_array().into_iter().flatten();
                let points = points.filter_map(|point| {
                    Some((point[0].as_f64()?, point[1].as_str()?.parse().ok()?))
                });
                (one["metric"].clone(), points.collect())
            })
            .collect())
    }
}

/// Prometheus keeps milliseconds; a tenth is plenty.
pub(crate) fn tenths(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_up_by_phase() {
        let customers = r#"{"at": 101.0, "requests": 10, "failed": 0, "p50_ms": 1, "p95_ms": 5.0, "statuses": {"200": 10}}
{"at": 106.0, "requests": 30, "failed": 3, "p50_ms": 1, "p95_ms": 9.0, "statuses": {"200": 27, "502": 3}}
{"at": 111.0, "requests": 10, "failed": 5, "p50_ms": 1, "p95_ms": 7.0, "statuses": {"200": 5, "502": 5}}"#;
        let spans = [
            Span {
                name: "normal",
                from: 0.0,
                to: 5.0,
            },
            Span {
                name: "outage",
                from: 5.0,
                to: 20.0,
            },
        ];
        let connections = [(102.0, 9.0), (107.0, 40.0), (300.0, 50.0)];
        let phases = phases(Timestamp::from_secs(100), &spans, customers, &connections)
            .expect("the reports parse");
        assert_eq!(phases[0].requests, 10);
        assert_eq!(phases[0].postgresql_connections_max, 9);
        let outage = &phases[1];
        assert_eq!((outage.requests, outage.failed_share), (40, 0.2));
        assert!((outage.failed_share_max - 0.5).abs() < 1e-9);
        assert!((outage.p95_ms_max - 9.0).abs() < 1e-9);
        assert_eq!(outage.statuses["502"], 8);
        assert_eq!(outage.postgresql_connections_max, 40);
    }
}
