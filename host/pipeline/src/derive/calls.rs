//! From spans to calls: which service answered, which called which, and how
//! it went.
//!
//! A call from one service to another shows twice: as a client span of the
//! one, and as a server span of the other whose parent the first is. Each may
//! come first, in envelopes of different senders. So spans are remembered for a
//! while, and what is waited for as well.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use faultline_domain::entity::Entity;
use faultline_domain::signal::Dependency;
use faultline_domain::telemetry::{Span, SpanKind, SpanOutcome};
use faultline_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::derive::windows::CallSubject;

/// The most spans that are remembered, and the most that are waited for.
const SPANS_MAX: usize = 20_000;

/// How dependents and providers of calls relate.
pub(crate) const CALLS: &str = "calls";

/// A call, to be counted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) subject: CallSubject,
    pub(crate) end: Timestamp,
    pub(crate) duration: Duration,
    pub(crate) outcome: SpanOutcome,
}

/// What a batch of spans amounts to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Calls {
    pub(crate) calls: Vec<Call>,
    pub(crate) dependencies: Vec<Dependency>,
}

type SpanKey = ([u8; 16], [u8; 8]);

/// Spans by id, oldest forgotten first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SpanMemory {
    spans: Bounded<Remembered>,
    /// By the id of the parent that has not come yet: whose span waits for it,
    /// and when that ended.
    waiting: Bounded<(Entity, Timestamp)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Remembered {
    service: Entity,
    /// A client span that named no peer: it is counted once its server shows.
    uncounted: Option<(Timestamp, Duration, bool)>,
}

impl SpanMemory {
    /// Takes spans in, in order.
    pub(crate) fn take_in(&mut self, spans: &[Span]) -> Calls {
        let mut calls = Calls::default();
        for span in spans {
            if let Some(service) = &span.service {
                self.take_in_one(span, service, &mut calls);
            }
        }
        calls
    }

    fn take_in_one(&mut self, span: &Span, service: &Entity, calls: &mut Calls) {
        let duration = span.end.since(span.start);
        if matches!(span.kind, SpanKind::Server | SpanKind::Consumer) {
            calls.calls.push(Call {
                subject: CallSubject::Service(service.clone()),
                end: span.end,
                duration,
                outcome: span.outcome,
            });
            if let Some(parent) = span.parent {
                self.look_for_caller((span.trace, parent), service, span.end, calls);
            }
        }
        let is_outward = matches!(span.kind, SpanKind::Client | SpanKind::Producer);
        let mut uncounted = None;
        if is_outward {
            match &span.peer {
                Some(peer) if peer != service => {
                    edge(service, peer, span.end, calls);
                    calls.calls.push(Call {
                        subject: CallSubject::Edge(service.clone(), peer.clone()),
                        end: span.end,
                        duration,
                        outcome: span.outcome,
                    });
                }
                Some(_) => {}
                None => {
                    let failed = span.outcome == SpanOutcome::Error;
                    uncounted = Some((span.end, duration, failed));
                }
            }
        }
        let key = (span.trace, span.id);
        let remembered = Remembered {
            service: service.clone(),
            uncounted,
        };
        self.spans.insert(key, remembered);
        if let Some((waiting, end)) = self.waiting.take(&key) {
            self.look_for_caller(key, &waiting, end, calls);
        }
    }

    /// A server span of `service` says that the span of this key caused it.
    fn look_for_caller(
        &mut self,
        caller: SpanKey,
        service: &Entity,
        end: Timestamp,
        calls: &mut Calls,
    ) {
        let Some(found) = self.spans.get_mut(&caller) else {
            self.waiting.insert(caller, (service.clone(), end));
            return;
        };
        if found.service == *service {
            return;
        }
        edge(&found.service, service, end, calls);
        if let Some((end, duration, failed)) = found.uncounted.take() {
            calls.calls.push(Call {
                subject: CallSubject::Edge(found.service.clone(), service.clone()),
                end,
                duration,
                outcome: if failed {
                    SpanOutcome::Error
                } else {
                    SpanOutcome::Ok
                },
            });
        }
    }
}

