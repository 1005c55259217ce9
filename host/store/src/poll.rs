//! Pollers: a page and the cursor after it, together or not at all; and how those
//! that failed stand.

use faultline_domain::envelope::{Arrival, Position};
use faultline_domain::id::{InstanceName, ScopeName};
use faultline_domain::poll::{PollFault, PollState};
use faultline_domain::supervision::Supervisor;
use faultline_domain::time::Timestamp;

use crate::Store;
use crate::commit::CommitPoint;
use crate::error::StoreError;
use crate::journal::{Appended, append};
use crate::rows::{from_json, json, signed, text, unsigned};

/// Where one poller stands, and how often that was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PollRecord {
    /// Counts the commits; 0 if there was none.
    pub version: u64,
    /// Where it stands.
    pub state: PollState,
}

impl Store {
    /// Where a poller stands; at its beginning if it was never asked.
    ///
    /// # Errors
    /// If the database refuses, or the row cannot be read.
    pub async fn poll_fetch(
        &self,
        scope: &ScopeName,
        instance: &InstanceName,
    ) -> Result<PollRecord, StoreError> {
        let row: Option<PollRow> =
            sqlx::query_as("select * from poll where scope = $1 and instance = $2")
                .bind(scope.as_str())
                .bind(instance.as_str())
                .fetch_optional(self.journal.read())
                .await?;
        row.map_or_else(|| Ok(PollRecord::default()), PollRow::into_record)
    }

    /// The supervisors of pollers, by name; of those that never failed there are
    /// none.
    pub(crate) async fn poll_supervisors(
        &self,
        scope: &ScopeName,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query_as(
            "select instance, supervision from poll where scope = $1 and supervision <> '' \
             order by instance",
        )
        .bind(scope.as_str())
        .fetch_all(self.journal.read())
        .await?;
        Ok(rows)
    }

    /// Appends what was fetched and writes where the poller stands after it.
    /// Both are durable when this returns. Nothing is appended if nothing was
    /// fetched.
    ///
    /// # Errors
    /// [`StoreError::Moved`] if the poller is not at `version` any more; then,
    /// and whenever the database refuses, nothing is written.
    pub async fn poll_commit(
        &self,
        scope: &ScopeName,
        instance: &InstanceName,
        version: u64,
        state: &PollState,
        arrivals: Vec<Arrival>,
    ) -> Result<Option<Appended>, StoreError> {
        let mut transaction = self.journal.write().await?;
        // The journal's head first, as everybody who appends does: two who wait
        // for one another's rows would wait for ever.
        let appended = if arrivals.is_empty() {
            None
        } else {
            Some(append(&mut transaction, scope, arrivals).await?)
        };
        let time = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_i64);
        let fault = state.last_fault.as_ref();
        let written = sqlx::query(
            "insert into poll (scope, instance, version, has_cursor, cursor, pages, envelopes, \
             faults, pages_in_a_row, faults_in_a_row, polled, caught_up, due, fault_at, \
             fault_code, fault_message, supervision, heard) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, \
             $18) \
             on conflict (scope, instance) do update set version = excluded.version, \
             has_cursor = excluded.has_cursor, cursor = excluded.cursor, \
             pages = excluded.pages, envelopes = excluded.envelopes, faults = excluded.faults, \
             pages_in_a_row = excluded.pages_in_a_row, \
             faults_in_a_row = excluded.faults_in_a_row, polled = excluded.polled, \
             caught_up = excluded.caught_up, due = excluded.due, \
             fault_at = excluded.fault_at, fault_code = excluded.fault_code, \
             fault_message = excluded.fault_message, supervision = excluded.supervision, \
             heard = excluded.heard where poll.version = $19",
        )
        .bind(scope.as_str())
        .bind(instance.as_str())
        .bind(signed(version + 1))
        .bind(i64::from(state.cursor.is_some()))
        .bind(state.cursor.as_deref().unwrap_or_default())
        .bind(signed(state.pages))
        .bind(signed(state.envelopes))
        .bind(signed(state.faults))
        .bind(i64::from(state.pages_in_a_row))
        .bind(i64::from(state.faults_in_a_row))
        .bind(time(state.polled))
        .bind(time(state.caught_up))
        .bind(state.due.as_i64())
        .bind(time(fault.map(|fault| fault.at)))
        .bind(text(fault.map_or("", |fault| fault.code.as_str())))
        .bind(text(fault.map_or("", |fault| fault.message.as_str())))
        .bind(state.supervisor.as_ref().map_or_else(String::new, json))
        .bind(state.heard.as_i64())
        .bind(signed(version))
        .execute(&mut **transaction)
        .await?;
        // A poller that was never asked has no row: whoever inserts it is the
        // first, and comes from version 0.
        let is_moved = written.rows_affected() == 0;
        if is_moved {
            return Err(StoreError::Moved {
                stage: "poll",
                expected: Position(version),
            });
        }
        transaction.commit(CommitPoint::PollCommit).await?;
        Ok(appended)
    }
}

#[derive(sqlx::FromRow)]
struct PollRow {
    version: i64,
    has_cursor: i64,
    cursor: Vec<u8>,
    pages: i64,
    envelopes: i64,
    faults: i64,
    pages_in_a_row: i64,
    faults_in_a_row: i64,
    polled: i64,
    caught_up: i64,
    due: i64,
    fault_at: i64,
    fault_code: String,
    fault_message: String,
    // A journal that is salvaged may be from before.
    #[sqlx(default)]
    supervision: String,
    #[sqlx(default)]
    heard: i64,
}

impl PollRow {
    fn into_record(self) -> Result<PollRecord, StoreError> {
        let time = |time: i64| (time > 0).then(|| Timestamp::from_i64(time));
        let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        let supervisor = (!self.supervision.is_empty())
            .then(|| from_json::<Supervisor>("poll", &self.supervision))
            .transpose()?;
        Ok(PollRecord {
            version: unsigned(self.version),
            state: PollState {
                cursor: (self.has_cursor != 0).then_some(self.cursor),
                pages: unsigned(self.pages),
                envelopes: unsigned(self.envelopes),
                faults: unsigned(self.faults),
                pages_in_a_row: count(self.pages_in_a_row),
                faults_in_a_row: count(self.faults_in_a_row),
                polled: time(self.polled),
                caught_up: time(self.caught_up),
                due: Timestamp::from_i64(self.due),
                last_fault: (!self.fault_code.is_empty()).then(|| PollFault {
                    at: Timestamp::from_i64(self.fault_at),
                    code: self.fault_code,
                    message: self.fault_message,
                }),
                supervisor,
                heard: Position(unsigned(self.heard)),
            },
        })
    }
}
