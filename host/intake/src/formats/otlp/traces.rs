//! OTLP traces: `ExportTraceServiceRequest`, reduced to what rates, errors,
//! durations and edges need.

use std::borrow::Cow;

use faultline_domain::decode::{Decoded, Note};
use faultline_domain::fault::Fault;
use faultline_domain::telemetry::{Span, SpanKind, SpanOutcome};
use faultline_domain::time::Timestamp;

use super::peer::PeerHints;
use super::place::Place;
use super::resource::Resource;
use super::value::Attribute;
use crate::formats::limits::{Limits, clip};
use crate::formats::refusal::Refusal;
use crate::formats::wire::{Fields, Unreadable, Within, repeated};

/// `STATUS_CODE_ERROR`.
const STATUS_ERROR: u64 = 2;

/// Reads `ExportTraceServiceRequest` in protobuf.
pub(super) fn decode(body: &[u8], limits: Limits) -> Result<Decoded, Unreadable> {
    let mut reader = Reader {
        limits,
        decoded: Decoded::default(),
    };
    for (index, resource_spans) in repeated(body, 1).enumerate() {
        resource_spans
            .and_then(|resource_spans| reader.resource_spans(index, resource_spans))
            .within("resourceSpans", index)?;
    }
    Ok(reader.decoded)
}

struct Reader {
    limits: Limits,
    decoded: Decoded,
}

impl Reader {
    fn resource_spans(&mut self, resource: usize, bytes: &[u8]) -> Result<(), Unreadable> {
        let from = Resource::of(bytes, self.limits)?;
        for (scope, scope_spans) in repeated(bytes, 2).enumerate() {
            let scope_spans = scope_spans.within("scopeSpans", scope)?;
            for (item, span) in repeated(scope_spans, 2).enumerate() {
                let place = Place {
                    kind: "Spans",
                    items: "spans",
                    resource,
                    scope,
                    item,
                };
                span.and_then(|span| self.span(place, &from, span))
                    .within("spans", item)
                    .within("scopeSpans", scope)?;
            }
        }
        Ok(())
    }

    fn span(&mut self, place: Place, from: &Resource, bytes: &[u8]) -> Result<(), Unreadable> {
        match self.read_span(from, bytes) {
            Ok(span) => {
                let max = self.limits.spans_per_payload_max;
                if self.decoded.spans.len() >= max {
                    return Err(Unreadable::over(
                        "limit.spans-per-payload",
                        format!("a payload may have {max} spans; send smaller batches"),
                    ));
                }
                self.decoded.spans.push(span);
                Ok(())
            }
            Err(Refusal::Item(reason)) => {
                let message = format!("{place}: {reason}");
                self.decoded.reject(Fault::malformed(message));
                Ok(())
            }
            Err(Refusal::Payload(unreadable)) => Err(unreadable),
        }
    }

    fn read_span(&mut self, from: &Resource, bytes: &[u8]) -> Result<Span, Refusal> {
        let (mut trace, mut id, mut parent): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
        let (mut name, mut kind, mut error) = (Cow::Borrowed(""), SpanKind::Internal, false);
        let (mut start, mut end) = (0, 0);
        let mut peer = PeerHints::default();
        for field in Fields::of(bytes) {
            let field = field?;
            match field.number {
                1 => trace = field.bytes()?,
                2 => id = field.bytes()?,
                4 => parent = field.bytes()?,
                5 => name = field.text()?,
                6 => kind = span_kind(field.varint()?),
                7 => start = field.fixed64()?,
                8 => end = field.fixed64()?,
                9 => peer.note(Attribute::read(field.bytes()?)?),
                15 => error = is_error(field.bytes()?)?,
                _ => {}
            }
        }
        if start == 0 || end == 0 {
            return Err(Refusal::Item("a span without a start or an end".to_owned()));
        }
        if end < start {
            return Err(Refusal::Item(
                "a span that ends before it starts".to_owned(),
            ));
        }
        let operation = clip(&name, self.limits.operation_bytes_max);
        if operation.len() < name.len() {
            self.decoded.notes.add(Note::Clipped, 1);
        }
        Ok(Span {
            trace: identifier(trace, "traceId")?,
            id: identifier(id, "spanId")?,
            parent: match parent {
                [] => None,
                zeros if zeros.iter().all(|byte| *byte == 0) => None,
                parent => Some(identifier(parent, "parentSpanId")?),
            },
            service: from.service.clone(),
            kind,
            operation: operation.to_owned(),
            peer: peer.entity(kind),
            start: Timestamp::from_nanos(start),
            end: Timestamp::from_nanos(end),
            outcome: if error {
                SpanOutcome::Error
            } else {
                SpanOutcome::Ok
            },
        })
    }
}

/// `Span.SpanKind`; what is unspecified or unknown counts as internal, as the
/// specification says.
fn span_kind(number: u64) -> SpanKind {
    match number {
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

fn is_error(status: &[u8]) -> Result<bool, Unreadable> {
    let mut code = 0;
    for field in Fields::of(status) {
        let field = field?;
        if field.number == 3 {
            code = field.varint()?;
        }
    }
    Ok(code == STATUS_ERROR)
}

/// W3C Trace Context: all zeros is no id.
fn identifier<const N: usize>(bytes: &[u8], field: &str) -> Result<[u8; N], Refusal> {
    match <[u8; N]>::try_from(bytes) {
        Ok(id) if id != [0; N] => Ok(id),
        Ok(_) => Err(Refusal::Item(format!("{field} is all zeros"))),
        Err(_) => Err(Refusal::Item(format!(
            "{field} has {} bytes and not {N}",
            bytes.len()
        ))),
    }
}
