//! Samples that are not in a chunk yet.
//!
//! A chunk is of one series and written once, when it is full. What comes
//! before that must outlast a crash too, and be read; it is written in the order
//! in which it comes, many series side by side, as the head of a log-structured
//! merge tree is (O'Neil et al., "The Log-Structured Merge-Tree", 1996). So a
//! checkpoint costs what came since the one before, however many series are
//! open.

use faultline_domain::id::ScopeName;
use faultline_domain::time::Timestamp;
use sqlx::{Any, Transaction};

use crate::Store;
use crate::column::{self, ColumnError};
use crate::error::StoreError;
use crate::rows::{signed, unsigned, upsert_rows};

/// So many series, from a multiple of it on, have their tails together.
pub const BAND_SERIES: u32 = 256;

/// What came of a band of series between two checkpoints, but for what is in
/// chunks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tail {
    /// The number of the series over [`BAND_SERIES`].
    pub band: u32,
    /// Counts the checkpoints that wrote tails, of whatever band.
    pub ordinal: u64,
    /// Up to when the samples of a series are in chunks, for those of which
    /// samples in earlier tails are.
    pub closed: Vec<(u32, Timestamp)>,
    /// The samples: the series' numbers, times and values. Ascending in time.
    pub samples: Vec<(u32, Timestamp, f64)>,
}

/// Tails that are of no use any more: all their samples are in chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailsDone {
    /// Those of this band.
    pub band: u32,
    /// Before this ordinal.
    pub before: u64,
}

/// The band that a series is in.
#[must_use]
pub const fn band(series: u32) -> u32 {
    series / BAND_SERIES
}

impl Store {
    /// The tails of a band, in the order in which they were written.
    ///
    /// # Errors
    /// If the database refuses, or a tail cannot be read.
    pub async fn tail_list(&self, scope: &ScopeName, band: u32) -> Result<Vec<Tail>, StoreError> {
        let rows = self.tail_rows(scope, band, Timestamp::ZERO, Timestamp::MAX);
        let tails = rows.await?.into_iter();
        tails
            .map(|(ordinal, data)| Tail::decode(band, unsigned(ordinal), &data))
            .collect::<Result<_, _>>()
            .map_err(corrupt)
    }

    /// The samples of one series that stand in tails, from one time to another,
    /// both included. One tail at a time is expanded: beside that series stand
    /// 255 others.
    pub(crate) async fn tail_samples(
        &self,
        scope: &ScopeName,
        series: u32,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Timestamp, f64)>, StoreError> {
        let mut samples = Vec::new();
        for (ordinal, data) in self.tail_rows(scope, band(series), from, to).await? {
            let tail = Tail::decode(band(series), unsigned(ordinal), &data).map_err(corrupt)?;
            let of_it = tail.samples.into_iter();
            samples.extend(
                of_it
                    .filter(|(of, at, _)| *of == series && (from..=to).contains(at))
                    .map(|(_, at, value)| (at, value)),
            );
        }
        Ok(samples)
    }

    /// Ordinals and bytes of those with something from one time to another, both
    /// included.
    async fn tail_rows(
        &self,
        scope: &ScopeName,
        band: u32,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        let rows = sqlx::query_as(
            "select ordinal, data from series_tail where scope = $1 and band = $2 \
             and start <= $4 and finish >= $3 order by ordinal",
        )
        .bind(scope.as_str())
        .bind(i64::from(band))
        .bind(from.as_i64())
        .bind(to.as_i64())
        .fetch_all(self.state.read())
        .await?;
        Ok(rows)
    }
}

impl Tail {
    /// The first and the last time; none if there is nothing in it.
    fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let samples = self.samples.iter().map(|(_, at, _)| *at);
        let closed = self.closed.iter().map(|(_, at)| *at);
        let start = samples.clone().chain(closed.clone()).min()?;
        let finish = samples.chain(closed).max()?;
        Some((start, finish))
    }

    fn series_count(&self) -> usize {
        let mut series: Vec<u32> = self.samples.iter().map(|(series, _, _)| *series).collect();
        series.sort_unstable();
        series.dedup();
        series.len()
    }

    fn encode(&self) -> Result<Vec<u8>, ColumnError> {
        let micros = |at: &Timestamp| at.as_micros();
        let mut data = Vec::new();
        let (series, times): (Vec<u32>, Vec<u64>) = self
            .closed
            .iter()
            .map(|(series, at)| (series, micros(at)))
            .unzip();
        column::append(&mut data, &series)?;
        column::append(&mut data, &times)?;
        let series: Vec<u32> = self.samples.iter().map(|(series, _, _)| *series).collect();
        let times: Vec<u64> = self.samples.iter().map(|(_, at, _)| micros(at)).collect();
        let values: Vec<f64> = self.samples.iter().map(|(_, _, value)| *value).collect();
        column::append(&mut data, &series)?;
        column::append(&mut data, &times)?;
        column::append(&mut data, &values)?;
        Ok(data)
    }

    fn decode(band: u32, ordinal: u64, mut data: &[u8]) -> Result<Self, ColumnError> {
        let rest = &mut data;
        let series: Vec<u32> = own(band, column::take(rest)?)?;
        let times: Vec<u64> = column::take(rest)?;
        if series.len() != times.len() {
            return Err(ColumnError::Uneven);
        }
        let closed = series
            .into_iter()
            .zip(times.into_iter().map(Timestamp::from_micros))
            .collect();
        let series: Vec<u32> = own(band, column::take(rest)?)?;
        let times: Vec<u64> = column::take(rest)?;
        let values: Vec<f64> = column::take(rest)?;
        if [times.len(), values.len()] != [series.len(); 2] {
            return Err(ColumnError::Uneven);
        }
        if !rest.is_empty() {
            return Err(ColumnError::Long);
        }
        let times = times.into_iter().map(Timestamp::from_micros);
        let samples = series.into_iter().zip(times).zip(values);
        Ok(Self {
            band,
            ordinal,
            closed,
            samples: samples
                .map(|((series, at), value)| (series, at, value))
                .collect(),
        })
    }
}

