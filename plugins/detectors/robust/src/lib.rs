//! Streaming tail statistics that detectors share: how rare is what was just
//! seen, judged by the series' own past and by nothing else.
//!
//! [`Tails`] learns how far some quantities usually stray, on each side, and
//! gives the surprise of a deviation in decades: 3 is one row in a thousand.
//! [`Rarity`] does the same for a surprise that was combined from several such
//! quantities, and so makes the result comparable across series.
//!
//! Everything here is exact in the sense that matters to a host that replays:
//! only `+ - * /`, comparisons and the bits of a number are used, all of which
//! IEEE 754 fixes to the last bit. No function of the platform's mathematics
//! library is called, so a component and a native build give the same answers.

pub mod array;

mod counts;
mod learning;
mod logarithm;
mod rarity;
mod tail;
mod tails;

pub use counts::Counts;
pub use logarithm::{rough_exp2, rough_log2, rough_log10};
pub use rarity::Rarity;
pub use tail::{Gauge, Scale, Side};
pub use tails::Tails;
