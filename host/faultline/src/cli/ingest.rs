//! `faultline ingest`

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use faultline_api::views::{NewToken, Status, Time};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Global;
use super::reach::{Beginning, Need, Reached, reach};
use crate::client::{Answer, Client, Remote, escape, header};
use crate::clock::now;
use crate::output;

/// The largest file that is read as a whole. Intake has a limit of its own.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// How long the token of this command is good, should it not end as it should.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3_600);

/// How long to wait until the stages have worked through what was sent, and
/// how often to look.
const WORK_MAX: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long one payload is sent again while it is told to come later, how long
/// to wait each time at most, and how long if it is not told.
const PUT_OFF_MAX: Duration = Duration::from_secs(300);
const PUT_OFF_STEP_MAX: Duration = Duration::from_secs(30);
const PUT_OFF_STEP: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// The files; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// What they are; left out, it is found out where that can be
    #[arg(short, long, value_enum)]
    format: Option<FileFormat>,
    /// The connector that reads them, as `/hooks/NAME` would
    #[arg(long, value_name = "NAME", conflicts_with = "format")]
    hook: Option<String>,
    /// Each line of the files is a payload of its own
    #[arg(long)]
    lines: bool,
    /// The type of each payload's content, where it is not the usual one
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// A header to send along, such as ce-type=com.example.deployed
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// What the source is called; without it `file`. What goes to a hook has
    /// the source that the hook is named after
    #[arg(long, conflicts_with = "hook")]
    source: Option<String>,
    /// Where the server that `--server` names takes things in, such as
    /// `http://127.0.0.1:4318`
    #[arg(long, value_name = "URL")]
    intake: Option<String>,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FileFormat {
    /// OTLP metrics: a request as JSON or protobuf
    OtlpMetrics,
    /// OTLP logs
    OtlpLogs,
    /// OTLP traces
    OtlpTraces,
    /// Prometheus remote write 1.0, as it is sent: protobuf in Snappy
    RemoteWrite,
    /// An array of alerts, as Prometheus sends them to /api/v2/alerts
    Alerts,
}

impl FileFormat {
    const fn path(self) -> &'static str {
        match self {
            FileFormat::OtlpMetrics => "/v1/metrics",
            FileFormat::OtlpLogs => "/v1/logs",
            FileFormat::OtlpTraces => "/v1/traces",
            FileFormat::RemoteWrite => "/api/v1/write",
            FileFormat::Alerts => "/api/v2/alerts",
        }
    }

    /// What a payload says about itself.
    fn of(body: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(body).ok()?;
        if value.is_array() {
            let first = value.get(0)?;
            return first.get("labels").map(|_| FileFormat::Alerts);
        }
        // Protobuf's JSON may have names of either kind.
        [
            (
                "resourceMetrics",
                "resource_metrics",
                FileFormat::OtlpMetrics,
            ),
            ("resourceLogs", "resource_logs", FileFormat::OtlpLogs),
            ("resourceSpans", "resource_spans", FileFormat::OtlpTraces),
        ]
        .into_iter()
        .find(|(camel, snake, _)| value.get(camel).or(value.get(snake)).is_some())
        .map(|(_, _, format)| format)
    }
}

/// Something to be sent.
struct Payload {
    /// File, and line if the file has several.
    place: String,
    body: Vec<u8>,
    gzip: bool,
}

/// What came of all of it.
#[derive(Debug, Default, Serialize)]
struct Report {
    accepted: u64,
    refused: Vec<Refusal>,
    /// Why what comes after these was not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken_off: Option<String>,
}

#[derive(Debug, Serialize)]
struct Refusal {
    place: String,
    reason: String,
}

pub(crate) async fn run(global: &Global, args: &IngestArgs) -> Result<()> {
    if args.intake.is_some() && global.server.is_none() {
        bail!("`--intake` says where the server that `--server` names takes things in: name it");
    }
    let headers = extra_headers(args)?;
    // Before a data folder is begun for what is not there.
    for file in args.files.iter().filter(|file| *file != Path::new("-")) {
        fs::metadata(file).with_context(|| format!("reading {}", file.display()))?;
    }
    let reached = reach(global, Need::Work, Beginning::Made).await?;
    let done = ingest(&reached, args, &headers).await;
    let worked = match &done {
        Ok(_) if reached.is_own() => work_through(&reached.client).await,
        _ => Ok(()),
    };
    reached.close().await;
    let report = done?;
    if global.json {
        output::json(&report)?;
    } else {
        output::print(&format!("{} payloads were taken in.\n", report.accepted))?;
    }
    worked?;
    report.check()
}

