//! The members of incidents: a row each, beside the incident's own.
//!
//! Only those that something happened to are written. The row of one that left
//! stays, without a body: that it was a member once is asked for, too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use faultline_domain::id::{AlertId, IncidentId, ScopeName};
use faultline_domain::incident::{Happening, Incident, IncidentEvent, Member};
use faultline_domain::incident_summary::IncidentSummary;
use faultline_domain::members::Members;
use sqlx::{Any, AnyConnection, Transaction};

use crate::Store;
use crate::commit::CommitPoint;
use crate::error::StoreError;
use crate::rows::{from_json, insert_rows, json, padded_list, signed};

/// The most incidents whose members one statement looks up.
const IDS_PER_STATEMENT: usize = 128;

/// The most incidents that are brought to the present form at once.
const MOVED_AT_ONCE: i64 = 100;

/// The incident without its members, as its own row has it.
pub(crate) fn bare(incident: &Incident) -> String {
    // Every field by name: a new one must be decided on.
    let Incident {
        id,
        version,
        title,
        phase,
        opened,
        last,
        members: _,
        hypotheses,
        acknowledged,
        resolved,
        merged_into,
        split_from,
    } = incident;
    json(&Incident {
        id: *id,
        version: *version,
        title: title.clone(),
        phase: *phase,
        opened: *opened,
        last: *last,
        members: Members::default(),
        hypotheses: hypotheses.clone(),
        acknowledged: acknowledged.clone(),
        resolved: resolved.clone(),
        merged_into: *merged_into,
        split_from: *split_from,
    })
}

/// Incidents from the bodies of their rows, with their members, in the same
/// order. Both must be of the same transaction.
pub(crate) async fn whole(
    connection: &mut AnyConnection,
    scope: &ScopeName,
    bodies: &[(String,)],
) -> Result<Vec<Incident>, StoreError> {
    let mut incidents = bodies
        .iter()
        .map(|(body,)| from_json("incident", body))
        .collect::<Result<Vec<Incident>, StoreError>>()?;
    for some in incidents.chunks_mut(IDS_PER_STATEMENT) {
        let (list, padded) = padded_list(2, some.iter().map(|one| one.id));
        let sql = format!(
            "select incident, alert, body from incident_member where scope = $1 \
             and incident in ({list}) and body <> ''"
        );
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(scope.as_str());
        for id in padded {
            query = query.bind(id);
        }
        let rows: Vec<(String, String, String)> = query.fetch_all(&mut *connection).await?;
        let mut by_id: BTreeMap<IncidentId, &mut Incident> =
            some.iter_mut().map(|one| (one.id, one)).collect();
        for (incident, alert, body) in rows {
            let corrupt = |error| StoreError::corrupt("incident_member", error);
            let incident: IncidentId = incident.parse().map_err(corrupt)?;
            let alert: AlertId = alert.parse().map_err(corrupt)?;
            let member: Member = from_json("incident_member", &body)?;
            if let Some(incident) = by_id.get_mut(&incident) {
                incident.members.insert(alert, member);
            }
        }
    }
    Ok(incidents)
}

/// Writes the members that these events are about, as they stand in the
/// incidents now.
pub(crate) async fn upsert(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    events: &[IncidentEvent],
    incidents: &[Arc<Incident>],
) -> Result<(), StoreError> {
    let by_id: BTreeMap<IncidentId, &Incident> =
        incidents.iter().map(|one| (one.id, &**one)).collect();
    let mut touched: BTreeSet<(IncidentId, AlertId)> = BTreeSet::new();
    for event in events {
        match &event.happening {
            Happening::Joined { alert, .. }
            | Happening::Left { alert, .. }
            | Happening::MemberChanged { alert, .. } => {
                touched.insert((event.incident, *alert));
            }
            Happening::MergedInto { .. } => {
                sqlx::query(
                    "update incident_member set body = '' where scope = $1 and incident = $2",
                )
                .bind(scope.as_str())
                .bind(event.incident.to_string())
                .execute(&mut **transaction)
                .await?;
            }
            _ => {}
        }
    }
    let rows: Vec<(IncidentId, AlertId, Option<&Member>)> = touched
        .into_iter()
        .map(|(incident, alert)| {
            let member = by_id.get(&incident).and_then(|one| one.members.get(&alert));
            (incident, alert, member)
        })
        .collect();
    insert(transaction, scope, &rows).await
}

async fn insert(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    rows: &[(IncidentId, AlertId, Option<&Member>)],
) -> Result<(), StoreError> {
    insert_rows(
        transaction,
        "insert into incident_member (scope, incident, alert, body) values",
        4,
        "on conflict (scope, alert, incident) do update set body = excluded.body",
        rows,
        |query, (incident, alert, member)| {
            query
                .bind(scope.as_str())
                .bind(incident.to_string())
                .bind(alert.to_string())
                .bind(member.map_or_else(String::new, json))
        },
    )
    .await
}

