//! The fake host: what `log`, `config`, `kv`, `http`, `secrets` and `exec`
//! answer in a native build.
//!
//! A [`FakeHost`] grants what a test gives it and denies everything else, as
//! the real host does. It is bound to the thread while [`FakeHost::run`] runs;
//! a plugin that is called without one logs into the void, has the
//! configuration `{}` and is denied the rest.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::exec::Output;
use crate::http::{Request, Response};
use crate::kv::{Change, Entry};
use crate::log::Level;
use crate::testkit::store::{self, Store};
use crate::{Attribute, Fault};

thread_local! {
    static CURRENT: RefCell<Option<FakeHost>> = const { RefCell::new(None) };
}

/// What the facades call in a native build.
pub(crate) fn current<R>(answer: impl FnOnce(&FakeHost) -> R) -> R {
    let host = CURRENT.with_borrow(Clone::clone).unwrap_or_default();
    answer(&host)
}

/// A host for one plugin in one test. Clones are the same host.
#[derive(Clone, Default)]
pub struct FakeHost(Rc<RefCell<State>>);

type HttpHandler = Box<dyn FnMut(&Request) -> Result<Response, Fault>>;
type ExecHandler = Box<dyn FnMut(&str, &[Attribute]) -> Result<Output, Fault>>;

#[derive(Default)]
struct State {
    config: Option<String>,
    lines: Vec<(Level, String)>,
    kv: Option<Store>,
    secrets: BTreeMap<String, Vec<u8>>,
    revealed: BTreeMap<String, Vec<u8>>,
    http_scripted: BTreeMap<String, VecDeque<Result<Response, Fault>>>,
    http_handler: Option<HttpHandler>,
    requests: Vec<Request>,
    exec_handler: Option<ExecHandler>,
    commands: Vec<(String, Vec<Attribute>)>,
}

impl FakeHost {
    /// Grants nothing but `log` and `config`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers `config` with this object.
    #[must_use]
    pub fn with_config(self, config: &serde_json::Value) -> Self {
        self.0.borrow_mut().config = Some(config.to_string());
        self
    }

    /// Grants `kv` with room for this many bytes: those of keys and values, and
    /// 128 for each entry.
    #[must_use]
    pub fn with_kv(self, bytes_max: usize) -> Self {
        self.0.borrow_mut().kv = Some(Store::new(bytes_max));
        self
    }

    /// Grants the use of this secret, and no sight of it: it goes with requests,
    /// or is computed with, as the manifest has it.
    #[must_use]
    pub fn with_secret(self, id: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.0.borrow_mut().secrets.insert(id.into(), value.into());
        self
    }

    /// Grants sight of this secret, and no other use of it: a capability
    /// `secret-reveal`.
    #[must_use]
    pub fn with_revealed_secret(self, id: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.0.borrow_mut().revealed.insert(id.into(), value.into());
        self
    }

    /// Answers a request for this method and URL once; several answers for the
    /// same request are given in order. What has no answer is denied.
    #[must_use]
    pub fn with_answer(self, method: &str, url: &str, answer: Result<Response, Fault>) -> Self {
        self.0
            .borrow_mut()
            .http_scripted
            .entry(format!("{method} {url}"))
            .or_default()
            .push_back(answer);
        self
    }

    /// Answers requests that have no answer of their own.
    #[must_use]
    pub fn with_http(
        self,
        handler: impl FnMut(&Request) -> Result<Response, Fault> + 'static,
    ) -> Self {
        self.0.borrow_mut().http_handler = Some(Box::new(handler));
        self
    }

    /// Runs commands.
    #[must_use]
    pub fn with_exec(
        self,
        handler: impl FnMut(&str, &[Attribute]) -> Result<Output, Fault> + 'static,
    ) -> Self {
        self.0.borrow_mut().exec_handler = Some(Box::new(handler));
        self
    }

    /// Calls a plugin with this as its host.
    pub fn run<R>(&self, call: impl FnOnce() -> R) -> R {
        let _bound = Bound(CURRENT.replace(Some(self.clone())));
        call()
    }

    /// The lines that were logged so far.
    pub fn lines(&self) -> Vec<(Level, String)> {
        self.0.borrow().lines.clone()
    }

    /// The requests that were made so far, denied ones included.
    pub fn requests(&self) -> Vec<Request> {
        self.0.borrow().requests.clone()
    }

