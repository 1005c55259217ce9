//! The journal: append, and read from a position.

use faultline_domain::envelope::{Arrival, Envelope, Format, Position};
use faultline_domain::id::{ScopeName, SourceName};
use faultline_domain::time::Timestamp;
use faultline_own_traces::origins;
use futures_util::TryStreamExt as _;
use sqlx::{Any, Transaction};

use crate::Store;
use crate::commit::CommitPoint;
use crate::error::StoreError;
use crate::location::DatabaseKind;
use crate::rows::{from_json, insert_rows, json, signed, text, unsigned};

/// The most envelopes of one read.
pub const ENVELOPES_PER_READ_MAX: u32 = 4_096;

/// Bodies shorter than this are not worth compressing.
const COMPRESS_BYTES_MIN: usize = 512;

/// zstd's level: the journal is written once and mostly read once.
const COMPRESS_LEVEL: i32 = 1;

/// The end of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalHead {
    /// The last position that was given away.
    pub position: Position,
    /// When that envelope arrived.
    pub received: Timestamp,
}

/// What appending did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Where the first of the envelopes lies.
    pub first: Position,
    /// The end of the journal after the last of them.
    pub head: JournalHead,
}

pub(crate) struct Row {
    position: i64,
    arrival: Arrival,
    received: i64,
    headers: String,
    encoding: &'static str,
    body: Vec<u8>,
    body_bytes: i64,
    checksum: i64,
}

impl Row {
    /// An arrival as it is written. Takes its body.
    pub(crate) fn new(
        scope: &ScopeName,
        position: i64,
        mut arrival: Arrival,
        received: i64,
    ) -> Self {
        // Before the checksum, which is over what is read back.
        arrival.content_type = text(&arrival.content_type);
        let body_bytes = signed(arrival.body.len() as u64);
        let (encoding, body) = compress(std::mem::take(&mut arrival.body));
        let headers = json(&arrival.headers);
        let checksum = Checked {
            scope: scope.as_str(),
            position,
            source: arrival.source.as_str(),
            format: &arrival.format.to_string(),
            content_type: &arrival.content_type,
            headers: &headers,
            encoding,
            body: &body,
            received,
        }
        .checksum();
        Self {
            position,
            arrival,
            received,
            headers,
            encoding,
            body,
            body_bytes,
            checksum,
        }
    }
}

/// What the checksum of a row is over: all of it, as it is written.
struct Checked<'a> {
    scope: &'a str,
    position: i64,
    source: &'a str,
    format: &'a str,
    content_type: &'a str,
    headers: &'a str,
    encoding: &'a str,
    body: &'a [u8],
    received: i64,
}

impl Checked<'_> {
    /// CRC-32 (ISO 3309), of each column and its length: against what disks
    /// and hands do by mistake, not against somebody who means it.
    fn checksum(&self) -> i64 {
        let mut hasher = crc32fast::Hasher::new();
        for column in [
            self.scope.as_bytes(),
            &self.position.to_be_bytes(),
            self.source.as_bytes(),
            self.format.as_bytes(),
            self.content_type.as_bytes(),
            self.headers.as_bytes(),
            self.encoding.as_bytes(),
            self.body,
            &self.received.to_be_bytes(),
        ] {
            hasher.update(&(column.len() as u64).to_be_bytes());
            hasher.update(column);
        }
        i64::from(hasher.finalize())
    }
}

impl Store {
    /// Appends envelopes in this order, all or none. They are durable when this
    /// returns. Arrival times never go back: where the clock did, the time
    /// before it is taken again.
    ///
    /// # Errors
    /// If the database refuses; nothing is appended then.
    pub async fn envelope_append(
        &self,
        scope: &ScopeName,
        arrivals: Vec<Arrival>,
    ) -> Result<Appended, StoreError> {
        let mut transaction = self.journal.write().await?;
        let appended = append(&mut transaction, scope, arrivals).await?;
        transaction.commit(CommitPoint::EnvelopeAppend).await?;
        Ok(appended)
    }

