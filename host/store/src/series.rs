//! The catalogue of series and log sources, and the history of series.

use faultline_domain::entity::Entity;
use faultline_domain::envelope::Position;
use faultline_domain::id::ScopeName;
use faultline_domain::labels::Labels;
use faultline_domain::telemetry::{LogSource, Reading, SeriesDef, SeriesKey};
use faultline_domain::time::Timestamp;
use sqlx::{Any, Transaction};

use crate::error::StoreError;
use crate::page::{Cursor, Page, fetch_rows};
use crate::rows::{from_json, insert_rows, json, signed, text, unsigned, upsert_rows};
use crate::tail::band;
use crate::{Store, column};

/// The most chunks of one read.
const CHUNKS_PER_READ_MAX: i64 = 10_000;

/// A series with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesRecord {
    /// The catalogue's number.
    pub id: u32,
    /// What the sender measures, and how its values are to be read.
    pub def: SeriesDef,
    /// The envelope that first spoke of it.
    pub first: Position,
}

/// Which series to list; what is none does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeriesFilter {
    /// Measured on this.
    pub entity: Option<Entity>,
    /// With a name that contains this, upper and lower case told apart.
    pub name: Option<String>,
}

/// A log source with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSourceRecord {
    /// The catalogue's number.
    pub id: u32,
    /// Where the lines come from.
    pub source: LogSource,
    /// The envelope that first spoke of it.
    pub first: Position,
}

/// Samples of one series, ascending in time; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// The catalogue's number.
    pub series: u32,
    /// Times of the samples.
    pub times: Vec<Timestamp>,
    /// Their values; as many as times.
    pub values: Vec<f64>,
}

