//! Acts of people as envelopes: in the journal, in order with everything else,
//! so that a replay repeats them too; and what became of them.

use faultline_domain::envelope::{Arrival, Format, Position};
use faultline_domain::fault::Fault;
use faultline_domain::id::{InstanceName, ScopeName, SourceName};
use faultline_domain::incidents::Command;
use faultline_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Store;
use crate::error::StoreError;
use crate::incident::{CommandRecord, CommandRow, outcome};
use crate::rows::{json, unsigned};

/// An act, and who asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandEnvelope {
    /// Who.
    pub person: String,
    /// What.
    pub command: Command,
}

impl CommandEnvelope {
    /// As it goes into the journal.
    ///
    /// # Panics
    /// Never: commands have no keys that JSON cannot write.
    pub fn into_arrival(self, received: Timestamp) -> Arrival {
        Arrival {
            source: SourceName::new("api").expect("three letters"),
            format: Format::Command,
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            body: serde_json::to_vec(&self).expect("plain structures"),
            received,
        }
    }

    /// As it comes out of the journal.
    ///
    /// # Errors
    /// If the body is not a command.
    pub fn parse(body: &[u8]) -> Result<Self, Fault> {
        serde_json::from_slice(body)
            .map_err(|error| Fault::malformed(format!("not a command: {error}")))
    }
}

/// An act, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandState {
    /// The act, in its place in the journal.
    pub record: CommandRecord,
    /// None while it waits, then nothing or the reason why it was not carried
    /// out.
    pub outcome: Option<Result<(), String>>,
}

impl Store {
    /// The act that the envelope at this position carries, once the observe
    /// stage has read it; none before, and for other envelopes.
    ///
    /// # Errors
    /// If the database refuses, or the row cannot be read.
    pub async fn command_fetch(
        &self,
        scope: &ScopeName,
        position: Position,
    ) -> Result<Option<CommandState>, StoreError> {
        let row: Option<(i64, i64, String, String, String)> = sqlx::query_as(
            "select position, received, person, body, outcome from command \
             where scope = $1 and position = $2",
        )
        .bind(scope.as_str())
        .bind(position.as_i64())
        .fetch_optional(self.state.read())
        .await?;
        row.map(|(position, received, person, body, text)| {
            let row = CommandRow {
                position,
                received,
                person,
                body,
            };
            Ok(CommandState {
                record: row.into_record()?,
                outcome: outcome(text),
            })
        })
        .transpose()
    }

    /// Where the last act after this position lies that lets an instance run
    /// again; none if the observe stage has read none.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn resume_after(
        &self,
        scope: &ScopeName,
        instance: &InstanceName,
        after: Position,
    ) -> Result<Option<Position>, StoreError> {
        // Acts are written as the same text whenever they are the same.
        let resume = Command::Resume {
            instance: instance.clone(),
        };
        let last: Option<(i64,)> = sqlx::query_as(
            "select position from command where scope = $1 and position > $2 and body = $3 \
             order by position desc limit 1",
        )
        .bind(scope.as_str())
        .bind(after.as_i64())
        .bind(json(&resume))
        .fetch_optional(self.state.read())
        .await?;
        Ok(last.map(|(last,)| Position(unsigned(last))))
    }
}
