//! Saving what can be read of a damaged SQLite journal into another folder.
//!
//! The damaged files are copied first and stay as they are: SQLite writes to
//! what it opens. Envelopes are looked for row by row of the table, without the
//! index, each where it lies; those that cannot be read, or are not what was
//! written, are left out. All others keep their positions, so that what was
//! derived from them stays what it is, and a journal that has lost its end ends
//! where the stages know that it once did.

use std::fs;
use std::path::{Path, PathBuf};

use faultline_domain::audit::Entry;
use faultline_domain::envelope::{Envelope, Position};
use faultline_domain::id::{InstanceName, ScopeName};

use crate::commit::CommitPoint;
use crate::database::Database;
use crate::error::StoreError;
use crate::journal::{EnvelopeRow, Row, insert};
use crate::journal_check::{Range, chain};
use crate::stage::StageName;
use crate::{JOURNAL_FILE, JOURNAL_MIGRATIONS, STATE_FILE, Store};

/// What is written at once, and the bytes that its bodies come to, unless one
/// of them is longer.
const ROWS_PER_WRITE: i64 = 256;
const BYTES_PER_WRITE_MAX: usize = 32 << 20;

/// Where the copies lie meanwhile.
const COPIES: &str = "damaged-copies";

/// What SQLite keeps beside a file.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// How many envelopes were saved.
    pub envelopes: u64,
    /// Where envelopes are lost.
    pub lost: Vec<Range>,
    /// Where the journal ends now.
    pub head: Position,
    /// Why the tables could not be taken along; none if they were.
    pub state_lost: Option<String>,
    /// Why pollers begin anew; none if their cursors were taken along.
    pub polls_lost: Option<String>,
}

/// Envelopes of a damaged journal that are good, and where others are not.
struct Found {
    envelopes: Vec<Envelope>,
    /// What their bodies come to.
    bytes: usize,
    lost: Vec<Range>,
}

/// Saves what can be read of the journal of a folder, and its tables if they are
/// whole, into another folder, which must be there and empty. Nobody may be
/// working with either.
///
/// # Errors
/// If not even the structure of the journal can be read, or the new folder
/// cannot be written to.
pub async fn salvage(
    from: &Path,
    to: &Path,
    scope: &ScopeName,
    entry: impl FnOnce(&Salvaged) -> Entry,
) -> Result<Salvaged, StoreError> {
    let copies = to.join(COPIES);
    fs::create_dir(&copies).map_err(sqlx::Error::Io)?;
    let journal = copy(from, &copies, JOURNAL_FILE).map_err(sqlx::Error::Io)?;
    let damaged = Database::open_sqlite(&journal).await?;
    damaged.migrate(&JOURNAL_MIGRATIONS).await?;
    let state_lost = take_state(from, to).await;
    let store = Store::open(to).await?;

    let mut salvaged = Salvaged {
        envelopes: 0,
        lost: Vec::new(),
        head: head(&damaged, scope).await,
        state_lost,
        polls_lost: None,
    };
    let mut rows = Rows::of(&damaged, scope, salvaged.head).await;
    while let Some(found) = rows.next().await? {
        salvaged.envelopes += found.envelopes.len() as u64;
        salvaged.lost.extend(found.lost);
        if let Some(last) = found.envelopes.last() {
            salvaged.head = salvaged.head.max(last.position);
            store.envelope_restore(scope, found.envelopes).await?;
        }
    }
    let last = rows.last_position();
    for stage in StageName::ALL {
        let reached = store.stage_position(scope, stage).await?.position;
        salvaged.head = salvaged.head.max(reached);
    }
    if last < salvaged.head {
        salvaged.lost.push(Range {
            first: Position(last.0 + 1),
            last: salvaged.head,
        });
    }
    store
        .journal_close(scope, salvaged.head, &salvaged.lost)
        .await?;
    salvaged.polls_lost = take_polls(&damaged, &store, scope)
        .await
        .err()
        .map(|error| chain(&error));
    store.audit_append(entry(&salvaged)).await?;
    damaged.close().await;
    store.close().await;
    fs::remove_dir_all(&copies).map_err(sqlx::Error::Io)?;
    Ok(salvaged)
}

