//! Points in time as RFC 3339.

use faultline_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A point in time: RFC 3339 in UTC, with microseconds where there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(pub Timestamp);

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl From<Time> for String {
    fn from(time: Time) -> String {
        time.0.to_string()
    }
}

impl TryFrom<String> for Time {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let bad = || {
            let given: String = text.chars().take(40).collect();
            format!("`{given}` is not a time such as `2026-05-04T12:30:00Z`")
        };
        let at: jiff::Timestamp = text.parse().map_err(|_| bad())?;
        // Nothing has happened before 1970: a time before is as good as that.
        let micros = u64::try_from(at.as_microsecond()).unwrap_or(0);
        Ok(Self(Timestamp::from_micros(micros)))
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A point in time: RFC 3339."))
            .examples(["2026-05-04T12:30:00Z"])
            .into()
    }
}

impl ToSchema for Time {}
