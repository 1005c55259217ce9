//! The addresses that senders send to, and what each expects.

use axum::http::{HeaderMap, header};
use faultline_domain::envelope::Format;

use crate::refused::{Reason, Refused};
use crate::transport::ContentEncoding;

/// Where a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /v1/metrics`.
    OtlpMetrics,
    /// `POST /v1/logs`.
    OtlpLogs,
    /// `POST /v1/traces`.
    OtlpTraces,
    /// `POST /api/v1/write`.
    RemoteWrite,
    /// `POST /api/v2/alerts`.
    Alerts,
    /// `POST /events`: the hook of the source [`Endpoint::EVENTS`], where senders
    /// of CloudEvents expect one.
    Events,
    /// `POST /hooks/{source}`.
    Hook,
}

/// What a request's headers say about its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Media {
    /// Without parameters, lower case; empty if none was given.
    pub(crate) content_type: String,
    pub(crate) encoding: ContentEncoding,
}

impl Endpoint {
    /// The source of what comes to `/events`, and the name of its hook.
    pub(crate) const EVENTS: &str = "cloudevents";

    /// One word, as counted.
    pub const fn as_str(self) -> &'static str {
        match self {
            Endpoint::OtlpMetrics => "otlp-metrics",
            Endpoint::OtlpLogs => "otlp-logs",
            Endpoint::OtlpTraces => "otlp-traces",
            Endpoint::RemoteWrite => "remote-write",
            Endpoint::Alerts => "alertmanager-alerts",
            Endpoint::Events => "events",
            Endpoint::Hook => "hook",
        }
    }

    /// Its address, as routers have it.
    pub(crate) const fn route(self) -> &'static str {
        match self {
            Endpoint::OtlpMetrics => "/v1/metrics",
            Endpoint::OtlpLogs => "/v1/logs",
            Endpoint::OtlpTraces => "/v1/traces",
            Endpoint::RemoteWrite => "/api/v1/write",
            Endpoint::Alerts => "/api/v2/alerts",
            Endpoint::Events => "/events",
            Endpoint::Hook => "/hooks/{source}",
        }
    }

    /// What is sent there; none for hooks, whose connector knows.
    pub(crate) const fn format(self) -> Option<Format> {
        match self {
            Endpoint::OtlpMetrics => Some(Format::OtlpMetrics),
            Endpoint::OtlpLogs => Some(Format::OtlpLogs),
            Endpoint::OtlpTraces => Some(Format::OtlpTraces),
            Endpoint::RemoteWrite => Some(Format::RemoteWrite),
            Endpoint::Alerts => Some(Format::AlertmanagerAlerts),
            Endpoint::Events | Endpoint::Hook => None,
        }
    }

    /// The source of what is sent there without a name; hooks have their own.
    pub(crate) const fn default_source(self) -> &'static str {
        match self {
            Endpoint::OtlpMetrics | Endpoint::OtlpLogs | Endpoint::OtlpTraces => "otlp",
            Endpoint::RemoteWrite => "remote-write",
            Endpoint::Alerts => "alertmanager-api",
            Endpoint::Events => Self::EVENTS,
            Endpoint::Hook => "hook",
        }
    }

    /// Media types that are understood; anything goes if there are none.
    const fn content_types(self) -> &'static [&'static str] {
        match self {
            Endpoint::OtlpMetrics | Endpoint::OtlpLogs | Endpoint::OtlpTraces => &[
                "application/x-protobuf",
                "application/json",
                "application/protobuf",
            ],
            Endpoint::RemoteWrite => &["application/x-protobuf"],
            Endpoint::Alerts => &["application/json"],
            Endpoint::Events | Endpoint::Hook => &[],
        }
    }

    const fn encodings(self) -> &'static [ContentEncoding] {
        match self {
            Endpoint::RemoteWrite => &[ContentEncoding::Snappy],
            _ => &[ContentEncoding::Identity, ContentEncoding::Gzip],
        }
    }

    /// What the body is, if it is something that is understood here.
    pub(crate) fn media(self, headers: &HeaderMap) -> Result<Media, Refused> {
        let unsupported = |detail| Refused::new(Reason::MediaType, detail);
        let full_type = text(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
        let content_type = content_type(headers);
        let known = self.content_types();
        if !known.is_empty() && !known.contains(&content_type.as_str()) {
            let got = if content_type.is_empty() {
                "there is none".to_owned()
            } else {
                format!(
                    "it is `{}`",
                    content_type.chars().take(80).collect::<String>()
                )
            };
            return Err(unsupported(format!(
                "the content type should be {}, and {got}",
                known[..known.len().min(2)].join(" or ")
            )));
        }
        if self == Endpoint::RemoteWrite && full_type.contains("write.v2") {
            return Err(unsupported(
                "this is remote write 2.0; send 1.0 (`protobuf_message: prometheus.WriteRequest`)"
                    .to_owned(),
            ));
        }
        let stated = text(headers, header::CONTENT_ENCODING.as_str()).unwrap_or_default();
        let encoding = ContentEncoding::of(stated)
            .filter(|encoding| self.encodings().contains(encoding))
            .ok_or_else(|| {
                let names: Vec<_> = self
                    .encodings()
                    .iter()
                    .map(|known| known.as_str())
                    .collect();
                unsupported(format!(
                    "the content encoding should be {}, and it is `{}`",
                    names.join(" or "),
                    stated.chars().take(80).collect::<String>()
                ))
            })?;
        Ok(Media {
            content_type,
            encoding,
        })
    }

    /// Names the encodings that are understood, for `Accept-Encoding` in the
    /// answer to another one (RFC 9110, section 12.5.3).
    pub(crate) const fn accept_encoding(self) -> &'static str {
        match self {
            Endpoint::RemoteWrite => "snappy",
            _ => "gzip, identity",
        }
    }
}

/// The media type that the headers name: without parameters, in lower case, and
/// empty if they name none.
pub(crate) fn content_type(headers: &HeaderMap) -> String {
    let full_type = text(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let essence = full_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