    /// The commands that were run so far, denied ones included.
    pub fn commands(&self) -> Vec<(String, Vec<Attribute>)> {
        self.0.borrow().commands.clone()
    }

    pub(crate) fn log(&self, level: Level, message: &str) {
        self.0.borrow_mut().lines.push((level, message.to_owned()));
    }

    pub(crate) fn config(&self) -> String {
        let config = self.0.borrow().config.clone();
        config.unwrap_or_else(|| "{}".to_owned())
    }

    pub(crate) fn kv_get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Fault> {
        store::check_keys(keys)?;
        self.with_store(|store| Ok(store.get(keys)))
    }

    pub(crate) fn kv_scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Entry>, Fault> {
        store::check_scan(prefix, after)?;
        self.with_store(|store| Ok(store.scan(prefix, after, limit)))
    }

    pub(crate) fn kv_commit(&self, changes: &[Change]) -> Result<u64, Fault> {
        store::check_changes(changes)?;
        self.with_store(|store| store.commit(changes))
    }

    fn with_store<R>(&self, act: impl FnOnce(&mut Store) -> Result<R, Fault>) -> Result<R, Fault> {
        match &mut self.0.borrow_mut().kv {
            Some(store) => act(store),
            None => Err(denied("kv")),
        }
    }

    pub(crate) fn http_send(&self, requests: &[Request]) -> Vec<Result<Response, Fault>> {
        requests
            .iter()
            .map(|request| self.http_answer(request))
            .collect()
    }

    fn http_answer(&self, request: &Request) -> Result<Response, Fault> {
        let name = format!("{} {}", request.method, request.url);
        let mut state = self.0.borrow_mut();
        state.requests.push(request.clone());
        if let Some(secret) = &request.secret
            && !state.secrets.contains_key(secret)
        {
            return Err(denied(&format!("the secret `{secret}`")));
        }
        if let Some(answer) = state
            .http_scripted
            .get_mut(&name)
            .and_then(VecDeque::pop_front)
        {
            return answer;
        }
        // The handler may use the host itself, for example to log.
        let Some(mut handler) = state.http_handler.take() else {
            return Err(denied(&name));
        };
        drop(state);
        let answer = handler(request);
        self.0.borrow_mut().http_handler = Some(handler);
        answer
    }

    pub(crate) fn secret_hmac_sha256(&self, secret: &str, data: &[u8]) -> Result<Vec<u8>, Fault> {
        self.with_secret_value(secret, |key| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key)
                .map_err(|error| Fault::new("internal", error.to_string()))?;
            mac.update(data);
            Ok(mac.finalize().into_bytes().to_vec())
        })
    }

    pub(crate) fn secret_equals(&self, secret: &str, candidate: &[u8]) -> Result<bool, Fault> {
        self.with_secret_value(secret, |value| Ok(value == candidate))
    }

    pub(crate) fn secret_reveal(&self, secret: &str) -> Result<Vec<u8>, Fault> {
        match self.0.borrow().revealed.get(secret) {
            Some(value) => Ok(value.clone()),
            None => Err(denied(&format!("sight of the secret `{secret}`"))),
        }
    }

    fn with_secret_value<R>(
        &self,
        secret: &str,
        act: impl FnOnce(&[u8]) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        match self.0.borrow().secrets.get(secret) {
            Some(value) => act(value),
            None => Err(denied(&format!("the secret `{secret}`"))),
        }
    }

    pub(crate) fn exec_run(
        &self,
        command: &str,
        parameters: &[Attribute],
    ) -> Result<Output, Fault> {
        let mut state = self.0.borrow_mut();
        state
            .commands
            .push((command.to_owned(), parameters.to_vec()));
        let Some(mut handler) = state.exec_handler.take() else {
            return Err(denied(&format!("the command `{command}`")));
        };
        drop(state);
        let answer = handler(command, parameters);
        self.0.borrow_mut().exec_handler = Some(handler);
        answer
    }
}

impl fmt::Debug for FakeHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeHost")
            .field("config", &self.config())
            .field("lines", &self.lines())
            .finish_non_exhaustive()
    }
}

/// Gives the thread back to the host before, also when the plugin panics.
struct Bound(Option<FakeHost>);

impl Drop for Bound {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

fn denied(what: &str) -> Fault {
    Fault::new("denied", format!("{what} is not granted in this test"))
}
