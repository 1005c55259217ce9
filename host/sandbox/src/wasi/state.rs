//! What a guest's WASI remembers: its clock, its random numbers, its handles.

use std::collections::BTreeMap;

use faultline_domain::id::Digest;
use faultline_domain::plugin::Limit;
use faultline_domain::time::Timestamp;

use crate::limiter::Hit;

/// The most handles that a guest may hold: each costs the host memory that the
/// guest's own limit does not see.
const HANDLES_MAX: usize = 1_000;

/// The most bytes of a line that has not ended yet.
const LINE_BYTES_MAX: usize = 8 << 10;

/// What handles can be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handle {
    Error,
    Pollable,
    InputStream,
    OutputStream,
    Descriptor,
    DirectoryEntryStream,
    TerminalInput,
    TerminalOutput,
    Network,
    TcpSocket,
    UdpSocket,
    IncomingDatagramStream,
    OutgoingDatagramStream,
    ResolveAddressStream,
}

impl Handle {
    const ALL: [(Handle, &'static str); 14] = [
        (Handle::Error, "error"),
        (Handle::Pollable, "pollable"),
        (Handle::InputStream, "input-stream"),
        (Handle::OutputStream, "output-stream"),
        (Handle::Descriptor, "descriptor"),
        (Handle::DirectoryEntryStream, "directory-entry-stream"),
        (Handle::TerminalInput, "terminal-input"),
        (Handle::TerminalOutput, "terminal-output"),
        (Handle::Network, "network"),
        (Handle::TcpSocket, "tcp-socket"),
        (Handle::UdpSocket, "udp-socket"),
        (Handle::IncomingDatagramStream, "incoming-datagram-stream"),
        (Handle::OutgoingDatagramStream, "outgoing-datagram-stream"),
        (Handle::ResolveAddressStream, "resolve-address-stream"),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, known)| *known == name)
            .map(|(handle, _)| handle)
    }

    /// The number by which the engine tells resource types apart.
    pub(crate) const fn type_number(self) -> u32 {
        self as u32
    }
}

/// Where printed text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout,
    Stderr,
}

/// What a live handle stands for, where that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    /// One of the standard outputs.
    Prints(Output),
    /// Ready once the clock has come so far, in nanoseconds.
    Due(u64),
    /// Nothing that matters.
    Other,
}

/// What the clock shows during a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// The time of the one thing that the call is about, and a microsecond later
    /// at each look, so that whoever waits for time to pass does not wait for
    /// ever.
    Time(Timestamp),
    /// Always the same: the call is about many things, and how many depends on
    /// the batch. Whoever only looks until it is later waits until its limit.
    Nothing,
}

/// What a clock shows that stands still, in nanoseconds: a day after the epoch.
/// Later than whatever it showed while the guest was started.
const STANDSTILL: u64 = 86_400_000_000_000;

/// How much later it is at each look, in nanoseconds.
const LOOK: u64 = 1_000;

/// The WASI of one guest. One that does not import it has it too, and never
/// touches it.
#[derive(Debug)]
pub(crate) struct NullWasi {
    /// Nanoseconds since the Unix epoch.
    clock: u64,
    look: u64,
    seed: u64,
    random: u64,
    handles: BTreeMap<u32, Open>,
    next_handle: u32,
    /// Lines that have not ended yet, of standard output and error.
    lines: [Vec<u8>; 2],
}

impl NullWasi {
    /// Of a guest of this component.
    pub(crate) fn new(digest: Digest) -> Self {
        let seed = digest
            .as_bytes()
            .iter()
            .take(8)
            .fold(0, |seed, byte| seed << 8 | u64::from(*byte));
        Self {
            clock: 0,
            look: LOOK,
            seed,
            random: seed,
            handles: BTreeMap::new(),
            next_handle: 0,
            lines: [Vec::new(), Vec::new()],
        }
    }

    /// A call begins. What it can see of clock and chance does not depend on the
    /// calls before it, of which another batch, or a guest that was not kept,
    /// would have had others. Only while the clock stands still do random numbers
    /// go on: a guest that lives long would get the same few for ever.
    pub(crate) fn begin(&mut self, shows: Shows) {
        match shows {
            Shows::Time(time) => {
                self.clock = time.as_micros().saturating_mul(1_000);
                self.look = LOOK;
                self.random = self.seed;
            }
            Shows::Nothing => {
                self.clock = STANDSTILL;
                self.look = 0;
            }
        }
    }

