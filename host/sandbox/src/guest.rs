//! A guest: an instantiated component, alive until it fails or is dropped.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use faultline_domain::fault::Fault;
use faultline_domain::plugin::{CallError, Failure, Limit};
use faultline_egress::Allowance;
use faultline_own_traces as own_traces;
use thiserror::Error;
use wasmtime::component::InstancePre;
use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};

use crate::convert::line;
use crate::instance::Instance;
use crate::limiter::{Hit, Limiter};
use crate::meter::Meter;
use crate::stats::Ended;
use crate::wasi::{NullWasi, Shows};

/// What host functions find in the store.
pub(crate) struct GuestState {
    pub(crate) instance: Arc<Instance>,
    pub(crate) limiter: Limiter,
    pub(crate) meter: Meter,
    pub(crate) host_calls_left: u64,
    /// How many of these may still be put on the audit log.
    acts_left: u64,
    /// What this call may still send and receive.
    pub(crate) allowance: Allowance,
    /// What the guest is doing, which decides what it may do meanwhile.
    pub(crate) call: Call,
    /// What a component that imports WASI gets in its place.
    pub(crate) wasi: NullWasi,
}

/// The exported functions, as far as the host tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Start,
    ConfigCheck,
    Decode,
    Poll,
    Introduce,
    Samples,
    Logs,
    Tick,
    Save,
    Load,
    Correlate,
}

impl Call {
    /// The name of the function.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Call::Start => "start",
            Call::ConfigCheck => "config-check",
            Call::Decode => "decode",
            Call::Poll => "poll",
            Call::Introduce => "introduce",
            Call::Samples => "samples",
            Call::Logs => "logs",
            Call::Tick => "tick",
            Call::Save => "save",
            Call::Load => "load",
            Call::Correlate => "correlate",
        }
    }
}

impl GuestState {
    fn new(instance: Arc<Instance>) -> Self {
        let limits = &instance.spec.limits;
        Self {
            limiter: Limiter::new(limits),
            meter: Meter::new(limits.cpu_per_call, limits.wall_per_call),
            host_calls_left: limits.host_calls,
            acts_left: ACTS_MAX,
            allowance: Allowance::new(limits, Arc::clone(&instance.quota)),
            call: Call::Start,
            wasi: NullWasi::new(instance.digest),
            instance,
        }
    }

    /// Whether the guest may go on with what it was doing.
    ///
    /// # Errors
    /// A trap, if the host has stopped it.
    pub(crate) fn goes_on(&self) -> wasmtime::Result<()> {
        if self.instance.is_stopped() {
            return Err(wasmtime::Error::new(Stop));
        }
        Ok(())
    }

    /// Every host function begins with this, or with [`GuestState::enter_act`].
    ///
    /// # Errors
    /// A trap, if the guest has called too many in this call.
    pub(crate) fn enter_host(&mut self) -> wasmtime::Result<()> {
        self.goes_on()?;
        self.instance.stats.host_call();
        if let Some(left) = self.host_calls_left.checked_sub(1) {
            self.host_calls_left = left;
            return Ok(());
        }
        let most = self.instance.spec.limits.host_calls;
        let message = format!("called the host more than {most} times in one call");
        Err(wasmtime::Error::new(Hit::new(Limit::HostCalls, message)))
    }

    /// As [`GuestState::enter_host`], for functions whose use is put on the audit
    /// log.
    ///
    /// # Errors
    /// A trap, if the guest has called too many in this call.
    pub(crate) fn enter_act(&mut self) -> wasmtime::Result<()> {
        self.enter_host()?;
        if let Some(left) = self.acts_left.checked_sub(1) {
            self.acts_left = left;
            return Ok(());
        }
        let message =
            format!("did more than {ACTS_MAX} things in one call that are put on the audit log");
        Err(wasmtime::Error::new(Hit::new(
            Limit::RecordedCalls,
            message,
        )))
    }

    /// As [`GuestState::enter_act`], for functions that wait for the rest of the
    /// host: what is done there is not the guest's time.
    ///
    /// # Errors
    /// A trap, if the guest has called too many in this call.
    pub(crate) fn enter_act_to_wait(&mut self) -> wasmtime::Result<()> {
        self.enter_act()?;
        self.meter.pause();
        Ok(())
    }
}

/// The most calls of host functions in one call that are put on the audit log,
/// each with two rows: fewer than calls of others, as each row is a commit. What
/// there is to keep or to ask goes in batches.
const ACTS_MAX: u64 = 1_000;

