//! What each function of WASI answers.

use serde_json::json;
use wasmtime::StoreContextMut;
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{ResourceDynamic, Type, Val};

use super::Param;
use super::state::{Handle, Open, Output};
use crate::bindings::faultline::plugin::log::Level;
use crate::convert::clip;
use crate::guest::GuestState;
use crate::host::log_line;

/// How many bytes an output says that it can take at once.
const WRITE_BYTES: u64 = 4_096;

/// The most random bytes at once.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// The most bytes of a function's name that are shown: it is the component that
/// says what its imports are called.
const NAME_BYTES_MAX: usize = 200;

/// The words for "no" in WASI's lists of errors, the most fitting first.
const REFUSALS: [&str; 5] = [
    "access-denied",
    "access",
    "not-permitted",
    "not-supported",
    "unsupported",
];

/// A call of a function of WASI.
pub(super) struct Call<'a> {
    /// Without its version.
    pub(super) interface: &'a str,
    pub(super) function: &'a str,
    pub(super) params: &'a [Param],
    pub(super) ty: &'a ComponentFunc,
}

type Context<'a> = StoreContextMut<'a, GuestState>;

/// Answers a call; with nothing if the function gives nothing.
pub(super) fn answer(context: &mut Context<'_>, call: &Call<'_>) -> wasmtime::Result<Option<Val>> {
    Ok(Some(match (call.interface, call.function) {
        ("wasi:cli/environment", "get-environment" | "get-arguments")
        | ("wasi:filesystem/preopens", "get-directories") => Val::List(Vec::new()),
        ("wasi:cli/environment", "initial-cwd" | "get-initial-cwd")
        | ("wasi:filesystem/types", "filesystem-error-code")
        | ("wasi:cli/terminal-stdin", "get-terminal-stdin")
        | ("wasi:cli/terminal-stdout", "get-terminal-stdout")
        | ("wasi:cli/terminal-stderr", "get-terminal-stderr") => Val::Option(None),
        ("wasi:cli/exit", _) => {
            wasmtime::bail!("left by `{}` instead of answering", call.function)
        }
        ("wasi:cli/stdin", "get-stdin") => handle(context, Handle::InputStream, Open::Other)?,
        ("wasi:cli/stdout", "get-stdout") => {
            handle(context, Handle::OutputStream, Open::Prints(Output::Stdout))?
        }
        ("wasi:cli/stderr", "get-stderr") => {
            handle(context, Handle::OutputStream, Open::Prints(Output::Stderr))?
        }
        ("wasi:sockets/instance-network", "instance-network") => {
            handle(context, Handle::Network, Open::Other)?
        }
        ("wasi:clocks/wall-clock", "now") => datetime(context.data_mut().wasi.now()),
        ("wasi:clocks/wall-clock", "resolution") => datetime(1_000),
        ("wasi:clocks/monotonic-clock", "now") => Val::U64(context.data_mut().wasi.now()),
        ("wasi:clocks/monotonic-clock", "resolution") => Val::U64(1_000),
        ("wasi:clocks/monotonic-clock", "subscribe-instant") => {
            let due = number(call, 0)?;
            handle(context, Handle::Pollable, Open::Due(due))?
        }
        ("wasi:clocks/monotonic-clock", "subscribe-duration") => {
            let due = context
                .data_mut()
                .wasi
                .now()
                .saturating_add(number(call, 0)?);
            handle(context, Handle::Pollable, Open::Due(due))?
        }
        ("wasi:random/random" | "wasi:random/insecure", function) => {
            if function.ends_with("-bytes") {
                random_bytes(context, number(call, 0)?)?
            } else {
                Val::U64(context.data_mut().wasi.random())
            }
        }
        ("wasi:random/insecure-seed", _) => {
            let wasi = &mut context.data_mut().wasi;
            Val::Tuple(vec![Val::U64(wasi.random()), Val::U64(wasi.random())])
        }
        ("wasi:io/error", _) => Val::String("there is nothing here".to_owned()),
        ("wasi:io/poll", function) => return poll(context, call, function),
        ("wasi:io/streams", function) => return stream(context, call, function),
        _ => refuse(context, call)?,
    }))
}

/// A new handle.
fn handle(context: &mut Context<'_>, of: Handle, what: Open) -> wasmtime::Result<Val> {
    let number = context
        .data_mut()
        .wasi
        .open(what)
        .map_err(wasmtime::Error::new)?;
    let handle = ResourceDynamic::new_own(number, of.type_number());
    Ok(Val::Resource(handle.try_into_resource_any(&mut *context)?))
}

/// `record datetime` of `wasi:clocks`.
fn datetime(nanoseconds: u64) -> Val {
    let rest = u32::try_from(nanoseconds % 1_000_000_000).unwrap_or(0);
    Val::Record(vec![
        ("seconds".to_owned(), Val::U64(nanoseconds / 1_000_000_000)),
        ("nanoseconds".to_owned(), Val::U32(rest)),
    ])
}

