//! What the `cloudevents` connector is called with.

/// A small event, in the vocabulary of `CDEvents`.
pub(crate) const EVENT: &str = r#"{"specversion":"1.0","id":"e-1","source":"https://ci.example/shop",
"type":"dev.cdevents.service.deployed.0.2.0","subject":"orders",
"time":"2026-03-01T12:00:00Z","datacontenttype":"application/json","data":{
"context":{"version":"0.4.1","id":"e-1","source":"https://ci.example/shop",
"type":"dev.cdevents.service.deployed.0.2.0","timestamp":"2026-03-01T12:00:00Z"},
"subject":{"id":"orders","source":"https://ci.example/shop","type":"service","content":{
"environment":{"id":"production"},"artifactId":"pkg:generic/shop/orders@1.5.0"}}}}"#;