/// The host stops the guest in the middle of a call.
#[derive(Debug, Error)]
#[error("stopped by the host")]
struct Stop;

/// A guest with its exports.
pub(crate) struct Guest<E> {
    store: Store<GuestState>,
    exports: E,
}

impl<E> Guest<E> {
    /// Starts a guest. `load` looks up its exports.
    ///
    /// # Errors
    /// If it fails while it starts.
    pub(crate) fn start(
        pre: &InstancePre<GuestState>,
        instance: &Arc<Instance>,
        load: impl FnOnce(&mut Store<GuestState>, &wasmtime::component::Instance) -> wasmtime::Result<E>,
    ) -> Result<Self, Failure> {
        if instance.is_stopped() {
            return Err(Failure::Stopped);
        }
        let mut store = Store::new(pre.engine(), GuestState::new(Arc::clone(instance)));
        store.limiter(|state| &mut state.limiter);
        store.call_hook(|mut context, hook| {
            context.data_mut().meter.hook(hook);
            Ok(())
        });
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| {
            let state = context.data();
            state.goes_on()?;
            match state.meter.check() {
                Ok(()) => Ok(UpdateDeadline::Continue(1)),
                Err(hit) => Err(wasmtime::Error::new(hit)),
            }
        });
        let output = usize::try_from(instance.spec.limits.output_bytes).unwrap_or(usize::MAX);
        store.set_hostcall_fuel(output);
        store.set_max_component_handles(HANDLES_MAX);
        let starting = own_traces::call(instance.callee(Call::Start));
        let started = pre
            .instantiate(&mut store)
            .map_err(|error| start_failure_of(&error, store.data()))
            .and_then(|started| load(&mut store, &started).map_err(|error| misshapen(&error)));
        starting.returned(started.as_ref().err().map_or("ok", Failure::code));
        match started {
            Ok(exports) => Ok(Self { store, exports }),
            Err(failure) => {
                instance.note_failure(Call::Start.as_str(), &failure);
                Err(failure)
            }
        }
    }

    /// What the clock shows during the call that follows.
    pub(crate) fn show(&mut self, shows: Shows) {
        self.store.data_mut().wasi.begin(shows);
    }

    /// The bytes of memory that it has taken.
    pub(crate) fn memory(&self) -> usize {
        self.store.data().limiter.memory_peak()
    }

    /// Calls an export. After a failure the guest must not be used again: a
    /// trap leaves it in the middle of whatever it was doing.
    ///
    /// # Errors
    /// How it failed.
    pub(crate) fn call<T>(
        &mut self,
        call: Call,
        export: impl FnOnce(&E, &mut Store<GuestState>) -> wasmtime::Result<T>,
    ) -> Result<T, Failure> {
        let state = self.store.data_mut();
        if state.instance.is_stopped() {
            return Err(Failure::Stopped);
        }
        state.call = call;
        state.host_calls_left = state.instance.spec.limits.host_calls;
        state.acts_left = ACTS_MAX;
        let quota = Arc::clone(&state.instance.quota);
        state.allowance = Allowance::new(&state.instance.spec.limits, quota);
        state.limiter.begin();
        let calling = own_traces::call(state.instance.callee(call));
        let within_call = calling.enter();
        state.meter.begin();
        let answer = export(&self.exports, &mut self.store);
        drop(within_call);
        let state = self.store.data();
        let answer = answer.map_err(|error| failure_of(&error, state));
        let outcome = answer.as_ref().err().map_or("ok", Failure::code);
        calling.returned(outcome);
        state.instance.stats.call(Ended {
            function: call.as_str(),
            outcome,
            cpu: state.meter.cpu(),
            wall: state.meter.wall(),
            memory_peak: state.limiter.memory_peak(),
        });
        answer.inspect_err(|failure| state.instance.note_failure(call.as_str(), failure))
    }

    /// The answer broke the contract or a limit: the guest has failed.
    pub(crate) fn fail(&self, call: Call, failure: Failure) -> Failure {
        let instance = &self.store.data().instance;
        own_traces::refused(instance.callee(call), failure.code());
        instance.note_failure(call.as_str(), &failure);
        failure
    }

    /// Checks how many items an answer has.
    ///
    /// # Errors
    /// If there are too many: the guest has failed.
    pub(crate) fn check_items(&self, call: Call, items: usize) -> Result<(), Failure> {
        let most = self.store.data().instance.spec.limits.items;
        if items as u64 <= most {
            return Ok(());
        }
        let failure = Failure::Limit {
            limit: Limit::Items,
            message: format!("answered with {items} items; {most} at most"),
        };
        Err(self.fail(call, failure))
    }
}

