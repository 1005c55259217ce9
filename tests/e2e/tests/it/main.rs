//! Faultline from outside: each test starts the real binary over a data folder
//! of its own and speaks to it as senders, people and programs do, over HTTP
//! and on the command line. What is inside is nobody's business here.
//!
//! `support` has what they are made of. Nothing sleeps for a fixed time: what
//! takes a while is asked for until it is so.

mod cli;
mod compile;
mod events;
mod faults;
mod guests;
mod hostile;
mod kill;
mod live;
mod malformed;
mod nodes;
mod peers;
mod polling;
mod postgresql;
mod replay;
mod restart;
mod support;
mod telemetry;
mod tracing;
mod traffic;