impl Store {
    /// The whole catalogue of series, by number.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn series_list(&self, scope: &ScopeName) -> Result<Vec<SeriesRecord>, StoreError> {
        let rows: Vec<SeriesRow> =
            sqlx::query_as("select * from series where scope = $1 order by id")
                .bind(scope.as_str())
                .fetch_all(self.state.read())
                .await?;
        rows.into_iter().map(SeriesRow::into_record).collect()
    }

    /// Some of the catalogue of series, by number.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn series_page(
        &self,
        scope: &ScopeName,
        filter: &SeriesFilter,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<SeriesRecord>, StoreError> {
        // Not `like`, which tells upper and lower case apart on PostgreSQL
        // only.
        let rows: Vec<SeriesRow> = sqlx::query_as(
            "select * from series where scope = $1 and id > $2 and ($3 = '' or entity = $3) \
             and ($4 = '' or replace(name, $4, '') <> name) order by id limit $5",
        )
        .bind(scope.as_str())
        .bind(after.map_or(-1, |cursor| cursor.number_signed()))
        .bind(
            filter
                .entity
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
        )
        .bind(text(filter.name.as_deref().unwrap_or("")))
        .bind(fetch_rows(limit))
        .fetch_all(self.state.read())
        .await?;
        let series = rows
            .into_iter()
            .map(SeriesRow::into_record)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Page::from_rows(series, limit, |record| Cursor {
            number: u64::from(record.id),
            id: String::new(),
        }))
    }

    /// About how many samples [`Store::sample_list`] would read: those of all
    /// chunks that reach into the time, and of such tails the series' share.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn sample_count(
        &self,
        scope: &ScopeName,
        series: u32,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<u64, StoreError> {
        let (count,): (i64,) = sqlx::query_as(
            "select cast(coalesce(sum(samples), 0) as bigint) from ( \
             select sample_count as samples from series_chunk \
             where scope = $1 and series = $2 and start <= $4 and finish >= $3 \
             union all \
             select sample_count / series_count as samples from series_tail \
             where scope = $1 and band = $5 and start <= $4 and finish >= $3 \
             and series_count > 0) as found",
        )
        .bind(scope.as_str())
        .bind(i64::from(series))
        .bind(from.as_i64())
        .bind(to.as_i64())
        .bind(i64::from(band(series)))
        .fetch_one(self.state.read())
        .await?;
        Ok(unsigned(count))
    }

    /// When the last sample of a series was taken; none if there is no sample.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn sample_last(
        &self,
        scope: &ScopeName,
        series: u32,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (last,): (Option<i64>,) =
            sqlx::query_as("select max(finish) from series_chunk where scope = $1 and series = $2")
                .bind(scope.as_str())
                .bind(i64::from(series))
                .fetch_one(self.state.read())
                .await?;
        let last = last.map(Timestamp::from_i64);
        let from = last.unwrap_or(Timestamp::ZERO);
        let newer = self.tail_samples(scope, series, from, Timestamp::MAX);
        let newest = newer.await?.into_iter().map(|(at, _)| at).max();
        Ok(newest.max(last))
    }

    /// One series.
    ///
    /// # Errors
    /// If the database refuses, or the row cannot be read.
    pub async fn series_fetch(
        &self,
        scope: &ScopeName,
        id: u32,
    ) -> Result<Option<SeriesRecord>, StoreError> {
        let row: Option<SeriesRow> =
            sqlx::query_as("select * from series where scope = $1 and id = $2")
                .bind(scope.as_str())
                .bind(i64::from(id))
                .fetch_optional(self.state.read())
                .await?;
        row.map(SeriesRow::into_record).transpose()
    }

    /// The whole catalogue of log sources, by number.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn log_source_list(
        &self,
        scope: &ScopeName,
    ) -> Result<Vec<LogSourceRecord>, StoreError> {
        let rows: Vec<LogSourceRow> =
            sqlx::query_as("select * from log_source where scope = $1 order by id")
                .bind(scope.as_str())
                .fetch_all(self.state.read())
                .await?;
        rows.into_iter().map(LogSourceRow::into_record).collect()
    }

    /// The samples of a series from one time to another, both included.
    ///
    /// # Errors
    /// If the database refuses, or a chunk cannot be read.
    pub async fn sample_list(
        &self,
        scope: &ScopeName,
        series: u32,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Timestamp, f64)>, StoreError> {
        let rows: Vec<(Vec<u8>,)> = sqlx::query_as(
            "select data from series_chunk where scope = $1 and series = $2 \
             and start <= $4 and finish >= $3 order by start limit $5",
        )
        .bind(scope.as_str())
        .bind(i64::from(series))
        .bind(from.as_i64())
        .bind(to.as_i64())
        .bind(CHUNKS_PER_READ_MAX)
        .fetch_all(self.state.read())
        .await?;
        let mut samples = Vec::new();
        for (data,) in rows {
            let decoded = decode(&data)?;
            samples.extend(
                decoded
                    .into_iter()
                    .filter(|(at, _)| (from..=to).contains(at)),
            );
        }
        samples.extend(self.tail_samples(scope, series, from, to).await?);
        // What a tail has may be in a chunk by now, and chunks of what came again
        // from the journal after a crash may overlap.
        samples.sort_by_key(|(at, _)| *at);
        samples.dedup_by(|again, (at, value)| {
            let is_same = again.0 == *at;
            debug_assert!(
                !is_same || again.1.to_bits() == value.to_bits(),
                "series {series} has {value} and {} at {at}",
                again.1
            );
            is_same
        });
        Ok(samples)
    }
}

#[derive(sqlx::FromRow)]
struct SeriesRow {
    id: i64,
    name: String,
    unit: String,
    reading: String,
    entity: Option<String>,
    attributes: String,
    first_position: i64,
}

impl SeriesRow {
    fn into_record(self) -> Result<SeriesRecord, StoreError> {
        Ok(SeriesRecord {
            id: number(self.id)?,
            def: SeriesDef {
                reading: Reading::from_word(&self.reading)
                    .ok_or_else(|| StoreError::corrupt("series", &self.reading))?,
                key: SeriesKey {
                    name: self.name,
                    unit: self.unit,
                    entity: entity(self.entity)?,
                    attributes: from_json::<Labels>("series", &self.attributes)?,
                },
            },
            first: Position::from_i64(self.first_position),
        })
    }
}

#[derive(sqlx::FromRow)]
struct LogSourceRow {
    id: i64,
    entity: Option<String>,
    attributes: String,
    first_position: i64,
}

impl LogSourceRow {
    fn into_record(self) -> Result<LogSourceRecord, StoreError> {
        Ok(LogSourceRecord {
            id: number(self.id)?,
            source: LogSource {
                entity: entity(self.entity)?,
                attributes: from_json::<Labels>("log_source", &self.attributes)?,
            },
            first: Position::from_i64(self.first_position),
        })
    }
}

fn number(id: i64) -> Result<u32, StoreError> {
    u32::try_from(id).map_err(|error| StoreError::corrupt("series", error))
}