/// An answer or a fault of the guest, as the host knows faults.
pub(crate) fn fault_or<T>(
    answer: Result<T, crate::bindings::faultline::plugin::types::Fault>,
) -> Result<T, CallError> {
    answer.map_err(|fault| CallError::Fault(Fault::from(fault)))
}

/// An export has another type than the contract's.
fn misshapen(error: &wasmtime::Error) -> Failure {
    Failure::Contract(format!(
        "does not fit faultline:plugin@0.1.0: {}",
        described(error)
    ))
}

/// What an error means that came about while a guest was started. What ran has
/// a trace of where it was; what nothing ran for is the host's want of room.
fn start_failure_of(error: &wasmtime::Error, state: &GuestState) -> Failure {
    match failure_of(error, state) {
        Failure::Trap(what)
            if error.downcast_ref::<Trap>().is_none()
                && error.downcast_ref::<WasmBacktrace>().is_none() =>
        {
            Failure::Start(what)
        }
        failure => failure,
    }
}

/// What an error of the engine means.
fn failure_of(error: &wasmtime::Error, state: &GuestState) -> Failure {
    if error.downcast_ref::<Stop>().is_some() {
        return Failure::Stopped;
    }
    if let Some(hit) = error.downcast_ref::<Hit>() {
        return limit(hit);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => {
            let most = crate::engine::STACK_BYTES;
            return Failure::Limit {
                limit: Limit::Stack,
                message: format!("called too deep; {most} bytes of stack at most"),
            };
        }
        Some(Trap::Interrupt) => {
            if state.instance.is_stopped() {
                return Failure::Stopped;
            }
            if let Err(hit) = state.meter.check() {
                return limit(&hit);
            }
        }
        _ => {}
    }
    // A guest that is refused memory gives up in a way of its own.
    if let Some(hit) = state.limiter.hit() {
        return limit(hit);
    }
    // Only of the cause: all else may hold names that the guest's author gave.
    let cause = error.root_cause().to_string();
    if cause.contains(OUTPUT_EXHAUSTED) {
        let most = state.instance.spec.limits.output_bytes;
        return Failure::Limit {
            limit: Limit::Output,
            message: format!("gave the host more than {most} bytes at once"),
        };
    }
    if cause.contains(HANDLES_EXHAUSTED) {
        return Failure::Limit {
            limit: Limit::Table,
            message: format!("holds more than {HANDLES_MAX} handles"),
        };
    }
    Failure::Trap(described(error))
}

/// The most handles of resources that a guest may hold, of its own and of
/// others: each costs the host memory that the guest's own limit does not see.
const HANDLES_MAX: usize = 10_000;

/// How wasmtime says that there are too many handles; the error has no public
/// type.
const HANDLES_EXHAUSTED: &str = "store handle limit exceeded";

/// How wasmtime says that the bytes that may cross are used up; the error has
/// no public type.
const OUTPUT_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";

/// An error in words: its cause first, since what comes last is cut off; then
/// where it came about, the call that was under way last in front.
fn described(error: &wasmtime::Error) -> String {
    let mut chain: Vec<_> = error.chain().collect();
    chain.reverse();
    let mut text = Brief::default();
    for (index, part) in chain.into_iter().enumerate() {
        let gap = if index == 0 { "" } else { "; " };
        // Fails once it is full: the rest is what is cut off.
        if write!(text, "{gap}{part}").is_err() {
            break;
        }
    }
    // Functions have the names that their author gave them, line breaks
    // included.
    line(text.text)
}

/// The most bytes of an error's description.
const DESCRIPTION_BYTES_MAX: usize = 1_000;

/// A text that takes no more than there is room for: functions can have names
/// of megabytes, each of which stands in a backtrace as often as it is called.
#[derive(Default)]
struct Brief {
    text: String,
}

impl fmt::Write for Brief {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = DESCRIPTION_BYTES_MAX.saturating_sub(self.text.len());
        if more.len() <= room {
            self.text.push_str(more);
            return Ok(());
        }
        self.text.push_str(&more[..more.floor_char_boundary(room)]);
        Err(fmt::Error)
    }
}

fn limit(hit: &Hit) -> Failure {
    Failure::Limit {
        limit: hit.limit,
        message: hit.message.clone(),
    }
}