fn random_bytes(context: &mut Context<'_>, len: u64) -> wasmtime::Result<Val> {
    if len > RANDOM_BYTES_MAX {
        wasmtime::bail!("asked for {len} random bytes at once; {RANDOM_BYTES_MAX} at most");
    }
    let wasi = &mut context.data_mut().wasi;
    let bytes = (0..len).map(|_| Val::U8(wasi.random().to_le_bytes()[0]));
    Ok(Val::List(bytes.collect()))
}

/// Waiting: the clock jumps to where somebody waits for.
fn poll(
    context: &mut Context<'_>,
    call: &Call<'_>,
    function: &str,
) -> wasmtime::Result<Option<Val>> {
    let wasi = &mut context.data_mut().wasi;
    Ok(match (function, call.params) {
        ("[method]pollable.ready", [Param::Handle(one)]) => {
            let now = wasi.now();
            Some(Val::Bool(wasi.due(*one) <= now))
        }
        ("[method]pollable.block", [Param::Handle(one)]) => {
            wasi.wait_until(wasi.due(*one));
            None
        }
        ("poll", [Param::Handles(all)]) => {
            let first = all.iter().map(|one| wasi.due(*one)).min().unwrap_or(0);
            wasi.wait_until(first);
            let ready = (0..).zip(all).filter(|(_, one)| wasi.due(**one) <= first);
            Some(Val::List(ready.map(|(index, _)| Val::U32(index)).collect()))
        }
        _ => return Err(odd(call)),
    })
}

/// Streams: nothing to read, and what is written is printed or refused.
fn stream(
    context: &mut Context<'_>,
    call: &Call<'_>,
    function: &str,
) -> wasmtime::Result<Option<Val>> {
    let method = function.rsplit('.').next().unwrap_or(function);
    let nothing = Val::Result(Ok(None));
    let closed = Val::Result(Err(Some(Box::new(Val::Variant("closed".to_owned(), None)))));
    Ok(Some(match method {
        "subscribe" => handle(context, Handle::Pollable, Open::Other)?,
        "check-write" => Val::Result(Ok(Some(Box::new(Val::U64(WRITE_BYTES))))),
        "flush" | "blocking-flush" | "write-zeroes" | "blocking-write-zeroes-and-flush" => nothing,
        "write" | "blocking-write-and-flush" => {
            let [Param::Handle(to), Param::Value(Val::List(bytes))] = call.params else {
                return Err(odd(call));
            };
            let byte = |val: &Val| match val {
                Val::U8(byte) => Some(*byte),
                _ => None,
            };
            let bytes: Option<Vec<u8>> = bytes.iter().map(byte).collect();
            print(context, *to, &bytes.ok_or_else(|| odd(call))?);
            nothing
        }
        _ => closed,
    }))
}

/// Prints to the plugin's log: standard output as information, standard error
/// as warnings.
fn print(context: &mut Context<'_>, to: u32, bytes: &[u8]) {
    let state = context.data_mut();
    let Open::Prints(output) = state.wasi.opened(to) else {
        return;
    };
    let level = match output {
        Output::Stdout => Level::Info,
        Output::Stderr => Level::Warn,
    };
    for line in state.wasi.print(output, bytes) {
        log_line(state, level, &line);
    }
}

/// Everything else is refused, in the words that the function has for it; one
/// that has none traps.
fn refuse(context: &mut Context<'_>, call: &Call<'_>) -> wasmtime::Result<Val> {
    let name = clip(
        format!("{}.{}", call.interface, call.function),
        NAME_BYTES_MAX,
    );
    let detail = json!({"denied": "WASI has nothing to offer here", "function": name});
    context.data().instance.note_denial("wasi", "wasi", detail);
    let result = call.ty.results().next();
    let words: Vec<String> = match result {
        Some(Type::Result(result)) => match result.err() {
            Some(Type::Enum(words)) => words.names().map(str::to_owned).collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let word = REFUSALS
        .into_iter()
        .find(|refusal| words.iter().any(|word| word == refusal));
    match word {
        Some(word) => Ok(Val::Result(Err(Some(Box::new(Val::Enum(word.to_owned())))))),
        None => wasmtime::bail!("called `{name}`, which WASI does not offer here"),
    }
}

fn number(call: &Call<'_>, index: usize) -> wasmtime::Result<u64> {
    match call.params.get(index) {
        Some(Param::Value(Val::U64(number))) => Ok(*number),
        _ => Err(odd(call)),
    }
}

/// The component describes a function otherwise than WASI does.
fn odd(call: &Call<'_>) -> wasmtime::Error {
    wasmtime::format_err!(
        "`{}` has no `{}` of this shape",
        call.interface,
        call.function
    )
}
