//! Commits of the stages, as parts of the rounds that they end.

use faultline_own_traces::commit;
use faultline_store::{CommitPoint, StoreError, Trouble};

/// What a commit gives, once it is done.
///
/// # Errors
/// If the database refuses.
pub(crate) async fn committed<T>(
    point: CommitPoint,
    committing: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let commit = commit(point.as_str(), &[]);
    let committed = commit.around(committing).await;
    if let Err(error) = &committed {
        commit.failed(code(error));
    }
    committed
}

/// Why there was no commit: the word that status and log have, too.
fn code(error: &StoreError) -> &'static str {
    match error {
        StoreError::Fenced { .. } => "fenced",
        StoreError::Moved { .. } => "moved",
        error => error.trouble().map_or("refused", Trouble::as_str),
    }
}