impl Report {
    /// # Errors
    /// If not all was taken in; names what was not.
    fn check(&self) -> Result<()> {
        let mut problems = Vec::new();
        if !self.refused.is_empty() {
            let places = self.refused.iter();
            let places: Vec<String> = places
                .map(|refusal| format!("\n  {}: {}", refusal.place, refusal.reason))
                .collect();
            let count = places.len();
            problems.push(format!("{count} payloads were refused:{}", places.concat()));
        }
        if let Some(why) = &self.broken_off {
            problems.push(format!("broken off, and the rest was not sent: {why}"));
        }
        if problems.is_empty() {
            return Ok(());
        }
        bail!("{}", problems.join("\n"))
    }
}

async fn ingest(reached: &Reached, args: &IngestArgs, headers: &HeaderMap) -> Result<Report> {
    let client = &reached.client;
    let intake = args.intake.as_ref().or(reached.intake.as_ref());
    let intake = intake.context("say where that server takes things in: `--intake URL`")?;
    let expires = Time(now().plus(TOKEN_LIFETIME));
    let source = args.source.as_ref().or(args.hook.as_ref());
    let source = source.map_or("file", String::as_str);
    let body = json!({
        "name": "ingest-command", "purpose": "ingest", "source": source, "expires": expires,
    });
    let token: NewToken = client.ask(Method::POST, "/tokens", Some(&body)).await?;
    let sender = Remote::new(intake, &token.token);
    let mut report = Report::default();
    let sent = match &sender {
        Ok(sender) => send_all(sender, args, headers, &mut report).await,
        Err(error) => Err(anyhow!("{error:#}")),
    };
    if let Err(error) = sent {
        report.broken_off = Some(format!("{error:#}"));
    }
    let path = format!("/tokens/{}", escape(&token.kept.id));
    let revoked = client.ask::<()>(Method::DELETE, &path, None::<&()>).await;
    if let Err(error) = revoked {
        output::note(&format!(
            "The token of this command could not be revoked; it expires by itself: {error:#}"
        ));
    }
    Ok(report)
}

/// Sends all there is, and counts in the report what came of it.
///
/// # Errors
/// If a file cannot be read, or nobody answers any more.
async fn send_all(
    sender: &Remote,
    args: &IngestArgs,
    headers: &HeaderMap,
    report: &mut Report,
) -> Result<()> {
    for file in &args.files {
        for payload in payloads(file, args)? {
            let sent = send(sender, args, headers, &payload).await;
            match sent.with_context(|| payload.place.clone())? {
                Ok(()) => report.accepted += 1,
                Err(reason) => report.refused.push(Refusal {
                    place: payload.place,
                    reason,
                }),
            }
        }
    }
    Ok(())
}

/// Sends one payload. Gives why it was refused if it was.
async fn send(
    sender: &Remote,
    args: &IngestArgs,
    extra: &HeaderMap,
    payload: &Payload,
) -> Result<Result<(), String>> {
    let path = if let Some(hook) = &args.hook {
        format!("/hooks/{}", escape(hook))
    } else if let Some(format) = args.format.or_else(|| FileFormat::of(&payload.body)) {
        format.path().to_owned()
    } else {
        let why = "it is not seen from its content what it is: say so with `--format` or `--hook`";
        return Ok(Err(why.to_owned()));
    };
    let mut headers = usual_headers(&path, payload);
    headers.extend(extra.clone());
    let deadline = Instant::now() + PUT_OFF_MAX;
    loop {
        let (headers, body) = (headers.clone(), payload.body.clone());
        let answer = sender.send(Method::POST, &path, headers, body).await?;
        if let Some(wait) = put_off(&answer)
            && Instant::now() + wait <= deadline
        {
            tokio::time::sleep(wait).await;
            continue;
        }
        return Ok(if answer.status.is_success() {
            Ok(())
        } else {
            let text = String::from_utf8_lossy(&answer.body);
            Err(format!("{}: {}", answer.status.as_u16(), reason(&text)))
        });
    }
}

/// How long to wait before a payload is sent again; none if that would not help.
fn put_off(answer: &Answer) -> Option<Duration> {
    let later = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    let wait = answer.retry_after.unwrap_or(PUT_OFF_STEP);
    later
        .contains(&answer.status)
        .then(|| wait.min(PUT_OFF_STEP_MAX))
}

/// What a payload is sent with if nothing else was asked for.
fn usual_headers(path: &str, payload: &Payload) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let content_type = if path == FileFormat::RemoteWrite.path() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        "application/x-protobuf"
    } else if payload.gzip || looks_like_text(&payload.body) {
        "application/json"
    } else {
        "application/x-protobuf"
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if payload.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers
}

