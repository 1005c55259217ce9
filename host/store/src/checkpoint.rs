//! State that a stage would otherwise have to compute anew.

use faultline_domain::envelope::Position;
use faultline_domain::id::{InstanceName, ScopeName};
use faultline_domain::proposal::Blob;
use sqlx::{Any, Transaction};

use crate::Store;
use crate::error::StoreError;
use crate::rows::upsert_rows;
use crate::stage::StageName;

/// Saved state under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose, for example `detector/baseline/0`.
    pub name: String,
    /// Opaque.
    pub data: Vec<u8>,
}

impl Store {
    /// The saved state of a stage, by name, with the position that each is as
    /// of.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn checkpoint_list(
        &self,
        scope: &ScopeName,
        stage: StageName,
    ) -> Result<Vec<(Checkpoint, Position)>, StoreError> {
        let rows: Vec<(String, i64, Vec<u8>)> = sqlx::query_as(
            "select name, position, data from checkpoint where scope = $1 and stage = $2 \
             order by name",
        )
        .bind(scope.as_str())
        .bind(stage.as_str())
        .fetch_all(self.state.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|(name, position, data)| (Checkpoint { name, data }, Position::from_i64(position)))
            .collect())
    }

    /// What a correlator wants to be given back; none if it never said.
    ///
    /// # Errors
    /// If the database refuses, or the row cannot be read.
    pub async fn correlator_state(
        &self,
        scope: &ScopeName,
        instance: &InstanceName,
    ) -> Result<Option<Blob>, StoreError> {
        let row: Option<(Vec<u8>,)> = sqlx::query_as(
            "select data from checkpoint where scope = $1 and stage = $2 and name = $3",
        )
        .bind(scope.as_str())
        .bind(StageName::Correlate.as_str())
        .bind(instance.as_str())
        .fetch_optional(self.state.read())
        .await?;
        row.map(|(data,)| unframe(&data)).transpose()
    }
}

/// A blob in one column: the length of the media type, the media type, the
/// bytes.
pub(crate) fn frame(blob: &Blob) -> Vec<u8> {
    let media_type = blob.media_type.as_bytes();
    let length = u32::try_from(media_type.len()).unwrap_or(u32::MAX);
    let mut data = Vec::with_capacity(4 + media_type.len() + blob.bytes.len());
    data.extend(length.to_be_bytes());
    data.extend(media_type);
    data.extend(&blob.bytes);
    data
}

fn unframe(data: &[u8]) -> Result<Blob, StoreError> {
    let corrupt = || StoreError::corrupt("checkpoint", "not a framed blob");
    let (length, rest) = data.split_first_chunk::<4>().ok_or_else(corrupt)?;
    let length = u32::from_be_bytes(*length) as usize;
    let (media_type, bytes) = rest.split_at_checked(length).ok_or_else(corrupt)?;
    Ok(Blob {
        media_type: String::from_utf8(media_type.to_vec()).map_err(|_| corrupt())?,
        bytes: bytes.to_vec(),
    })
}

/// Removes the checkpoints of a stage that are not as of this position. A stage
/// goes on from checkpoints of one position and no others: those that it did
/// not write again are of plugins that are gone, or shards that are no more,
/// and would keep retention from what lies after them for ever.
pub(crate) async fn forget_others(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    stage: StageName,
    position: Position,
) -> Result<(), StoreError> {
    sqlx::query("delete from checkpoint where scope = $1 and stage = $2 and position <> $3")
        .bind(scope.as_str())
        .bind(stage.as_str())
        .bind(position.as_i64())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

pub(crate) async fn upsert(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    stage: StageName,
    position: Position,
    checkpoints: &[Checkpoint],
) -> Result<(), StoreError> {
    upsert_rows(
        transaction,
        "insert into checkpoint (scope, stage, name, position, data) values",
        5,
        "on conflict (scope, stage, name) do update \
         set position = excluded.position, data = excluded.data",
        checkpoints,
        |checkpoint| checkpoint.name.as_str(),
        |query, checkpoint| {
            query
                .bind(scope.as_str())
                .bind(stage.as_str())
                .bind(&checkpoint.name)
                .bind(position.as_i64())
                .bind(checkpoint.data.as_slice())
        },
    )
    .await
}
