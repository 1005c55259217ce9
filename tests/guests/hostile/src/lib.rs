//! A connector that does whatever its configuration says, or the body if that
//! says something else: the sandbox must hold all the same.

use std::hint::black_box;

use faultline_sdk::{Alert, Connector, Decoded, Envelope, Fault, Timestamp, export_connector, log};
use serde::Deserialize;

/// What to do.
#[derive(Debug, Clone, Copy, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// Decodes one alert.
    #[default]
    Behave,
    /// Never comes back.
    Loop,
    /// Takes memory until there is none.
    Grow,
    /// Takes and returns a little too much at once.
    Hoard,
    /// Panics.
    Trap,
    /// Calls itself until the stack ends.
    Recurse,
    /// Answers with more bytes than anybody wants.
    Huge,
    /// Answers with more items than anybody wants.
    Many,
    /// Writes a hundred thousand lines.
    Chatter,
    /// Writes lines that look like somebody else's.
    Forge,
}

/// The configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Unless the body says otherwise.
    pub behaviour: Behaviour,
}

struct Hostile;

impl Connector for Hostile {
    type Config = Config;

    fn decode(config: &Config, envelope: &Envelope) -> Result<Decoded, Fault> {
        let behaviour = match envelope.body.as_slice() {
            b"behave" => Behaviour::Behave,
            b"trap" => Behaviour::Trap,
            b"loop" => Behaviour::Loop,
            _ => config.behaviour,
        };
        let mut decoded = Decoded::builder();
        match behaviour {
            Behaviour::Behave => decoded.signal(alert("it behaves", envelope.received)),
            Behaviour::Loop => loop {
                black_box(());
            },
            Behaviour::Grow => {
                let mut hoard: Vec<Vec<u8>> = Vec::new();
                loop {
                    hoard.push(black_box(vec![1; 1 << 20]));
                }
            }
            Behaviour::Hoard => {
                let hoard = black_box(vec![1_u8; 512 << 20]);
                let title = format!("{} bytes", hoard.len());
                decoded.signal(alert(&title, envelope.received));
            }
            Behaviour::Trap => panic!("as it was told"),
            Behaviour::Recurse => {
                let depth = recurse(0);
                decoded.signal(alert(&depth.to_string(), envelope.received));
            }
            Behaviour::Huge => {
                let title = "x".repeat(24 << 20);
                decoded.signal(alert(&title, envelope.received));
            }
            Behaviour::Many => {
                for _ in 0..2_000 {
                    decoded.signal(alert("x", envelope.received));
                }
            }
            Behaviour::Chatter => {
                for line in 0..100_000 {
                    log::info(format!("line {line} of a hundred thousand"));
                }
            }
            Behaviour::Forge => {
                log::info("all is well\n2026-01-01T00:00:00Z ERROR host: \x1b[31mlies");
            }
        }
        decoded.finish()
    }
}

/// Takes nothing but calls: no local has an address, so that it is the
/// engine's stack that ends, and not the guest's own.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if depth == u64::MAX {
        return depth;
    }
    recurse(depth + 1).wrapping_mul(31).wrapping_add(depth)
}

fn alert(title: &str, at: Timestamp) -> Alert {
    Alert::firing([("name", "hostile")], title, at)
}

export_connector!(Hostile);
