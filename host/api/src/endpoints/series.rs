//! Series of the catalogue, and their samples.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use faultline_domain::entity::Entity;
use faultline_domain::time::Timestamp;
use faultline_store::{SeriesFilter, SeriesRecord};
use serde::Deserialize;

use super::{Answered, App};
use crate::extract::{NoQuery, Path, Query};
use crate::listing::{After, Limit, page};
use crate::problem::{Problem, ProblemKind};
use crate::shared::Shared;
use crate::views::{Page, Place, Sample, Samples, Series, Time};

/// The most samples that are read for one answer.
const SAMPLES_READ_MAX: u64 = 500_000;

/// The most points of one answer.
const POINTS_MAX: u32 = 2_000;

/// The most characters of a part of a name that is looked for.
const NAME_CHARS_MAX: usize = 200;

/// Points of an answer, if the caller does not say.
const POINTS_DEFAULT: u32 = 500;

/// How far back samples go, if the caller does not say.
const SPAN_DEFAULT: Duration = Duration::from_secs(3_600);

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SeriesListQuery {
    /// Measured on this, as `kind/name`.
    #[param(value_type = Option<String>, example = "service/checkout")]
    entity: Option<Entity>,
    /// With a sender's name that contains this.
    #[param(max_length = 200, example = "duration")]
    name: Option<String>,
    /// `next` of the page before.
    #[param(value_type = Option<String>, pattern = r"^[0-9]{1,18}\.[\s\S]+$")]
    after: Option<After>,
    /// How many rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Limit>,
}

/// Series of the catalogue, by number.
#[utoipa::path(
    get, path = "/series", tag = "series", params(SeriesListQuery),
    responses((status = 200, description = "Some of them.", body = Page<Series>))
)]
pub(crate) async fn series_list(
    State(shared): App,
    Query(query): Query<SeriesListQuery>,
) -> Answered<Page<Series>> {
    let is_too_long = |name: &String| name.chars().count() > NAME_CHARS_MAX;
    if query.name.as_ref().is_some_and(is_too_long) {
        let detail = format!("must have {NAME_CHARS_MAX} characters at most");
        return Err(Problem::malformed(Place::Query, "name", detail));
    }
    let filter = SeriesFilter {
        entity: query.entity,
        name: query.name,
    };
    let rows = query.limit.unwrap_or_default().rows();
    let after = After::cursor(query.after);
    let series = shared
        .store
        .series_page(shared.scope(), &filter, after, rows)
        .await?;
    Ok(Json(page(series, Series::from)))
}

/// A series of the catalogue.
#[utoipa::path(
    get, path = "/series/{id}", tag = "series",
    params(("id" = u32, Path, description = "The catalogue's number.")),
    responses((status = 200, description = "The series.", body = Series))
)]
pub(crate) async fn series_fetch(
    State(shared): App,
    Path(id): Path<u32>,
    _: NoQuery,
) -> Answered<Series> {
    Ok(Json(fetch(&shared, id).await?.into()))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SampleListQuery {
    /// From when on, included. Left out: an hour before `to`.
    from: Option<Time>,
    /// Until when, included. Left out: the last sample there is.
    to: Option<Time>,
    /// The most points of the answer. If there are more samples, several make
    /// one point.
    #[param(minimum = 1, maximum = 2_000, default = 500)]
    points: Option<u32>,
}

/// The samples of a series, oldest first.
#[utoipa::path(
    get, path = "/series/{id}/samples", tag = "series",
    params(("id" = u32, Path, description = "The catalogue's number."), SampleListQuery),
    responses(
        (status = 200, description = "The samples.", body = Samples),
        (status = 422, description = "`from` comes after `to`, or there are too many to be read at once: ask for less time.")
    )
)]
pub(crate) async fn sample_list(
    State(shared): App,
    Path(id): Path<u32>,
    Query(query): Query<SampleListQuery>,
) -> Answered<Samples> {
    let points = match query.points {
        None => POINTS_DEFAULT,
        Some(points @ 1..=POINTS_MAX) => points,
        Some(_) => {
            let detail = format!("must be a number from 1 to {POINTS_MAX}");
            return Err(Problem::malformed(Place::Query, "points", detail));
        }
    };
    let series = fetch(&shared, id).await?;
    let (from, to) = span(&shared, id, &query).await?;
    let (store, scope) = (&shared.store, shared.scope());
    let count = store.sample_count(scope, id, from, to).await?;
    if count > SAMPLES_READ_MAX {
        return Err(Problem::new(
            ProblemKind::Invalid,
            format!(
                "there are about {count} samples between {from} and {to}; {SAMPLES_READ_MAX} at \
                 most are read at once: ask for less time"
            ),
        ));
    }
    let samples = store.sample_list(scope, id, from, to).await?;
    Ok(Json(Samples {
        series: series.into(),
        from: from.into(),
        to: to.into(),
        samples: samples.len() as u64,
        points: thin_out(&samples, points as usize),
    }))
}

async fn fetch(shared: &Shared, id: u32) -> Result<SeriesRecord, Problem> {
    let found = shared.store.series_fetch(shared.scope(), id).await?;
    found.ok_or_else(|| Problem::not_found(format!("there is no series {id}")))
}

async fn span(
    shared: &Shared,
    id: u32,
    query: &SampleListQuery,
) -> Result<(Timestamp, Timestamp), Problem> {
    let from = query.from.map(|Time(from)| from);
    let to = if let Some(Time(to)) = query.to {
        to
    } else {
        let last = shared.store.sample_last(shared.scope(), id).await?;
        // What begins after the last sample is empty, and no mistake.
        last.max(from).unwrap_or_default()
    };
    let from = from.unwrap_or(to.minus(SPAN_DEFAULT));
    if from > to {
        let detail = format!("{from} comes after `to`, {to}");
        return Err(Problem::invalid_at(Place::Query, "from", detail));
    }
    Ok((from, to))
}

/// At most so many points: as many samples to each as it takes.
fn thin_out(samples: &[(Timestamp, f64)], points: usize) -> Vec<Sample> {
    let each = samples.len().div_ceil(points.max(1)).max(1);
    samples.chunks(each).map(point).collect()
}

fn point(samples: &[(Timestamp, f64)]) -> Sample {
    let values = || samples.iter().map(|(_, value)| *value);
    let number = |value: f64| value.is_finite().then_some(value);
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 samples")]
    let mean = values().sum::<f64>() / samples.len() as f64;
    Sample {
        at: samples
            .first()
            .map_or(Timestamp::ZERO, |(at, _)| *at)
            .into(),
        value: number(mean),
        min: number(values().fold(f64::INFINITY, f64::min)),
        max: number(values().fold(f64::NEG_INFINITY, f64::max)),
        count: samples.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_samples_make_few_points_and_none_is_left_out() {
        let samples: Vec<(Timestamp, f64)> = (0..10)
            .map(|i| {
                (
                    Timestamp::from_secs(i),
                    f64::from(u32::try_from(i).expect("small")),
                )
            })
            .collect();
        let points = thin_out(&samples, 4);
        let counts: Vec<u64> = points.iter().map(|point| point.count).collect();
        assert_eq!(counts, [3, 3, 3, 1]);
        assert_eq!((points[0].min, points[0].max), (Some(0.0), Some(2.0)));
        assert_eq!(points[1].value, Some(4.0));
        assert_eq!(thin_out(&samples, 10).len(), 10);
        assert!(thin_out(&[], 10).is_empty());
    }
}