    /// The end of the journal.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn journal_head(&self, scope: &ScopeName) -> Result<JournalHead, StoreError> {
        let row: Option<(i64, i64)> =
            sqlx::query_as("select position, received from journal_head where scope = $1")
                .bind(scope.as_str())
                .fetch_optional(self.journal.read())
                .await?;
        Ok(
            row.map_or_else(JournalHead::default, |(position, received)| JournalHead {
                position: Position::from_i64(position),
                received: Timestamp::from_i64(received),
            }),
        )
    }

    /// Up to `most` envelopes after a position, fewer if their bodies come to
    /// more than `bytes_most` (but at least one, if there is one).
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn envelope_list(
        &self,
        scope: &ScopeName,
        after: Position,
        most: u32,
        bytes_most: usize,
    ) -> Result<Vec<Envelope>, StoreError> {
        let most = i64::from(most.min(ENVELOPES_PER_READ_MAX));
        let last = match self.journal.kind() {
            // Rows come as they are taken: it is enough to stop taking them.
            DatabaseKind::Sqlite => i64::MAX,
            // All that was asked for comes over the network, wanted or not.
            DatabaseKind::Postgresql => self.last_within(scope, after, most, bytes_most).await?,
        };
        let mut stream = sqlx::query_as::<_, EnvelopeRow>(
            "select scope, position, source, format, content_type, headers, encoding, body, \
             received, checksum from envelope where scope = $1 and position > $2 \
             and position <= $4 \
             order by position limit $3",
        )
        .bind(scope.as_str())
        .bind(after.as_i64())
        .bind(most)
        .bind(last)
        .fetch(self.journal.read());
        let mut envelopes = Vec::new();
        let mut bytes = 0;
        while let Some(row) = stream.try_next().await? {
            let envelope = row.into_envelope()?;
            bytes += envelope.arrival.body.len();
            envelopes.push(envelope);
            if bytes >= bytes_most {
                break;
            }
        }
        Ok(envelopes)
    }

    /// The position up to which envelopes come to so many bytes. Looks at sizes
    /// only, which PostgreSQL keeps apart from long bodies.
    async fn last_within(
        &self,
        scope: &ScopeName,
        after: Position,
        most: i64,
        bytes_most: usize,
    ) -> Result<i64, StoreError> {
        let sizes: Vec<(i64, i64)> = sqlx::query_as(
            "select position, body_bytes from envelope where scope = $1 and position > $2 \
             order by position limit $3",
        )
        .bind(scope.as_str())
        .bind(after.as_i64())
        .bind(most)
        .fetch_all(self.journal.read())
        .await?;
        let last = last_within(sizes, signed(bytes_most as u64));
        Ok(last.unwrap_or(after.as_i64()))
    }

    /// One envelope; none if there is none, or retention has removed it.
    ///
    /// # Errors
    /// If the database refuses, or the row cannot be read.
    pub async fn envelope_fetch(
        &self,
        scope: &ScopeName,
        position: Position,
    ) -> Result<Option<Envelope>, StoreError> {
        let before = Position(position.0.saturating_sub(1));
        let found = self.envelope_list(scope, before, 1, usize::MAX).await?;
        Ok(found.into_iter().find(|found| found.position == position))
    }
}

/// The last of these positions before or at which the sizes beside them come to
/// so many bytes; none if there are no positions.
pub(crate) fn last_within(sizes: Vec<(i64, i64)>, bytes_most: i64) -> Option<i64> {
    let mut left = bytes_most;
    let mut last = None;
    for (position, bytes) in sizes {
        last = Some(position);
        left = left.saturating_sub(bytes);
        if left <= 0 {
            break;
        }
    }
    last
}