fn entity(text: Option<String>) -> Result<Option<Entity>, StoreError> {
    text.map(|text| text.parse())
        .transpose()
        .map_err(|error| StoreError::corrupt("series", error))
}

pub(crate) async fn insert(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    series: &[SeriesRecord],
    log_sources: &[LogSourceRecord],
) -> Result<(), StoreError> {
    insert_rows(
        transaction,
        "insert into series (scope, id, name, unit, reading, entity, attributes, \
         first_position) values",
        8,
        "on conflict (scope, id) do nothing",
        series,
        |query, record| {
            let key = &record.def.key;
            query
                .bind(scope.as_str())
                .bind(i64::from(record.id))
                .bind(text(&key.name))
                .bind(text(&key.unit))
                .bind(record.def.reading.as_str())
                .bind(key.entity.as_ref().map(ToString::to_string))
                .bind(json(&key.attributes))
                .bind(record.first.as_i64())
        },
    )
    .await?;
    insert_rows(
        transaction,
        "insert into log_source (scope, id, entity, attributes, first_position) values",
        5,
        "on conflict (scope, id) do nothing",
        log_sources,
        |query, record| {
            query
                .bind(scope.as_str())
                .bind(i64::from(record.id))
                .bind(record.source.entity.as_ref().map(ToString::to_string))
                .bind(json(&record.source.attributes))
                .bind(record.first.as_i64())
        },
    )
    .await
}

pub(crate) async fn insert_chunks(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    chunks: &[Chunk],
) -> Result<(), StoreError> {
    let encoded = chunks
        .iter()
        .filter(|chunk| !chunk.times.is_empty())
        .map(|chunk| Ok((chunk, encode(chunk)?)))
        .collect::<Result<Vec<(&Chunk, Vec<u8>)>, StoreError>>()?;
    upsert_rows(
        transaction,
        "insert into series_chunk (scope, series, start, finish, sample_count, data) values",
        6,
        "on conflict (scope, series, start) do update set finish = excluded.finish, \
         sample_count = excluded.sample_count, data = excluded.data",
        &encoded,
        |(chunk, _)| (chunk.series, chunk.times.first()),
        |query, (chunk, data)| {
            let at = |time: Option<&Timestamp>| time.map_or(0, |time| time.as_i64());
            query
                .bind(scope.as_str())
                .bind(i64::from(chunk.series))
                .bind(at(chunk.times.first()))
                .bind(at(chunk.times.last()))
                .bind(signed(chunk.times.len() as u64))
                .bind(data.as_slice())
        },
    )
    .await
}

/// A column of times, then the values alone.
fn encode(chunk: &Chunk) -> Result<Vec<u8>, StoreError> {
    let corrupt = |error| StoreError::corrupt("series_chunk", error);
    let times: Vec<u64> = chunk.times.iter().map(|time| time.as_micros()).collect();
    let mut data = Vec::new();
    column::append(&mut data, &times).map_err(corrupt)?;
    data.extend(column::compress(&chunk.values).map_err(corrupt)?);
    Ok(data)
}

fn decode(mut data: &[u8]) -> Result<Vec<(Timestamp, f64)>, StoreError> {
    let corrupt = |error| StoreError::corrupt("series_chunk", error);
    let times: Vec<u64> = column::take(&mut data).map_err(corrupt)?;
    let values: Vec<f64> = column::expand(data).map_err(corrupt)?;
    if times.len() != values.len() {
        return Err(corrupt(column::ColumnError::Uneven));
    }
    Ok(times
        .into_iter()
        .map(Timestamp::from_micros)
        .zip(values)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_read_back_what_was_written() {
        let times: Vec<Timestamp> = (0..120)
            .map(|i| Timestamp::from_secs(1_000 + 15 * i))
            .collect();
        let values: Vec<f64> = (0..120).map(|i| f64::from(i % 7) * 0.1).collect();
        let chunk = Chunk {
            series: 1,
            times: times.clone(),
            values: values.clone(),
        };
        let data = encode(&chunk).expect("encodes");
        assert!(data.len() < 120 * 16 / 4, "{} bytes", data.len());
        let samples = decode(&data).expect("decodes");
        assert_eq!(samples, times.into_iter().zip(values).collect::<Vec<_>>());
        assert!(decode(&data[..data.len() / 2]).is_err());
        assert!(decode(&[]).is_err());
    }
}
