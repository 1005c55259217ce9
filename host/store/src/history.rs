//! One number for the whole of history: equal journals, components and
//! configurations must give equal ones.

use faultline_domain::id::{Digest, ScopeName};
use futures_util::TryStreamExt as _;
use sha2::{Digest as _, Sha256};

use crate::Store;
use crate::error::StoreError;

impl Store {
    /// SHA-256 over all alerts, transitions, incidents and their events, and what
    /// was refused or could not be read, in the order of their keys, ids included. What depends on when work was
    /// done, and not on what was said, is left out: the numbers of events
    /// among those of other incidents, and times of installation.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn history_digest(&self, scope: &ScopeName) -> Result<Digest, StoreError> {
        let mut hasher = Sha256::new();
        for sql in [
            "select body from alert where scope = $1 order by id",
            "select detail || alert_view || received from transition where scope = $1 \
             order by position, ordinal",
            "select body from change where scope = $1 order by position, ordinal",
            "select dependent || ' ' || provider || ' ' || relation || ' ' || seen \
             from dependency where scope = $1 order by position, ordinal",
            "select body from incident where scope = $1 order by id",
            "select incident || ' ' || alert || body from incident_member where scope = $1 \
             order by incident, alert",
            "select body from incident_event where scope = $1 order by incident, version",
            "select position || ' ' || reader || ' ' || kind || ' ' || code || ' ' || message \
             from dead_letter where scope = $1 order by position, reader",
            "select position || ' ' || person || ' ' || outcome || ' ' || body from command \
             where scope = $1 order by position",
            "select position || ' ' || correlator || ' ' || proposal || ' ' || reason || ' ' || \
             summary from refusal where scope = $1 order by position, ordinal",
            "select source || ' ' || id || ' ' || body from ticket where scope = $1 \
             order by source, id",
        ] {
            hasher.update(sql.as_bytes());
            let mut rows = sqlx::query_as::<_, (String,)>(sql)
                .bind(scope.as_str())
                .fetch(self.state.read());
            while let Some((text,)) = rows.try_next().await? {
                hasher.update((text.len() as u64).to_be_bytes());
                hasher.update(text.as_bytes());
            }
        }
        Ok(Digest::from_bytes(hasher.finalize().into()))
    }
}
