//! Pollers, as they stand.

use faultline_domain::poll::{PollFault, PollState};
use faultline_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Time;
use crate::instance_settings::InstanceSettings;

/// A poll to be done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PollNow {
    /// Whether to forget the cursor, and fetch again from the start. What was
    /// fetched before can then come a second time.
    #[serde(default)]
    #[schema(default = false)]
    pub from_start: bool,
}

/// Where a connector that polls stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Poll {
    /// How many seconds lie between two polls, if nothing else is asked for.
    pub interval_seconds: u64,
    /// When it last answered, with a page or a fault.
    pub last: Option<Time>,
    /// When it is to be asked next; none if it is quarantined.
    pub next: Option<Time>,
    /// When it had last fetched all that there was.
    pub caught_up: Option<Time>,
    /// How many seconds ago that was: for so long nothing is known of what it
    /// polls.
    #[schema(minimum = 0)]
    pub lag_seconds: Option<f64>,
    /// Bytes of the cursor; none if it begins at the start.
    pub cursor_bytes: Option<u64>,
    /// Pages that it fetched, ever.
    pub pages: u64,
    /// Envelopes in them.
    pub envelopes: u64,
    /// Polls that gave no page, ever.
    pub faults: u64,
    /// Of these, how many since the last page.
    pub faults_in_a_row: u32,
    /// How it last failed; none if it never did.
    pub last_fault: Option<LastPollFault>,
}

/// Why a poll gave no page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastPollFault {
    /// When.
    pub at: Time,
    /// Short and stable, for programs.
    #[schema(example = "http.503")]
    pub code: String,
    /// One sentence for a person.
    pub message: String,
}

impl Poll {
    pub(crate) fn of(state: PollState, settings: &InstanceSettings, now: Timestamp) -> Self {
        Self {
            interval_seconds: settings.poll_interval().as_secs(),
            last: state.polled.map(Time::from),
            next: state.due(now).map(Time::from),
            caught_up: state.caught_up.map(Time::from),
            lag_seconds: state.lag(now).map(|lag| lag.as_secs_f64()),
            cursor_bytes: state.cursor.map(|cursor| cursor.len() as u64),
            pages: state.pages,
            envelopes: state.envelopes,
            faults: state.faults,
            faults_in_a_row: state.faults_in_a_row,
            last_fault: state.last_fault.map(LastPollFault::from),
        }
    }
}

impl From<PollFault> for LastPollFault {
    fn from(fault: PollFault) -> Self {
        Self {
            at: fault.at.into(),
            code: fault.code,
            message: fault.message,
        }
    }
}
