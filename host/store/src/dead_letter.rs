//! What could not be dealt with: kept, shown, and never in the way.

use faultline_domain::envelope::Position;
use faultline_domain::id::{ScopeName, SourceName};
use faultline_domain::time::Timestamp;
use sqlx::{Any, Transaction};

use crate::Store;
use crate::error::StoreError;
use crate::page::{Cursor, Page, fetch_rows};
use crate::rows::{parameter_list, text, upsert_rows};

/// The most positions that one statement looks for.
const POSITIONS_PER_STATEMENT: usize = 256;

/// Why a letter is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LetterKind {
    /// The payload, or some of it, could not be read.
    Fault,
    /// It made a plugin fail, and is not shown to it again.
    Poison,
    /// Whoever reads it is not called at the moment.
    Held,
    /// A plugin failed here, and no payload is to blame.
    Failure,
}

impl LetterKind {
    /// All kinds.
    pub const ALL: [LetterKind; 4] = [
        LetterKind::Fault,
        LetterKind::Poison,
        LetterKind::Held,
        LetterKind::Failure,
    ];

    /// The word that stands for it everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            LetterKind::Fault => "fault",
            LetterKind::Poison => "poison",
            LetterKind::Held => "held",
            LetterKind::Failure => "failure",
        }
    }

    fn from_word(word: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| StoreError::corrupt("dead_letter", format!("no kind `{word}`")))
    }
}

/// Which letters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LetterFilter {
    /// Only those of this kind.
    pub kind: Option<LetterKind>,
    /// Only those of this reader.
    pub reader: Option<String>,
}

/// A payload, or the rows of one, that a reader could not deal with. The
/// payload itself lies in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where in the journal.
    pub position: Position,
    /// Who could not deal with it: a format, or an instance.
    pub reader: String,
    /// Why it is dead.
    pub kind: LetterKind,
    /// When the payload arrived.
    pub received: Timestamp,
    /// Who sent it.
    pub source: SourceName,
    /// `malformed`, `trap`, the name of a limit, …
    pub code: String,
    /// What was wrong.
    pub message: String,
}

impl Store {
    /// Dead letters, the last first.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn dead_letter_list(
        &self,
        scope: &ScopeName,
        filter: &LetterFilter,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<DeadLetter>, StoreError> {
        let after = after.unwrap_or_else(Cursor::latest);
        let rows: Vec<DeadLetterRow> = sqlx::query_as(
            "select * from dead_letter where scope = $1 and (position, reader) < ($2, $3) \
             and ($4 = '' or kind = $4) and ($5 = '' or reader = $5) \
             order by position desc, reader desc limit $6",
        )
        .bind(scope.as_str())
        .bind(after.number_signed())
        .bind(after.id)
        .bind(filter.kind.map_or("", LetterKind::as_str))
        .bind(text(filter.reader.as_deref().unwrap_or("")))
        .bind(fetch_rows(limit))
        .fetch_all(self.state.read())
        .await?;
        let letters = rows
            .into_iter()
            .map(DeadLetterRow::into_letter)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Page::from_rows(letters, limit, |letter| Cursor {
            number: letter.position.0,
            id: letter.reader.clone(),
        }))
    }

    /// Failures of plugins after a position, in order: those that name a
    /// payload to blame, and those that do not.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn failure_list(
        &self,
        scope: &ScopeName,
        after: Position,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let rows: Vec<DeadLetterRow> = sqlx::query_as(
            "select * from dead_letter where scope = $1 and kind in ('poison', 'failure') \
             and position > $2 order by position, reader",
        )
        .bind(scope.as_str())
        .bind(after.as_i64())
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter().map(DeadLetterRow::into_letter).collect()
    }

    /// The dead letters of one envelope.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn dead_letters_at(
        &self,
        scope: &ScopeName,
        position: Position,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let rows: Vec<DeadLetterRow> = sqlx::query_as(
            "select * from dead_letter where scope = $1 and position = $2 order by reader",
        )
        .bind(scope.as_str())
        .bind(position.as_i64())
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter().map(DeadLetterRow::into_letter).collect()
    }

    /// The dead letters of some envelopes, by position.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn dead_letters_among(
        &self,
        scope: &ScopeName,
        positions: &[Position],
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let mut letters = Vec::new();
        for positions in positions.chunks(POSITIONS_PER_STATEMENT) {
            // Filled up to one of a few lengths with a position that no
            // envelope has, so that few statements are prepared and kept.
            let length = positions.len().next_power_of_two();
            let sql = format!(
                "select * from dead_letter where scope = $1 and position in ({}) \
                 order by position, reader",
                parameter_list(2, length)
            );
            let query = sqlx::query_as::<_, DeadLetterRow>(sqlx::AssertSqlSafe(sql));
            let padding = std::iter::repeat_n(Position::START, length - positions.len());
            let query = positions
                .iter()
                .copied()
                .chain(padding)
                .fold(query.bind(scope.as_str()), |query, position| {
                    query.bind(position.as_i64())
                });
            for row in query.fetch_all(self.state.read()).await? {
                letters.push(row.into_letter()?);
            }
        }
        Ok(letters)
    }
}

#[derive(sqlx::FromRow)]
struct DeadLetterRow {
    position: i64,
    reader: String,
    kind: String,
    received: i64,
    source: String,
    code: String,
    message: String,
}

impl DeadLetterRow {
    fn into_letter(self) -> Result<DeadLetter, StoreError> {
        Ok(DeadLetter {
            position: Position::from_i64(self.position),
            reader: self.reader,
            kind: LetterKind::from_word(&self.kind)?,
            received: Timestamp::from_i64(self.received),
            source: SourceName::new(self.source)
                .map_err(|error| StoreError::corrupt("dead_letter", error))?,
            code: self.code,
            message: self.message,
        })
    }
}

pub(crate) async fn insert(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    letters: &[DeadLetter],
) -> Result<(), StoreError> {
    upsert_rows(
        transaction,
        "insert into dead_letter (scope, position, reader, kind, received, source, code, message) \
         values",
        8,
        "on conflict (scope, position, reader) do update set kind = excluded.kind, \
         code = excluded.code, message = excluded.message",
        letters,
        |letter| (letter.position, letter.reader.as_str()),
        |query, letter| {
            query
                .bind(scope.as_str())
                .bind(letter.position.as_i64())
                .bind(&letter.reader)
                .bind(letter.kind.as_str())
                .bind(letter.received.as_i64())
                .bind(letter.source.as_str())
                .bind(text(&letter.code))
                .bind(text(&letter.message))
        },
    )
    .await
}
