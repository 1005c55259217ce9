//! What each source has sent, and how much of it could be used.

use faultline_domain::envelope::Position;
use faultline_domain::id::{ScopeName, SourceName};
use faultline_domain::time::Timestamp;
use sqlx::{Any, Transaction};

use crate::Store;
use crate::error::StoreError;
use crate::rows::{insert_rows, signed, unsigned};

/// Counts of one source: in a commit, what is to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRecord {
    /// Which source.
    pub name: SourceName,
    /// Payloads.
    pub envelopes: u64,
    /// Their size, transport encodings undone.
    pub body_bytes: u64,
    /// Alerts, changes, edges and tickets.
    pub signals: u64,
    /// Measurements.
    pub samples: u64,
    /// Lines.
    pub log_lines: u64,
    /// Spans.
    pub spans: u64,
    /// Measurements that came after later ones of their series.
    pub late: u64,
    /// Items that could not be read, in payloads that could.
    pub rejected: u64,
    /// Payloads that could not be read.
    pub faults: u64,
    /// Signals, series and log sources that name no entity: the first thing
    /// that spoils correlation.
    pub without_entity: u64,
    /// Alerts and edges over the limits that each source has for itself, which
    /// were left out.
    pub over_limit: u64,
    /// The last payload.
    pub last_position: Position,
    /// When it arrived.
    pub last_received: Timestamp,
}

impl SourceRecord {
    /// A source that has sent nothing yet.
    pub fn empty(name: SourceName) -> Self {
        Self {
            name,
            envelopes: 0,
            body_bytes: 0,
            signals: 0,
            samples: 0,
            log_lines: 0,
            spans: 0,
            late: 0,
            rejected: 0,
            faults: 0,
            without_entity: 0,
            over_limit: 0,
            last_position: Position::START,
            last_received: Timestamp::ZERO,
        }
    }

    /// Adds the counts of the same source, which are later.
    pub fn add(&mut self, later: &Self) {
        self.envelopes += later.envelopes;
        self.body_bytes += later.body_bytes;
        self.signals += later.signals;
        self.samples += later.samples;
        self.log_lines += later.log_lines;
        self.spans += later.spans;
        self.late += later.late;
        self.rejected += later.rejected;
        self.faults += later.faults;
        self.without_entity += later.without_entity;
        self.over_limit += later.over_limit;
        self.last_position = later.last_position;
        self.last_received = later.last_received;
    }

    fn counts(&self) -> [u64; 11] {
        [
            self.envelopes,
            self.body_bytes,
            self.signals,
            self.samples,
            self.log_lines,
            self.spans,
            self.late,
            self.rejected,
            self.faults,
            self.without_entity,
            self.over_limit,
        ]
    }
}

const COUNT_COLUMNS: [&str; 11] = [
    "envelopes",
    "body_bytes",
    "signals",
    "samples",
    "log_lines",
    "spans",
    "late",
    "rejected",
    "faults",
    "without_entity",
    "over_limit",
];

impl Store {
    /// All sources that have ever sent anything, by name.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn source_list(&self, scope: &ScopeName) -> Result<Vec<SourceRecord>, StoreError> {
        let rows: Vec<SourceRow> =
            sqlx::query_as("select * from source where scope = $1 order by name")
                .bind(scope.as_str())
                .fetch_all(self.state.read())
                .await?;
        rows.into_iter().map(SourceRow::into_record).collect()
    }
}

#[derive(sqlx::FromRow)]
struct SourceRow {
    name: String,
    envelopes: i64,
    body_bytes: i64,
    signals: i64,
    samples: i64,
    log_lines: i64,
    spans: i64,
    late: i64,
    rejected: i64,
    faults: i64,
    without_entity: i64,
    over_limit: i64,
    last_position: i64,
    last_received: i64,
}

impl SourceRow {
    fn into_record(self) -> Result<SourceRecord, StoreError> {
        Ok(SourceRecord {
            name: SourceName::new(self.name)
                .map_err(|error| StoreError::corrupt("source", error))?,
            envelopes: unsigned(self.envelopes),
            body_bytes: unsigned(self.body_bytes),
            signals: unsigned(self.signals),
            samples: unsigned(self.samples),
            log_lines: unsigned(self.log_lines),
            spans: unsigned(self.spans),
            late: unsigned(self.late),
            rejected: unsigned(self.rejected),
            faults: unsigned(self.faults),
            without_entity: unsigned(self.without_entity),
            over_limit: unsigned(self.over_limit),
            last_position: Position::from_i64(self.last_position),
            last_received: Timestamp::from_i64(self.last_received),
        })
    }
}

/// Adds to the counts.
pub(crate) async fn add(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    sources: &[SourceRecord],
) -> Result<(), StoreError> {
    let head = format!(
        "insert into source (scope, name, {}, last_position, last_received) values",
        COUNT_COLUMNS.join(", ")
    );
    let sums: Vec<String> = COUNT_COLUMNS
        .iter()
        .map(|column| format!("{column} = source.{column} + excluded.{column}"))
        .collect();
    let tail = format!(
        "on conflict (scope, name) do update set {}, \
         last_position = excluded.last_position, last_received = excluded.last_received",
        sums.join(", ")
    );
    insert_rows(transaction, &head, 15, &tail, sources, |query, source| {
        let query = query.bind(scope.as_str()).bind(source.name.as_str());
        let query = source
            .counts()
            .into_iter()
            .fold(query, |query, count| query.bind(signed(count)));
        query
            .bind(source.last_position.as_i64())
            .bind(source.last_received.as_i64())
    })
    .await
}
