//! One connection, to an address that was checked.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use faultline_domain::rule::{Destination, Host, Scheme};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::network::Network;
use crate::policy::Trust;

/// The most bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// The most headers of an answer.
const HEADERS_MAX: usize = 128;

/// The longest that one address may take to answer. What a busy machine behind
/// a long line needs is a second or two; what answers later never does, mostly.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// A connection that a request can be sent on. It is closed when this is
/// dropped.
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Opens a connection to the first of these addresses that answers. Each may
/// take its share of what is left until `until`, so that one that drops what is
/// sent to it leaves time for the next.
///
/// # Errors
/// Why none does, in words for the guest.
pub(crate) async fn open(
    network: &dyn Network,
    trust: &Trust,
    destination: &Destination,
    addresses: &[IpAddr],
    until: Instant,
) -> Result<(Connection, IpAddr), String> {
    let mut why = "the name has no address".to_owned();
    for (tries_left, address) in (1..=addresses.len()).rev().zip(addresses) {
        let socket = SocketAddr::new(*address, destination.port());
        let time = connect_time(until.saturating_duration_since(Instant::now()), tries_left);
        let connected = tokio::time::timeout(time, network.connect(socket)).await;
        match connected.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())) {
            Ok(stream) => {
                let connection = match destination.scheme() {
                    Scheme::Http => handshake(TokioIo::new(stream)).await?,
                    Scheme::Https => {
                        let name = server_name(destination.host())?;
                        let connector = TlsConnector::from(Arc::clone(&trust.0));
                        let stream = connector.connect(name, stream).await;
                        let stream = stream.map_err(|error| format!("TLS: {error}"))?;
                        handshake(TokioIo::new(stream)).await?
                    }
                };
                return Ok((connection, *address));
            }
            Err(error) => why = format!("cannot connect: {}", error.kind()),
        }
    }
    Err(why)
}

/// How long the next address may take, of those that are left.
fn connect_time(left: Duration, tries: usize) -> Duration {
    let tries = u32::try_from(tries).unwrap_or(u32::MAX).max(1);
    (left / tries).min(CONNECT_TIME_MAX)
}

fn server_name(host: &Host) -> Result<ServerName<'static>, String> {
    match host {
        Host::Name(name) => ServerName::try_from(name.clone())
            .map_err(|_| "TLS: the host is no name that a certificate could have".to_owned()),
        Host::Address(address) => Ok(ServerName::IpAddress((*address).into())),
    }
}

async fn handshake<T>(io: TokioIo<T>) -> Result<Connection, String>
where
    TokioIo<T>: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(io)
        .await
        .map_err(|error| format!("HTTP: {error}"))?;
    let driver = tokio::spawn(async move {
        // What goes wrong shows at the other end, where it is reported.
        let _ = connection.await;
    });
    Ok(Connection { sender, driver })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_leaves_time_for_the_others() {
        let seconds = Duration::from_secs;
        assert_eq!(connect_time(seconds(6), 3), seconds(2));
        assert_eq!(connect_time(seconds(4), 1), seconds(4));
        assert_eq!(connect_time(seconds(30), 2), CONNECT_TIME_MAX);
        assert_eq!(connect_time(Duration::ZERO, 0), Duration::ZERO);
    }
}