/// What was asked to be sent along.
fn extra_headers(args: &IngestArgs) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    if let Some(content_type) = &args.content_type {
        let content_type = HeaderValue::try_from(content_type).context("--content-type")?;
        headers.insert(CONTENT_TYPE, content_type);
    }
    for (name, value) in &args.headers {
        let (name, value) =
            header(name, value).with_context(|| format!("--header {name}={value}"))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// What an answer says, whatever dialect it speaks.
fn reason(text: &str) -> String {
    let value: Option<Value> = serde_json::from_str(text).ok();
    let found = value.as_ref().and_then(|value| match value {
        Value::String(text) => Some(text.as_str()),
        _ => ["detail", "message", "error"]
            .into_iter()
            .find_map(|key| value.get(key)?.as_str()),
    });
    found.unwrap_or(text).trim().to_owned()
}

fn payloads(file: &Path, args: &IngestArgs) -> Result<Vec<Payload>> {
    let name = file.display().to_string();
    let mut body = Vec::new();
    // One byte more tells that there are more.
    let most = FILE_BYTES_MAX + 1;
    let read = if file == Path::new("-") {
        std::io::stdin().take(most).read_to_end(&mut body)
    } else {
        fs::File::open(file).and_then(|file| file.take(most).read_to_end(&mut body))
    };
    read.with_context(|| format!("reading {name}"))?;
    if body.len() as u64 > FILE_BYTES_MAX {
        bail!("{name} has more than {FILE_BYTES_MAX} bytes: take it in in parts");
    }
    let extension = file.extension().and_then(|extension| extension.to_str());
    let by_lines = args.lines || matches!(extension, Some("jsonl" | "ndjson"));
    // RFC 1952, section 2.3.1.
    let gzip = body.starts_with(&[0x1f, 0x8b]);
    if by_lines && gzip {
        bail!("{name} is compressed, and has no lines therefore: unpack it first");
    }
    if !by_lines {
        return Ok(vec![Payload {
            place: name,
            body,
            gzip,
        }]);
    }
    Ok((1..)
        .zip(body.split(|byte| *byte == b'\n'))
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(number, line)| Payload {
            place: format!("{name} line {number}"),
            body: line.to_vec(),
            gzip: false,
        })
        .collect())
}

fn looks_like_text(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "write it as NAME=VALUE".to_owned())
}

/// Waits until the stages have worked through what is in the journal now.
async fn work_through(client: &Client) -> Result<()> {
    let sent: Status = client.get("/status").await?;
    let work = async {
        loop {
            let status: Status = client.get("/status").await?;
            let done = status.stages.iter().all(|stage| {
                let read = stage.lag_envelopes.is_none() || stage.position >= sent.journal_position;
                read && stage.clock > sent.journal_received
            });
            if done {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(WORK_MAX, work)
        .await
        .with_context(|| {
            format!("it was taken in, but not worked through within {WORK_MAX:?}; `serve` goes on")
        })?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_says_what_it_is() {
        for (text, format) in [
            (
                r#"[{"labels":{"alertname":"x"}}]"#,
                Some(FileFormat::Alerts),
            ),
            (r#"{"resourceMetrics":[]}"#, Some(FileFormat::OtlpMetrics)),
            (r#"{"resource_logs":[]}"#, Some(FileFormat::OtlpLogs)),
            (r#"{"resourceSpans":[]}"#, Some(FileFormat::OtlpTraces)),
            (r#"{"alerts":[]}"#, None),
            ("[]", None),
            ("\u{1}\u{2}", None),
        ] {
            assert_eq!(FileFormat::of(text.as_bytes()), format, "{text}");
        }
    }

    #[test]
    fn who_is_told_to_come_later_comes_later_and_others_do_not() {
        let answer = |status: u16, retry_after: Option<u64>| Answer {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: retry_after.map(Duration::from_secs),
            body: Vec::new(),
        };
        for (status, retry_after, expected) in [
            (429, Some(7), Some(7)),
            (503, None, Some(1)),
            (503, Some(86_400), Some(30)),
            (400, Some(7), None),
            (200, None, None),
        ] {
            let wait = put_off(&answer(status, retry_after));
            assert_eq!(wait, expected.map(Duration::from_secs), "{status}");
        }
    }

    #[test]
    fn what_was_not_taken_in_is_named() {
        assert!(Report::default().check().is_ok());
        let report = Report {
            accepted: 3,
            refused: vec![Refusal {
                place: "a line 2".to_owned(),
                reason: "400: bad".to_owned(),
            }],
            broken_off: Some("b: gone".to_owned()),
        };
        let message = report.check().unwrap_err().to_string();
        for part in ["1 payloads were refused", "a line 2: 400: bad", "b: gone"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn answers_of_any_dialect_have_a_reason() {
        assert_eq!(reason(r#"{"code":400,"message":"bad"}"#), "bad");
        assert_eq!(reason(r#"{"title":"No","detail":"why"}"#), "why");
        assert_eq!(reason("\"plain\""), "plain");
        assert_eq!(reason("text\n"), "text");
    }
}
