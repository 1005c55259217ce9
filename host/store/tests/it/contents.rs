//! Everything that a database holds, as text that can be compared.

use std::fmt::Write as _;

use sqlx::any::{AnyRow, AnyTypeInfoKind};
use sqlx::{AnyConnection, AssertSqlSafe, Column as _, Connection as _, Row as _, ValueRef as _};

/// Every row of every table of these databases, in an order of its own. When
/// migrations were made is left out.
pub(crate) async fn of(databases: &[String]) -> String {
    let mut text = String::new();
    for url in databases {
        let mut connection = AnyConnection::connect(url).await.expect("connects");
        // Both say what they have, and neither as the other does.
        let list = if url.starts_with("sqlite:") {
            "select name from sqlite_master where type = 'table' \
             and name not like '%sqlx%' order by name"
        } else {
            "select cast(table_name as text) from information_schema.tables \
             where table_schema = current_schema() and table_type = 'BASE TABLE' \
             and table_name not like '%sqlx%' order by 1"
        };
        let tables = sqlx::query_as::<_, (String,)>(list)
            .fetch_all(&mut connection)
            .await
            .expect("lists");
        assert!(!tables.is_empty(), "there is nothing to compare in {url}");
        for (table,) in tables {
            let rows = sqlx::query(AssertSqlSafe(format!("select * from {table}")))
                .fetch_all(&mut connection)
                .await
                .expect("reads");
            let mut lines: Vec<String> = rows.iter().map(line).collect();
            lines.sort();
            let _ = writeln!(text, "{table}\n  {}", lines.join("\n  "));
        }
        connection.close().await.expect("closes");
    }
    text
}

fn line(row: &AnyRow) -> String {
    let mut line = String::new();
    for (index, column) in row.columns().iter().enumerate() {
        let value = row.try_get_raw(index).expect("a column");
        let text = if value.is_null() {
            "null".to_owned()
        } else {
            match value.type_info().kind() {
                AnyTypeInfoKind::Blob => format!("{:?}", row.get::<Vec<u8>, _>(index)),
                AnyTypeInfoKind::Text => row.get::<String, _>(index),
                _ => row.get::<i64, _>(index).to_string(),
            }
        };
        let _ = write!(line, "{}={text} ", column.name());
    }
    line
}
