//! Listening for senders, on one address.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use thiserror::Error;
use tokio::net::TcpListener;

use crate::access::Access;
use crate::connections::{self, ConnectionLimits};
use crate::receive::{Door, Intake};
use crate::router::router;

/// Listens for senders on one address.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    intake: Arc<Intake>,
    router: Router,
}

/// Why there is no listener.
#[derive(Debug, Error)]
pub enum BindError {
    /// Without tokens everybody who can reach it may send.
    #[error("{0} is not a loopback address: a listener that others can reach needs ingest tokens")]
    OpenToOthers(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Unavailable {
        /// Which one.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Listener {
    /// Takes the address; port 0 is any that is free.
    ///
    /// # Errors
    /// If the address cannot be had, or others than this machine could send to
    /// it without a token.
    pub async fn bind(
        address: SocketAddr,
        intake: Arc<Intake>,
        access: Access,
    ) -> Result<Self, BindError> {
        if matches!(access, Access::Open) && !address.ip().is_loopback() {
            return Err(BindError::OpenToOthers(address));
        }
        let unavailable = |source| BindError::Unavailable { address, source };
        let socket = TcpListener::bind(address).await.map_err(unavailable)?;
        let address = socket.local_addr().map_err(unavailable)?;
        let door = Door {
            intake: Arc::clone(&intake),
            access,
        };
        Ok(Self {
            socket,
            address,
            intake,
            router: router(door),
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is done; then accepts nothing more, and ends when
    /// all requests are answered, or the time for that is over.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let limits = self.intake.limits();
        let limits = ConnectionLimits {
            connections_max: limits.connections_max,
            headers_max: limits.headers_max,
            header_read_time_max: limits.header_read_time_max,
            shutdown_time_max: limits.shutdown_time_max,
        };
        let opened = || self.intake.metrics().connection_begins();
        connections::serve(self.socket, self.router, limits, opened, stop).await;
    }
}
