//! `http`: the only way out.
//!
//! Needs a capability `http` whose rules allow the request, and a call that may
//! reach out: while a connector decodes nothing goes out, so that history can
//! be decoded again. The path that a request takes from there is
//! `faultline_egress`'s; each hop is put on the audit log before it goes out
//! and after.

use std::time::Duration;

use faultline_domain::audit::Stage;
use faultline_domain::fault as domain;
use faultline_domain::grant::Use;
use faultline_domain::plugin::Limit;
use faultline_domain::secret::{Secret, SecretRef};
use faultline_domain::time::Timestamp;
use faultline_egress::{Answer, Outgoing, Pending, Surroundings};
use faultline_own_traces::sending;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bindings::faultline::plugin::http::{Header, Host, Request, Response};
use crate::bindings::faultline::plugin::types::{Fault, Retry};
use crate::guest::GuestState;
use crate::host::recorded::fault;
use crate::instance::Instance;

/// What it is called in the audit log.
const ACTION: &str = "http.send";

impl Host for GuestState {
    fn send(
        &mut self,
        mut requests: Vec<Request>,
    ) -> wasmtime::Result<Vec<Result<Response, Fault>>> {
        self.enter_act_to_wait()?;
        if let Err(why) = self.allows_now() {
            // Said once: a batch is one call.
            let denied = self.denied(ACTION, &why);
            return Ok(requests.iter().map(|_| Err(denied.clone())).collect());
        }
        let Some(egress) = &self.instance.egress else {
            let none = fault("unavailable", "this host has no way out", Retry::Never);
            return Ok(requests.iter().map(|_| Err(none.clone())).collect());
        };
        // More than may go out in any case are not even read.
        let most = self.instance.spec.limits.http_requests;
        let room = usize::try_from(most).unwrap_or(usize::MAX);
        let surplus = requests.len().saturating_sub(room);
        requests.truncate(room);
        // One for all: those that wait for the others do not begin it anew.
        let until = Instant::now() + self.meter.wall_left();
        let (grants, instance) = (&self.instance.spec.grants, &*self.instance);
        let at_once = usize::try_from(self.instance.spec.limits.http_connections);
        let sent = stream::iter(requests.into_iter().map(Outgoing::from)).map(|request| async {
            if instance.is_stopped() || Instant::now() >= until {
                return None;
            }
            let sending = sending(&request.method);
            let sent = egress.send(grants, &self.allowance, instance, until, request);
            let sent = sent.await;
            let outcome = sent.as_ref().map(|answer| answer.status);
            sending.sent(outcome.map_err(|fault| fault.code.as_str()));
            Some(sent)
        });
        let answers: Vec<_> = self
            .instance
            .runtime
            .block_on(sent.buffered(at_once.unwrap_or(1).clamp(1, 64)).collect());
        self.goes_on()?;
        let too_late = domain::Fault {
            retry: domain::Retry::Later,
            ..domain::Fault::never(
                Limit::HttpTime.as_str(),
                "the call was out of time before it was this request's turn",
            )
        };
        let late = answers.iter().filter(|answer| answer.is_none()).count();
        if late > 0 {
            self.note_unsent(late, &too_late);
        }
        let mut answers: Vec<_> = answers
            .into_iter()
            .map(|answer| match answer {
                Some(Ok(answer)) => Ok(Response::from(answer)),
                Some(Err(fault)) => {
                    self.count(&fault);
                    Err(told(fault))
                }
                None => Err(told(too_late.clone())),
            })
            .collect();
        if surplus > 0 {
            let message = format!("{most} requests in one call at most");
            let fault = domain::Fault::never(Limit::HttpRequests.as_str(), message);
            self.note_unsent(surplus, &fault);
            answers.resize_with(answers.len() + surplus, || Err(told(fault.clone())));
        }
        Ok(answers)
    }
}

impl GuestState {
    /// So many requests are not even begun: counted and recorded as one.
    fn note_unsent(&self, requests: usize, fault: &domain::Fault) {
        let detail = json!({"denied": fault.message, "code": fault.code, "requests": requests});
        let stage = Stage::Event;
        if let Some(detail) = self.instance.denial_row(ACTION, detail)
            && let Err(error) = self.instance.audit(ACTION, stage, &detail)
        {
            tracing::error!("a denial cannot be recorded: {error}");
        }
        self.count(fault);
    }

    /// A refusal, as the metrics have it.
    fn count(&self, fault: &domain::Fault) {
        let stats = &self.instance.stats;
        if fault.code == "denied" {
            stats.deny(Use::Http.as_str());
        }
        let mut limits = Limit::OF_HTTP.into_iter();
        if let Some(limit) = limits.find(|limit| limit.as_str() == fault.code) {
            stats.fail(limit.as_str());
        }
    }
}

/// A refusal, as the guest gets it.
fn told(fault: domain::Fault) -> Fault {
    Fault {
        code: fault.code,
        message: fault.message,
        retry: match fault.retry {
            domain::Retry::Never => Retry::Never,
            domain::Retry::Later => Retry::Later,
            domain::Retry::AfterMs(ms) => Retry::AfterMs(ms),
        },
    }
}

impl Surroundings for Instance {
    fn now(&self) -> Timestamp {
        Instance::now(self)
    }

    fn intent(&self, detail: Value) -> Pending<'_, Result<u64, String>> {
        Box::pin(async move {
            let recorded = self.record(ACTION, Stage::Intent, &detail).await;
            recorded.map_err(|error| error.0)
        })
    }

    fn outcome(&self, intent: u64, result: String, detail: Value) -> Pending<'_, ()> {
        Box::pin(async move {
            let stage = Stage::Outcome { intent, result };
            if let Err(error) = self.record(ACTION, stage, &detail).await {
                // It was done, and its intent is on record.
                tracing::error!("the outcome of row {intent} cannot be recorded: {error}");
            }
        })
    }

    fn denied(&self, detail: Value) -> Pending<'_, ()> {
        Box::pin(async move {
            let Some(detail) = self.denial_row(ACTION, detail) else {
                return;
            };
            if let Err(error) = self.record(ACTION, Stage::Event, &detail).await {
                tracing::error!("a denial cannot be recorded: {error}");
            }
        })
    }

    fn secret<'a>(&'a self, reference: &'a SecretRef) -> Pending<'a, Result<Secret, String>> {
        Box::pin(async move {
            let fetched = self.services.secret(reference.clone()).await;
            fetched.map_err(|error| error.0)
        })
    }

    fn cut_off(&self) -> Pending<'_, &'static str> {
        Box::pin(self.until_cut_off())
    }
}

impl From<Request> for Outgoing {
    fn from(request: Request) -> Self {
        Self {
            method: request.method,
            url: request.url,
            headers: request
                .headers
                .into_iter()
                .map(|header| (header.name, header.value))
                .collect(),
            body: request.body,
            secret: request.secret,
            timeout: request
                .timeout_ms
                .map(|ms| Duration::from_millis(u64::from(ms))),
        }
    }
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Self {
        let header = |(name, value)| Header { name, value };
        Self {
            status: answer.status,
            headers: answer.headers.into_iter().map(header).collect(),
            body: answer.body,
            truncated: answer.truncated,
        }
    }
}