fn edge(dependent: &Entity, provider: &Entity, seen: Timestamp, calls: &mut Calls) {
    calls.dependencies.push(Dependency {
        dependent: dependent.clone(),
        provider: provider.clone(),
        relation: CALLS.to_owned(),
        seen,
    });
}

/// A map that forgets its oldest entry when it is full.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Bounded<T> {
    entries: HashMap<SpanKey, T>,
    /// Keys by age; some may be gone from the map already.
    ages: VecDeque<SpanKey>,
}

impl<T> Default for Bounded<T> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            ages: VecDeque::new(),
        }
    }
}

impl<T> Bounded<T> {
    fn insert(&mut self, key: SpanKey, entry: T) {
        if self.entries.insert(key, entry).is_none() {
            self.ages.push_back(key);
        }
        while self.ages.len() > SPANS_MAX {
            if let Some(oldest) = self.ages.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }

    fn get_mut(&mut self, key: &SpanKey) -> Option<&mut T> {
        self.entries.get_mut(key)
    }

    fn take(&mut self, key: &SpanKey) -> Option<T> {
        self.entries.remove(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u8, parent: Option<u8>, service: &str, kind: SpanKind) -> Span {
        Span {
            trace: [1; 16],
            id: [id; 8],
            parent: parent.map(|parent| [parent; 8]),
            service: Entity::new("service", service).ok(),
            kind,
            operation: "GET /".to_owned(),
            peer: None,
            start: Timestamp::from_secs(100),
            end: Timestamp::from_secs(101),
            outcome: SpanOutcome::Ok,
        }
    }

    fn show(calls: &Calls) -> Vec<String> {
        let counted = calls.calls.iter().map(|call| match &call.subject {
            CallSubject::Service(service) => service.name().to_owned(),
            CallSubject::Edge(a, b) => format!("{}>{}", a.name(), b.name()),
        });
        let edges = calls
            .dependencies
            .iter()
            .map(|d| format!("{}->{}", d.dependent.name(), d.provider.name()));
        counted.chain(edges).collect()
    }

    #[test]
    fn a_call_is_found_whichever_side_comes_first() {
        let client = span(1, None, "web", SpanKind::Client);
        let server = span(2, Some(1), "cart", SpanKind::Server);
        let mut memory = SpanMemory::default();
        let both = memory.take_in(&[client.clone(), server.clone()]);
        assert_eq!(show(&both), ["cart", "web>cart", "web->cart"]);

        let mut memory = SpanMemory::default();
        assert_eq!(show(&memory.take_in(&[server])), ["cart"]);
        assert_eq!(show(&memory.take_in(&[client])), ["web>cart", "web->cart"]);
    }

    #[test]
    fn a_named_peer_is_counted_once() {
        let mut client = span(1, None, "web", SpanKind::Client);
        client.peer = Entity::new("service", "cart").ok();
        let server = span(2, Some(1), "cart", SpanKind::Server);
        let calls = SpanMemory::default().take_in(&[client, server]);
        assert_eq!(show(&calls), ["web>cart", "cart", "web->cart", "web->cart"]);
    }

    #[test]
    fn spans_within_a_service_are_no_calls() {
        let outer = span(1, None, "web", SpanKind::Server);
        let inner = span(2, Some(1), "web", SpanKind::Internal);
        let nested = span(3, Some(2), "web", SpanKind::Server);
        let calls = SpanMemory::default().take_in(&[outer, inner, nested]);
        assert_eq!(show(&calls), ["web", "web"]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut bounded = Bounded::default();
        for i in 0..(SPANS_MAX as u64 + 10) {
            bounded.insert(([0; 16], i.to_be_bytes()), ());
        }
        assert_eq!(bounded.entries.len(), SPANS_MAX);
        assert!(bounded.get_mut(&([0; 16], 5_u64.to_be_bytes())).is_none());
    }
}
