//! The way out: the only crate that opens connections on behalf of plugins.
//!
//! A request of a guest goes through one path, from top to bottom, and so does
//! every redirect that it meets:
//!
//! 1. read the method, the URL and the headers; refuse what is odd
//!    (`domain::rule::Destination`, [`headers`]);
//! 2. find the rule that allows it (`domain::grant::Effective`), and see
//!    whether the operator's ceiling does too ([`Policy`]);
//! 3. record what is about to be done; what cannot be recorded is not done;
//! 4. resolve the name, once; drop what is not of the open internet unless a
//!    network was granted ([`Policy`] always has the last word);
//! 5. connect to the very address that was checked, with TLS for the name;
//! 6. add the secret, send, read at most as much as there is allowance for;
//! 7. record how it ended.
//!
//! There is one connection for each request and no pool: nothing is shared
//! between instances, nor between requests that different rules allow. There is
//! no proxy, and nothing is read from the environment.

mod allowance;
mod body;
mod connection;
mod headers;
mod network;
mod policy;
mod scrub;
mod send;

pub use allowance::{Allowance, Quota};
pub use network::{Network, Pending, SystemNetwork};
pub use policy::{Policy, RootsError, Trust};
pub use send::{Answer, Egress, Outgoing, Surroundings};
