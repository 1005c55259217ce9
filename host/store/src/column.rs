//! Numbers beside each other, compressed by pco ("Pcodec: Better Compression for
//! Numerical Sequences", 2025), with their length in bytes before them.

use pco::ChunkConfig;
use pco::data_types::Number;
use pco::errors::PcoError;
use pco::standalone::{simple_compress, simple_decompress};

/// pco's level: columns are short, and higher levels gain little on them.
const COMPRESS_LEVEL: usize = 4;

/// Why a column cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ColumnError {
    #[error("too short")]
    Short,
    #[error("too long")]
    Long,
    #[error("columns of different lengths")]
    Uneven,
    #[error("series {0}, which does not belong there")]
    Foreign(u32),
    #[error(transparent)]
    Pco(#[from] PcoError),
}

/// The numbers alone, without the length.
pub(crate) fn compress<T: Number>(numbers: &[T]) -> Result<Vec<u8>, ColumnError> {
    let config = ChunkConfig::default().with_compression_level(COMPRESS_LEVEL);
    Ok(simple_compress(numbers, &config)?)
}

/// What [`compress`] was given.
pub(crate) fn expand<T: Number>(data: &[u8]) -> Result<Vec<T>, ColumnError> {
    Ok(simple_decompress(data)?)
}

/// Adds a column.
pub(crate) fn append<T: Number>(data: &mut Vec<u8>, numbers: &[T]) -> Result<(), ColumnError> {
    let column = compress(numbers)?;
    let length = u32::try_from(column.len()).map_err(|_| ColumnError::Long)?;
    data.extend(length.to_be_bytes());
    data.extend(column);
    Ok(())
}

/// Takes a column from the front.
pub(crate) fn take<T: Number>(data: &mut &[u8]) -> Result<Vec<T>, ColumnError> {
    let (length, rest) = data.split_first_chunk::<4>().ok_or(ColumnError::Short)?;
    let length = u32::from_be_bytes(*length) as usize;
    let (column, rest) = rest.split_at_checked(length).ok_or(ColumnError::Short)?;
    *data = rest;
    expand(column)
}
