//! Between the types of the contract and those of the domain. What a guest
//! says is checked here: beyond this point values cannot be wrong.

mod correlate;
mod decode;
mod detect;
mod poll;
mod words;

pub(crate) use correlate::{situation_of, verdict_of};
pub(crate) use decode::{decoded_of, envelope_of};
pub(crate) use detect::{findings_of, log_lines_of, samples_of, series_of, source_of};
pub(crate) use poll::page_of;
pub(crate) use words::{clip, line};