/// Copies a database with what SQLite keeps beside it.
fn copy(from: &Path, to: &Path, name: &str) -> std::io::Result<PathBuf> {
    fs::copy(from.join(name), to.join(name))?;
    for beside in BESIDE {
        let beside = format!("{name}{beside}");
        if from.join(&beside).exists() {
            fs::copy(from.join(&beside), to.join(&beside))?;
        }
    }
    Ok(to.join(name))
}

/// Takes the tables along if they are whole. Says why not otherwise.
async fn take_state(from: &Path, to: &Path) -> Option<String> {
    if !from.join(STATE_FILE).exists() {
        return Some(format!("there is no {STATE_FILE}"));
    }
    let taken = async {
        let path = copy(from, to, STATE_FILE).map_err(sqlx::Error::Io)?;
        let database = Database::open_sqlite(&path).await?;
        let lines = database.structure(1).await;
        database.close().await;
        lines.map(|lines| lines.into_iter().next())
    };
    let why = match taken.await {
        Ok(line) => line?,
        Err(error) => chain(&error),
    };
    for end in ["", BESIDE[0], BESIDE[1]] {
        // What is not there need not go.
        let _ = fs::remove_file(to.join(format!("{STATE_FILE}{end}")));
    }
    Some(why)
}

/// Takes the cursors of pollers along.
async fn take_polls(
    damaged: &Database,
    store: &Store,
    scope: &ScopeName,
) -> Result<(), StoreError> {
    let source = Store {
        journal: damaged.clone(),
        state: store.state.clone(),
    };
    let rows: Vec<(String,)> = sqlx::query_as("select instance from poll where scope = $1")
        .bind(scope.as_str())
        .fetch_all(damaged.read())
        .await?;
    for (instance,) in rows {
        let instance =
            InstanceName::new(instance).map_err(|error| StoreError::corrupt("poll", error))?;
        let record = source.poll_fetch(scope, &instance).await?;
        let before = record.version.saturating_sub(1);
        store
            .poll_commit(scope, &instance, before, &record.state, Vec::new())
            .await?;
    }
    Ok(())
}

/// Where the journal says that it ends; the beginning if it cannot say.
async fn head(damaged: &Database, scope: &ScopeName) -> Position {
    sqlx::query_as::<_, (i64,)>("select position from journal_head where scope = $1")
        .bind(scope.as_str())
        .fetch_optional(damaged.read())
        .await
        .ok()
        .flatten()
        .map_or(Position::START, |(position,)| Position::from_i64(position))
}

/// Goes through the table by the numbers that SQLite itself gives to rows: one
/// more for each that is appended.
struct Rows<'a> {
    damaged: &'a Database,
    scope: &'a ScopeName,
    at: i64,
    end: i64,
    /// The last row whose position is known, good or not.
    last: Option<(i64, Position)>,
    /// Rows before the first whose position is known.
    unplaced: Vec<i64>,
}

impl<'a> Rows<'a> {
    async fn of(damaged: &'a Database, scope: &'a ScopeName, head: Position) -> Self {
        let end: Result<(Option<i64>,), _> = sqlx::query_as("select max(rowid) from envelope")
            .fetch_one(damaged.read())
            .await;
        let end = match end {
            Ok((end,)) => end.unwrap_or(0),
            // As many as there ever were.
            Err(_) => head.as_i64(),
        };
        let first: Result<(Option<i64>,), _> = sqlx::query_as("select min(rowid) from envelope")
            .fetch_one(damaged.read())
            .await;
        let first = first.ok().and_then(|(first,)| first).unwrap_or(1);
        Self {
            damaged,
            scope,
            at: first - 1,
            end,
            last: None,
            unplaced: Vec::new(),
        }
    }

    /// The last position that was come by.
    fn last_position(&self) -> Position {
        self.last.map_or(Position::START, |(_, position)| position)
    }