impl Store {
    /// Brings incidents that were written before members had rows of their own, or
    /// before there were summaries, to the present form. Done when the store is
    /// opened; nodes of an earlier version may write further ones, which are read
    /// as they are.
    ///
    /// # Errors
    /// If the database refuses; what was brought over by then stays so.
    pub async fn move_members(&self) -> Result<(), StoreError> {
        loop {
            let mut transaction = self.state.write().await?;
            let rows: Vec<(String, String)> =
                sqlx::query_as("select scope, body from incident where summary = '' limit $1")
                    .bind(MOVED_AT_ONCE)
                    .fetch_all(&mut **transaction)
                    .await?;
            if rows.is_empty() {
                return Ok(());
            }
            for (scope, body) in rows {
                let scope = ScopeName::new(scope)
                    .map_err(|error| StoreError::corrupt("incident", error))?;
                // Nobody writes incidents of the scope meanwhile: whoever does,
                // moves the stage first.
                sqlx::query("update stage set position = position where scope = $1")
                    .bind(scope.as_str())
                    .execute(&mut **transaction)
                    .await?;
                let before: Incident = from_json("incident", &body)?;
                let members: Vec<(IncidentId, AlertId, Option<&Member>)> = before
                    .members
                    .iter()
                    .map(|(alert, member)| (before.id, *alert, Some(member)))
                    .collect();
                let now: Option<(String,)> = sqlx::query_as(
                    "select body from incident where scope = $1 and id = $2 and version = $3",
                )
                .bind(scope.as_str())
                .bind(before.id.to_string())
                .bind(signed(before.version))
                .fetch_optional(&mut **transaction)
                .await?;
                let Some(row) = now else {
                    // Somebody wrote it since it was read.
                    continue;
                };
                insert(&mut transaction, &scope, &members).await?;
                for incident in whole(&mut transaction, &scope, &[row]).await? {
                    sqlx::query(
                        "update incident set body = $3, summary = $4 where scope = $1 and id = $2",
                    )
                    .bind(scope.as_str())
                    .bind(incident.id.to_string())
                    .bind(bare(&incident))
                    .bind(json(&IncidentSummary::from(&incident)))
                    .execute(&mut **transaction)
                    .await?;
                }
            }
            transaction.commit(CommitPoint::MembersMove).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use faultline_domain::entity::Entity;
    use faultline_domain::envelope::Position;
    use faultline_domain::incident::{Author, Facts};
    use faultline_domain::proposal::{Because, Confidence};
    use faultline_domain::severity::Severity;
    use faultline_domain::time::Timestamp;

    use super::*;
    use crate::IncidentFilter;

    fn events() -> Vec<IncidentEvent> {
        let alert = AlertId::derive([b"a".as_slice()]);
        let facts = Facts {
            episode: 1,
            firing: true,
            severity: Severity::Warning,
            started: Timestamp::from_secs(1),
            at: Timestamp::from_secs(2),
            entities: vec![Entity::new("service", "a").expect("an entity")],
            source: None,
        };
        let because = Because {
            reason: "it \"members\":{\"x\" fires".to_owned(),
            confidence: Confidence::new(0.5).expect("a confidence"),
            evidence: Vec::new(),
            against: Vec::new(),
        };
        let opened = Happening::Opened {
            title: "a".to_owned(),
            split_from: None,
        };
        let joined = Happening::Joined {
            alert,
            facts,
            because,
            said: None,
        };
        (1..)
            .zip([opened, joined])
            .map(|(version, happening)| IncidentEvent {
                incident: IncidentId::derive([b"i".as_slice()]),
                version,
                at: Timestamp::from_secs(2),
                position: Position(1),
                author: Author::Host,
                happening,
            })
            .collect()
    }

    #[tokio::test]
    async fn incidents_written_with_their_members_in_them_are_read_as_they_were() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).await.expect("opens");
        let scope = ScopeName::new("default").expect("a scope");
        let incident = Incident::fold(&events()).expect("an incident");
        let mut tx = store.state.write().await.expect("begins");
        let now = [Arc::new(incident.clone())];
        crate::incident::upsert(&mut tx, &scope, &[], &now)
            .await
            .expect("writes");
        // As it was written before members had rows of their own.
        sqlx::query("update incident set body = $1, summary = ''")
            .bind(json(&incident))
            .execute(&mut **tx)
            .await
            .expect("writes");
        tx.commit(CommitPoint::MembersMove).await.expect("commits");
        store.close().await;
        for _ in 0..2 {
            let store = Store::open(folder.path()).await.expect("opens");
            let read = store.incident_open(&scope).await.expect("reads");
            assert_eq!(read, std::slice::from_ref(&incident));
            let all = IncidentFilter::default();
            let listed = store.incident_list(&scope, &all, None, 10).await;
            let summary = IncidentSummary::from(&incident);
            assert_eq!(listed.expect("lists").items, [summary]);
            store.close().await;
        }
    }
}