/// Numbers of series, all of the band.
fn own(of: u32, series: Vec<u32>) -> Result<Vec<u32>, ColumnError> {
    match series.iter().find(|series| band(**series) != of) {
        Some(foreign) => Err(ColumnError::Foreign(*foreign)),
        None => Ok(series),
    }
}

fn corrupt(error: ColumnError) -> StoreError {
    StoreError::corrupt("series_tail", error)
}

/// Writes tails, and forgets those that are done with.
pub(crate) async fn write(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    tails: &[Tail],
    done: &[TailsDone],
) -> Result<(), StoreError> {
    let encoded = tails
        .iter()
        .filter_map(|tail| Some((tail, tail.span()?)))
        .map(|(tail, span)| Ok((tail, span, tail.encode()?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(corrupt)?;
    upsert_rows(
        transaction,
        "insert into series_tail \
         (scope, band, ordinal, start, finish, sample_count, series_count, data) values",
        8,
        "on conflict (scope, band, ordinal) do update set start = excluded.start, \
         finish = excluded.finish, sample_count = excluded.sample_count, \
         series_count = excluded.series_count, data = excluded.data",
        &encoded,
        |(tail, _, _)| (tail.band, tail.ordinal),
        |query, (tail, (start, finish), data)| {
            query
                .bind(scope.as_str())
                .bind(i64::from(tail.band))
                .bind(signed(tail.ordinal))
                .bind(start.as_i64())
                .bind(finish.as_i64())
                .bind(signed(tail.samples.len() as u64))
                .bind(signed(tail.series_count() as u64))
                .bind(data.as_slice())
        },
    )
    .await?;
    for TailsDone { band, before } in done {
        sqlx::query("delete from series_tail where scope = $1 and band = $2 and ordinal < $3")
            .bind(scope.as_str())
            .bind(i64::from(*band))
            .bind(signed(*before))
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_read_back_what_was_written() {
        let at = Timestamp::from_secs;
        let whole = Tail {
            band: 2,
            ordinal: 7,
            closed: vec![(513, at(90))],
            samples: vec![
                (512, at(100), 0.5),
                (513, at(100), f64::MAX),
                (512, at(115), -1.0),
            ],
        };
        for tail in [whole, Tail::default()] {
            let data = tail.encode().expect("encodes");
            let read = Tail::decode(tail.band, tail.ordinal, &data);
            assert_eq!(read.expect("decodes"), tail);
            let shorter = &data[..data.len() - 1];
            assert!(Tail::decode(tail.band, 0, shorter).is_err());
            let longer = [data.as_slice(), &[0]].concat();
            assert!(Tail::decode(tail.band, 0, &longer).is_err());
        }
        assert!(Tail::decode(0, 0, &[]).is_err());
    }

    #[test]
    fn columns_that_do_not_belong_together_are_refused() {
        let of = |closed: (&[u32], &[u64]), series: &[u32], times: &[u64], values: &[f64]| {
            let mut data = Vec::new();
            column::append(&mut data, closed.0).expect("encodes");
            column::append(&mut data, closed.1).expect("encodes");
            column::append(&mut data, series).expect("encodes");
            column::append(&mut data, times).expect("encodes");
            column::append(&mut data, values).expect("encodes");
            Tail::decode(2, 0, &data)
        };
        assert!(of((&[513], &[9]), &[512], &[1], &[0.5]).is_ok());
        let bad = [
            of((&[513], &[]), &[512], &[1], &[0.5]),
            of((&[513], &[9]), &[512, 512], &[1], &[0.5]),
            of((&[513], &[9]), &[512], &[1, 2], &[0.5]),
            of((&[513], &[9]), &[512], &[1], &[]),
            of((&[511], &[9]), &[512], &[1], &[0.5]),
            of((&[513], &[9]), &[u32::MAX], &[1], &[0.5]),
        ];
        for decoded in bad {
            assert!(decoded.is_err(), "{decoded:?}");
        }
    }
}
