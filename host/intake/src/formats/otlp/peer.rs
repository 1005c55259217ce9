//! What a span says about the other side of a call.
//!
//! Where the other side sends spans too, the edge is known from them, and
//! better. This is for databases, queues and services of others, which send
//! none. In the order in which they count:
//!
//! 1. `service.peer.name`, `peer.service`: somebody said so.
//! 2. For messages: `messaging.system`. The address is that of one broker of
//!    many, and the queue is what matters.
//! 3. The address, if it is a name. It tells one database from another, which
//!    its kind does not: all that use PostgreSQL would otherwise share one
//!    cause. A name is that of a service, since that is what clients call, in
//!    containers literally; where it is a host's, an alias says so. Addresses
//!    that are numbers name nothing that lasts.
//! 4. `db.system.name`, `db.system`: at least the kind is known.
//!
//! Old and new names of the semantic conventions count alike (1.21 to 1.37).

use std::borrow::Cow;
use std::net::IpAddr;

use faultline_domain::entity::Entity;
use faultline_domain::telemetry::SpanKind;

use super::value::{AnyValue, Attribute};

/// The attributes of a span that say something about the other side.
#[derive(Debug, Default)]
pub(super) struct PeerHints<'a> {
    service: Hint<'a>,
    messaging: Hint<'a>,
    address: Hint<'a>,
    database: Hint<'a>,
}

/// The best of several attributes that say the same: the lowest rank.
#[derive(Debug, Default)]
struct Hint<'a>(Option<(u8, Cow<'a, str>)>);

impl<'a> Hint<'a> {
    fn offer(&mut self, rank: u8, value: Cow<'a, str>) {
        if !value.is_empty() && self.0.as_ref().is_none_or(|(known, _)| rank < *known) {
            self.0 = Some((rank, value));
        }
    }

    fn get(&self) -> Option<&str> {
        self.0.as_ref().map(|(_, value)| value.as_ref())
    }
}

impl<'a> PeerHints<'a> {
    /// Takes an attribute of the span.
    pub(super) fn note(&mut self, attribute: Attribute<'a>) {
        let AnyValue::Text(value) = attribute.value else {
            return;
        };
        match attribute.key.as_ref() {
            "service.peer.name" => self.service.offer(0, value),
            "peer.service" => self.service.offer(1, value),
            "messaging.system" => self.messaging.offer(0, value),
            "db.system.name" => self.database.offer(0, value),
            "db.system" => self.database.offer(1, value),
            "server.address" => self.offer_address(0, value),
            "net.peer.name" => self.offer_address(1, value),
            "http.host" => self.offer_address(2, value),
            "url.full" => self.offer_host_of(3, &value),
            "http.url" => self.offer_host_of(4, &value),
            _ => {}
        }
    }

    fn offer_address(&mut self, rank: u8, address: Cow<'a, str>) {
        if is_name(without_port(&address)) {
            self.address.offer(rank, address);
        }
    }

    fn offer_host_of(&mut self, rank: u8, url: &str) {
        if let Some(host) = host_of(url) {
            self.offer_address(rank, Cow::Owned(host.to_owned()));
        }
    }

    /// The other side, if this side is one that calls.
    pub(super) fn entity(&self, kind: SpanKind) -> Option<Entity> {
        let address = || self.address.get().map(service_of_address);
        let name = match kind {
            // Their address is the caller's, or their own.
            SpanKind::Internal | SpanKind::Server => return None,
            SpanKind::Client | SpanKind::Producer => self
                .service
                .get()
                .or(self.messaging.get())
                .or_else(address)
                .or(self.database.get()),
            SpanKind::Consumer => self.messaging.get(),
        };
        Entity::new("service", name?).ok()
    }
}

/// `cart.shop.svc.cluster.local` and `cart.shop.svc` are the service `cart`, as
/// Kubernetes names services; other names stand for themselves.
fn service_of_address(address: &str) -> &str {
    let name = without_port(address).trim_end_matches('.');
    let mut parts = name.split('.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(service), Some(_), Some("svc")) => service,
        _ => name,
    }
}

fn without_port(address: &str) -> &str {
    if let Some((host, _)) = address
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        return host;
    }
    match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => {
            host
        }
        _ => address,
    }
}

fn is_name(host: &str) -> bool {
    let is_path = host.contains('/');
    let is_nobody = matches!(host, "" | "localhost" | "unknown") || host.ends_with(".localhost");
    !is_nobody && !is_path && host.parse::<IpAddr>().is_err()
}

/// The host of a URL with an authority (RFC 3986, section 3.2).
fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    Some(without_port(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: SpanKind, attributes: &[(&'static str, &'static str)], expected: Option<&str>) {
        let mut hints = PeerHints::default();
        for (key, value) in attributes {
            hints.note(Attribute {
                key: Cow::Borrowed(key),
                value: AnyValue::Text(Cow::Borrowed(value)),
            });
        }
        let peer = hints.entity(kind).map(|entity| entity.to_string());
        assert_eq!(peer.as_deref(), expected, "{attributes:?}");
    }

    #[test]
    fn what_was_said_counts_before_what_is_guessed() {
        use SpanKind::Client;
        check(
            Client,
            &[("server.address", "cart"), ("peer.service", "basket")],
            Some("service/basket"),
        );
        check(
            Client,
            &[("db.system", "postgresql"), ("net.peer.name", "cart-db")],
            Some("service/cart-db"),
        );
        check(
            Client,
            &[
                ("db.system.name", "postgresql"),
                ("server.address", "10.0.0.7"),
            ],
            Some("service/postgresql"),
        );
        check(
            Client,
            &[("net.peer.name", "old"), ("server.address", "new")],
            Some("service/new"),
        );
    }

    #[test]
    fn addresses_are_names_or_nothing() {
        use SpanKind::Client;
        let address = |address, expected| check(Client, &[("server.address", address)], expected);
        address("cart.shop.svc.cluster.local", Some("service/cart"));
        address("api.example.com", Some("service/api.example.com"));
        address("api.example.com:443", Some("service/api.example.com"));
        address("localhost", None);
        address("10.0.0.7:5432", None);
        address("[::1]:5432", None);
        address("::1", None);
        address("/var/run/postgres.sock", None);
        check(
            Client,
            &[("http.url", "https://user@pay.example.com:8443/v1?q=a:b")],
            Some("service/pay.example.com"),
        );
        check(Client, &[("url.full", "no url")], None);
    }

    #[test]
    fn only_who_calls_has_a_peer() {
        let messages = [
            ("messaging.system", "kafka"),
            ("server.address", "broker-1"),
        ];
        check(SpanKind::Producer, &messages, Some("service/kafka"));
        check(SpanKind::Consumer, &messages, Some("service/kafka"));
        check(SpanKind::Server, &[("peer.service", "web")], None);
        check(SpanKind::Internal, &[("peer.service", "web")], None);
        check(SpanKind::Consumer, &[("server.address", "broker-1")], None);
    }
}
