//! Reading the body of a request: so much, in so much time.

use axum::body::Body;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt as _;

use crate::budget::Reservation;
use crate::limits::ListenerLimits;
use crate::refused::{Reason, Refused};
use crate::transport::no_room;

/// Reads a body as it is sent. Reserves what it takes before it takes it.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: &ListenerLimits,
    reservation: &mut Reservation,
) -> Result<Vec<u8>, Refused> {
    let time_max = limits.body_read_time_max;
    let reading = read_all(headers, body, limits.body_bytes_max, reservation);
    match tokio::time::timeout(time_max, reading).await {
        Ok(read) => read,
        Err(_) => Err(Refused::new(
            Reason::TooSlow,
            format!("the body took longer than {} seconds", time_max.as_secs()),
        )),
    }
}

async fn read_all(
    headers: &HeaderMap,
    mut body: Body,
    bytes_max: usize,
    reservation: &mut Reservation,
) -> Result<Vec<u8>, Refused> {
    let too_large = || {
        Refused::new(
            Reason::TooLarge,
            format!("the body has more than {bytes_max} bytes; send smaller batches"),
        )
    };
    // Who states the length is told at once, before sending it.
    let stated = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if stated.is_some_and(|stated| stated > bytes_max) {
        return Err(too_large());
    }
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Refused::new(
                Reason::Aborted,
                format!("the body could not be read to its end: {error}"),
            )
        })?;
        let Ok(data) = frame.into_data() else {
            // Trailers say nothing that is kept.
            continue;
        };
        if read.len() + data.len() > bytes_max {
            return Err(too_large());
        }
        reservation.grow(data.len()).map_err(no_room)?;
        read.extend_from_slice(&data);
    }
    Ok(read)
}
