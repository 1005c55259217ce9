//! Live updates: who listens learns of an incident as it comes about, from
//! where they left off, and no longer than their token is good.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::support::alerts::webhook;
use crate::support::server::{Server, Site};
use crate::support::wait::PATIENCE;

/// A stream of server-sent events (WHATWG HTML, section 9.2).
struct Stream {
    reader: BufReader<TcpStream>,
}

impl Stream {
    /// Listens from an event on, or from now on.
    fn open(server: &Server, token: &str, last_event: Option<u64>) -> Self {
        let last_event = last_event.map_or_else(String::new, |sequence| {
            format!("last-event-id: {sequence}\r\n")
        });
        let mut socket = TcpStream::connect(server.api.authority()).expect("somebody listens");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a time above zero");
        write!(
            socket,
            "GET /api/v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             {last_event}\r\n"
        )
        .expect("it listens");
        let mut stream = Self {
            reader: BufReader::new(socket),
        };
        assert_eq!(stream.line().as_deref(), Some("HTTP/1.1 200 OK"));
        while stream.line().is_some_and(|line| !line.is_empty()) {}
        stream
    }

    /// The next line; none if there are no more. Fails if none comes for long.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let bytes = self.reader.read_line(&mut line).expect("a line in time");
        (bytes > 0).then(|| line.trim_end().to_owned())
    }

    /// The next event.
    fn event(&mut self) -> Value {
        loop {
            let line = self.line().expect("the stream goes on");
            // The lengths of chunks stand between, and are passed over.
            if let Some(data) = line.strip_prefix("data:") {
                return serde_json::from_str(data).expect("an event is JSON");
            }
        }
    }
}

#[test]
fn who_listens_learns_of_an_incident_and_can_go_on_where_they_left_off() {
    let site = Site::new();
    let server = site.serve();
    let mut stream = Stream::open(&server, &server.admin_token, None);
    server.post_json("/hooks/alertmanager", &webhook("Down", "shop", "firing"));
    let opened = stream.event();
    assert_eq!(opened["kind"], "opened", "{opened}");
    let joined = stream.event();
    assert_eq!(joined["kind"], "joined", "{joined}");
    assert_eq!(joined["incident"], opened["incident"]);
    drop(stream);

    // Again from the first on: the same, and what came meanwhile.
    server.post_json("/hooks/alertmanager", &webhook("Down", "shop", "resolved"));
    let mut again = Stream::open(&server, &server.admin_token, opened["sequence"].as_u64());
    assert_eq!(again.event(), joined);
    let mut kinds = Vec::new();
    while kinds.last().map(String::as_str) != Some("resolved") {
        let event = again.event();
        assert_eq!(event["incident"], opened["incident"], "{event}");
        kinds.push(event["kind"].as_str().expect("a word").to_owned());
    }
    assert!(kinds.contains(&"member-changed".to_owned()), "{kinds:?}");
}

#[test]
fn a_stream_ends_with_its_token_and_with_the_server() {
    let site = Site::new();
    let server = site.serve();
    let commands = site.commands();
    let made = commands.json(&["token", "create", "wall", "--role", "viewer"]);
    let token = made["token"].as_str().expect("a text");
    let mut revoked = Stream::open(&server, token, None);
    let mut lasting = Stream::open(&server, &server.admin_token, None);
    commands.text(&["token", "revoke", made["id"].as_str().expect("an id")]);
    revoked
        .reader
        .get_ref()
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a time above zero");
    while revoked.line().is_some() {}

    // What listens does not keep the server from ending.
    server.stop(&site);
    while lasting.line().is_some() {}
}