    /// The next rows; none after the last. Each is read by itself: one that
    /// cannot be read spoils no other, and a long one is not kept with others.
    async fn next(&mut self) -> Result<Option<Found>, StoreError> {
        if self.at >= self.end {
            return Ok(None);
        }
        let to = self.end.min(self.at + ROWS_PER_WRITE);
        let mut found = Found {
            envelopes: Vec::new(),
            bytes: 0,
            lost: Vec::new(),
        };
        while self.at < to && found.bytes < BYTES_PER_WRITE_MAX {
            self.at += 1;
            match self.read(self.at).await {
                Ok(Some(row)) => self.take(self.at, row, &mut found),
                Ok(None) => {}
                Err(_) => self.lose(self.at, &mut found),
            }
        }
        Ok(Some(found))
    }

    async fn read(&self, number: i64) -> Result<Option<EnvelopeRow>, sqlx::Error> {
        // The plus keeps SQLite from using the index, which may be damaged too.
        sqlx::query_as(
            "select scope, position, source, format, content_type, headers, encoding, body, \
             received, checksum from envelope where rowid = $1 and +scope = $2",
        )
        .bind(number)
        .bind(self.scope.as_str())
        .fetch_optional(self.damaged.read())
        .await
    }

    fn take(&mut self, number: i64, row: EnvelopeRow, found: &mut Found) {
        let position = row.position();
        let Ok(envelope) = row.into_envelope() else {
            // Not even its position can be relied on.
            return self.lose(number, found);
        };
        for earlier in std::mem::take(&mut self.unplaced) {
            let before = u64::try_from(number - earlier).unwrap_or(0);
            Range::note(&mut found.lost, Position(position.0.saturating_sub(before)));
        }
        if let Some((_, last)) = self.last {
            for missing in last.0 + 1..position.0 {
                Range::note(&mut found.lost, Position(missing));
            }
        }
        self.last = Some((number, position));
        found.bytes += envelope.arrival.body.len();
        found.envelopes.push(envelope);
    }

    fn lose(&mut self, number: i64, found: &mut Found) {
        match self.last {
            Some((_, position)) => {
                let position = Position(position.0 + 1);
                Range::note(&mut found.lost, position);
                self.last = Some((number, position));
            }
            None => self.unplaced.push(number),
        }
    }
}

impl Store {
    /// Writes envelopes where they lay in another journal.
    ///
    /// # Errors
    /// If the database refuses, or there is one at such a position; nothing is
    /// written then.
    pub async fn envelope_restore(
        &self,
        scope: &ScopeName,
        envelopes: Vec<Envelope>,
    ) -> Result<(), StoreError> {
        let rows: Vec<Row> = envelopes
            .into_iter()
            .map(|envelope| {
                let received = envelope.arrival.received.as_i64();
                Row::new(
                    scope,
                    envelope.position.as_i64(),
                    envelope.arrival,
                    received,
                )
            })
            .collect();
        let mut transaction = self.journal.write().await?;
        insert(&mut transaction, scope, &rows).await?;
        transaction.commit(CommitPoint::EnvelopeRestore).await
    }

    /// Says where a journal ends that was written with
    /// [`Store::envelope_restore`], and what of it is lost.
    ///
    /// # Errors
    /// If the database refuses; nothing is written then.
    pub async fn journal_close(
        &self,
        scope: &ScopeName,
        head: Position,
        lost: &[Range],
    ) -> Result<(), StoreError> {
        let mut transaction = self.journal.write().await?;
        sqlx::query(
            "insert into journal_head (scope, position, received) \
             select $1, $2, coalesce(max(received), 0) from envelope where scope = $1",
        )
        .bind(scope.as_str())
        .bind(head.as_i64())
        .execute(&mut **transaction)
        .await?;
        for range in lost {
            sqlx::query("insert into journal_loss (scope, first, last) values ($1, $2, $3)")
                .bind(scope.as_str())
                .bind(range.first.as_i64())
                .bind(range.last.as_i64())
                .execute(&mut **transaction)
                .await?;
        }
        transaction.commit(CommitPoint::JournalClose).await
    }
}