/// Appends envelopes in this order, within a transaction of the journal.
pub(crate) async fn append(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    arrivals: Vec<Arrival>,
) -> Result<Appended, StoreError> {
    let count = signed(arrivals.len() as u64);
    // Updating the head first makes other writers wait their turn.
    let (last, mut received): (i64, i64) = sqlx::query_as(
        "insert into journal_head (scope, position, received) values ($1, $2, 0) \
         on conflict (scope) do update set position = journal_head.position + $2 \
         returning position, received",
    )
    .bind(scope.as_str())
    .bind(count)
    .fetch_one(&mut **transaction)
    .await?;
    let first = last - count + 1;
    if count > 0 {
        // While they are still ours alone.
        origins::appended(unsigned(first)..=unsigned(last));
    }
    let rows: Vec<Row> = arrivals
        .into_iter()
        .zip(first..)
        .map(|(arrival, position)| {
            received = received.max(arrival.received.as_i64());
            Row::new(scope, position, arrival, received)
        })
        .collect();
    insert(transaction, scope, &rows).await?;
    sqlx::query("update journal_head set received = $2 where scope = $1")
        .bind(scope.as_str())
        .bind(received)
        .execute(&mut **transaction)
        .await?;
    Ok(Appended {
        first: Position::from_i64(first),
        head: JournalHead {
            position: Position::from_i64(last),
            received: Timestamp::from_i64(received),
        },
    })
}

/// Writes rows where they say that they lie.
pub(crate) async fn insert(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    rows: &[Row],
) -> Result<(), StoreError> {
    insert_rows(
        transaction,
        "insert into envelope (scope, position, source, format, content_type, headers, \
         encoding, body, body_bytes, received, checksum) values",
        11,
        "",
        rows,
        |query, row| {
            query
                .bind(scope.as_str())
                .bind(row.position)
                .bind(row.arrival.source.as_str())
                .bind(row.arrival.format.to_string())
                .bind(&row.arrival.content_type)
                .bind(&row.headers)
                .bind(row.encoding)
                .bind(row.body.as_slice())
                .bind(row.body_bytes)
                .bind(row.received)
                .bind(row.checksum)
        },
    )
    .await
}

#[derive(sqlx::FromRow)]
pub(crate) struct EnvelopeRow {
    scope: String,
    position: i64,
    source: String,
    format: String,
    content_type: String,
    headers: String,
    encoding: String,
    body: Vec<u8>,
    received: i64,
    checksum: Option<i64>,
}

impl EnvelopeRow {
    /// Where it lies, if that is what was written.
    pub(crate) fn position(&self) -> Position {
        Position::from_i64(self.position)
    }

    pub(crate) fn into_envelope(self) -> Result<Envelope, StoreError> {
        let corrupt = |reason: String| {
            StoreError::corrupt("envelope", format!("position {}: {reason}", self.position))
        };
        let checksum = Checked {
            scope: &self.scope,
            position: self.position,
            source: &self.source,
            format: &self.format,
            content_type: &self.content_type,
            headers: &self.headers,
            encoding: &self.encoding,
            body: &self.body,
            received: self.received,
        }
        .checksum();
        if self.checksum.is_some_and(|written| written != checksum) {
            return Err(corrupt("it is not what was written".to_owned()));
        }
        let body = match self.encoding.as_str() {
            "identity" => self.body,
            "zstd" => zstd::stream::decode_all(self.body.as_slice())
                .map_err(|error| corrupt(error.to_string()))?,
            other => return Err(corrupt(format!("encoding `{other}`"))),
        };
        Ok(Envelope {
            position: Position::from_i64(self.position),
            arrival: Arrival {
                source: SourceName::new(self.source).map_err(|e| corrupt(e.to_string()))?,
                format: Format::try_from(self.format).map_err(corrupt)?,
                content_type: self.content_type,
                headers: from_json("envelope", &self.headers)?,
                body,
                received: Timestamp::from_i64(self.received),
            },
        })
    }
}

fn compress(body: Vec<u8>) -> (&'static str, Vec<u8>) {
    if body.len() < COMPRESS_BYTES_MIN {
        return ("identity", body);
    }
    match zstd::bulk::compress(&body, COMPRESS_LEVEL) {
        Ok(compressed) if compressed.len() < body.len() => ("zstd", compressed),
        _ => ("identity", body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_ends_where_it_comes_to_its_bytes() {
        let sizes = || vec![(3, 10), (4, 10), (7, 30), (8, 1)];
        assert_eq!(last_within(Vec::new(), 10), None);
        assert_eq!(last_within(sizes(), 1), Some(3), "at least one");
        assert_eq!(last_within(sizes(), 20), Some(4));
        assert_eq!(last_within(sizes(), 21), Some(7), "the last may be longer");
        assert_eq!(last_within(sizes(), 100), Some(8));
    }
}
