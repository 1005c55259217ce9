//! What the guests of one instance take of the pools that all share. One that
//! takes too much is refused when it is loaded: later it would be others that
//! find no room, and are not to blame.

use faultline_domain::plugin::Limit;
use wasmtime::component::Component;

use crate::engine::{CORE_INSTANCES_IN_POOL, MEMORIES_IN_POOL, TABLES_IN_POOL};
use crate::load_error::LoadError;
use crate::outline::Outline;

/// How many instances could take as much as one may: a fourth of each pool.
const SHARES: u32 = 4;

/// The most guests of an instance that is no detector: those that are kept warm, and
/// those that are started beside them.
pub(crate) const GUESTS_MAX: u32 = 8;

/// Checks what so many guests of a component come to.
///
/// # Errors
/// If that is more than one instance may take.
pub(crate) fn check(
    component: &Component,
    outline: &Outline,
    guests: u32,
) -> Result<(), LoadError> {
    // None: it takes modules in, of which nothing is linked.
    let Some(needs) = component.resources_required() else {
        return Ok(());
    };
    for (what, each, in_pool) in [
        (
            "core instances",
            outline.core_instances,
            CORE_INSTANCES_IN_POOL,
        ),
        ("memories", needs.num_memories, MEMORIES_IN_POOL),
        ("tables", needs.num_tables, TABLES_IN_POOL),
    ] {
        let most = in_pool / SHARES;
        if each.saturating_mul(guests) > most {
            let message = format!(
                "{guests} guests with {each} {what} each; {most} {what} for one instance at most"
            );
            return Err(LoadError::limit(Limit::ComponentItems, message));
        }
    }
    Ok(())
}