    pub(crate) fn wait_until(&mut self, nanoseconds: u64) {
        self.clock = self.clock.max(nanoseconds);
    }

    /// A look at the clock.
    pub(crate) fn now(&mut self) -> u64 {
        self.clock = self.clock.saturating_add(self.look);
        self.clock
    }

    /// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
    /// Generators", 2014). Nothing here is secret.
    pub(crate) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A new handle's number.
    ///
    /// # Errors
    /// If there are too many.
    pub(crate) fn open(&mut self, what: Open) -> Result<u32, Hit> {
        if self.handles.len() >= HANDLES_MAX {
            let message = format!("holds more than {HANDLES_MAX} handles of WASI");
            return Err(Hit::new(Limit::Table, message));
        }
        let number = self.next_handle;
        self.next_handle = self.next_handle.wrapping_add(1);
        self.handles.insert(number, what);
        Ok(number)
    }

    pub(crate) fn opened(&self, handle: u32) -> Open {
        self.handles.get(&handle).copied().unwrap_or(Open::Other)
    }

    pub(crate) fn dropped(&mut self, handle: u32) {
        self.handles.remove(&handle);
    }

    /// When somebody who waits for this handle goes on: at once, unless it is
    /// a moment that has not come.
    pub(crate) fn due(&self, handle: u32) -> u64 {
        match self.opened(handle) {
            Open::Due(at) if at > self.clock => at,
            _ => self.clock,
        }
    }

    /// Takes printed bytes, and gives the lines that have ended by them.
    pub(crate) fn print(&mut self, to: Output, bytes: &[u8]) -> Vec<String> {
        let open = &mut self.lines[to as usize];
        let mut ended = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                open.push(*byte);
            }
            if *byte == b'\n' || open.len() >= LINE_BYTES_MAX {
                ended.push(String::from_utf8_lossy(open).into_owned());
                open.clear();
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_sees_the_time_of_its_data_whatever_came_before() {
        let mut wasi = NullWasi::new(Digest::of(b"a"));
        let time = Shows::Time(Timestamp::from_secs(10));
        wasi.begin(time);
        let random = wasi.random();
        assert_eq!(wasi.now(), 10_000_001_000);
        wasi.wait_until(11_000_000_000);
        assert_eq!(wasi.now(), 11_000_001_000);
        wasi.begin(time);
        assert_eq!((wasi.now(), wasi.random()), (10_000_001_000, random));
    }

    #[test]
    fn a_clock_that_stands_still_moves_for_whoever_waits_within_a_call() {
        let mut wasi = NullWasi::new(Digest::of(b"a"));
        let started = wasi.now();
        wasi.begin(Shows::Nothing);
        let (first, second) = (wasi.now(), wasi.now());
        assert!(started < first);
        assert_eq!(first, second);
        wasi.wait_until(first + 7);
        assert_eq!(wasi.now(), first + 7);
        wasi.begin(Shows::Nothing);
        assert_eq!(wasi.now(), first);
    }

    #[test]
    fn random_numbers_are_the_components() {
        let numbers = |bytes: &[u8]| {
            let mut wasi = NullWasi::new(Digest::of(bytes));
            [wasi.random(), wasi.random()]
        };
        assert_eq!(numbers(b"a"), numbers(b"a"));
        assert_ne!(numbers(b"a"), numbers(b"b"));
        assert_ne!(numbers(b"a")[0], numbers(b"a")[1]);
    }

    #[test]
    fn printed_bytes_become_lines() {
        let mut wasi = NullWasi::new(Digest::of(b"a"));
        assert!(wasi.print(Output::Stdout, b"one ").is_empty());
        assert_eq!(wasi.print(Output::Stderr, b"else\n"), ["else"]);
        assert_eq!(
            wasi.print(Output::Stdout, b"line\ntwo\n"),
            ["one line", "two"]
        );
        let endless = vec![b'x'; 3 * LINE_BYTES_MAX];
        assert_eq!(wasi.print(Output::Stdout, &endless).len(), 3);
    }

    #[test]
    fn handles_have_an_end() {
        let mut wasi = NullWasi::new(Digest::of(b"a"));
        for _ in 0..HANDLES_MAX {
            wasi.open(Open::Other).expect("there is room");
        }
        assert!(wasi.open(Open::Other).is_err());
        wasi.dropped(7);
        assert!(wasi.open(Open::Other).is_ok());
    }
}
