//! Who reads metrics, as the database last knew them. Metrics are looked at the
//! more when it does not answer, and then it cannot be asked who asks either.
//!
//! It is metrics only that are read so: everything else is in the database. A
//! token that is revoked meanwhile, through a node that reaches it, is good for
//! them until this one reaches it, too.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use faultline_domain::id::Digest;
use faultline_store::TokenRecord;

/// How many are remembered.
const SCRAPERS_MAX: usize = 64;

/// The tokens that metrics were read with, by their hashes.
#[derive(Debug, Default)]
pub(crate) struct Scrapers(Mutex<HashMap<Digest, TokenRecord>>);

impl Scrapers {
    /// The database answered: what it knows of a token is remembered, or that it
    /// knows nothing.
    pub(crate) fn note(&self, hash: Digest, found: Option<&TokenRecord>) {
        let mut known = self.known();
        match found {
            Some(token) if known.len() < SCRAPERS_MAX || known.contains_key(&hash) => {
                known.insert(hash, token.clone());
            }
            Some(_) => {}
            None => {
                known.remove(&hash);
            }
        }
    }

    /// What the database last knew of a token; none if it was not asked.
    pub(crate) fn recall(&self, hash: &Digest) -> Option<TokenRecord> {
        self.known().get(hash).cloned()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Digest, TokenRecord>> {
        // Entries are put in whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
