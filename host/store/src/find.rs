//! Things by the beginning of their id: what people type.

use faultline_domain::id::{AlertId, IncidentId, ScopeName};

use crate::Store;
use crate::error::StoreError;
use crate::rows::text;

impl Store {
    /// Alerts whose id begins so, with their titles, by id, at most `most`.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn alert_find(
        &self,
        scope: &ScopeName,
        prefix: &str,
        most: u32,
    ) -> Result<Vec<(AlertId, String)>, StoreError> {
        let sql = "select id, title from alert where scope = $1 and id >= $2 and id < $3 \
                   order by id limit $4";
        read_all("alert", self.find(sql, scope, prefix, most).await?)
    }

    /// Incidents whose id begins so, with their titles, by id, at most `most`.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn incident_find(
        &self,
        scope: &ScopeName,
        prefix: &str,
        most: u32,
    ) -> Result<Vec<(IncidentId, String)>, StoreError> {
        let sql = "select id, title from incident where scope = $1 and id >= $2 and id < $3 \
                   order by id limit $4";
        read_all("incident", self.find(sql, scope, prefix, most).await?)
    }

    async fn find(
        &self,
        sql: &'static str,
        scope: &ScopeName,
        prefix: &str,
        most: u32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        // A range, which the primary key answers. Ids are made of letters
        // before `g` and digits from the prefix on.
        let rows = sqlx::query_as(sql)
            .bind(scope.as_str())
            .bind(text(prefix))
            .bind(format!("{}g", text(prefix)))
            .bind(i64::from(most))
            .fetch_all(self.state.read())
            .await?;
        Ok(rows)
    }
}

fn read_all<T: std::str::FromStr<Err: std::fmt::Display>>(
    table: &'static str,
    rows: Vec<(String, String)>,
) -> Result<Vec<(T, String)>, StoreError> {
    rows.into_iter()
        .map(|(id, title)| {
            let id = id
                .parse()
                .map_err(|error| StoreError::corrupt(table, error))?;
            Ok((id, title))
        })
        .collect()
}
