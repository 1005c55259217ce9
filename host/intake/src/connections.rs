//! Connections: how many there may be, how long they may take, and how they end.
//!
//! A loop of our own and not `axum::serve`, for a connection that says nothing
//! must not stay open: headers have to come in time, and in limited number, and
//! connections are limited in number too. HTTP/1.1 only; who needs TLS puts a
//! proxy in front.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower_service::Service as _;

use crate::watched_body::WatchedBody;

/// How long to wait after a connection could not be accepted, for example
/// because there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Limits on the connections of one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Open connections. Over it, new ones wait to be accepted.
    pub connections_max: usize,
    /// Headers of a request. Over it: 431.
    pub headers_max: usize,
    /// How long the headers of a request may take, and how long a connection
    /// may be idle. Over it, the connection is closed.
    pub header_read_time_max: Duration,
    /// How long requests may take to finish once the listener is to stop.
    pub shutdown_time_max: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_max: 2_048,
            headers_max: 64,
            header_read_time_max: Duration::from_secs(30),
            shutdown_time_max: Duration::from_secs(20),
        }
    }
}

/// Serves a router until `stop` is done; then accepts nothing more, and ends
/// when all requests are answered, or the time for that is over. The peer's
/// [`SocketAddr`] is among the extensions of each request. What `opened` gives
/// lives as long as the connection.
pub async fn serve<T: Send + 'static>(
    socket: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    opened: impl Fn() -> T,
    stop: impl Future<Output = ()>,
) {
    let room = Arc::new(Semaphore::new(
        limits.connections_max.clamp(1, Semaphore::MAX_PERMITS),
    ));
    let (stopping, _) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&socket, &room) => match accepted {
                Ok((stream, from, permit)) => {
                    let connection = Connection {
                        router: router.clone(),
                        limits,
                        from,
                        stopping: stopping.subscribe(),
                    };
                    let lives = opened();
                    connections.spawn(async move {
                        connection.serve(stream).await;
                        drop((permit, lives));
                    });
                }
                Err(error) => {
                    warn_not_accepted(&error);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(socket);
    stopping.send_replace(true);
    let finishing = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.shutdown_time_max, finishing)
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "stopped with {} requests unanswered; their senders will send them again",
            connections.len()
        );
    }
}

/// The next connection, once there is room for it.
async fn accept(
    socket: &TcpListener,
    room: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, from) = socket.accept().await?;
    Ok((stream, from, permit))
}

fn warn_not_accepted(cause: &(dyn std::error::Error + 'static)) {
    tracing::warn!(error = cause, "could not accept a connection");
}

struct Connection {
    router: Router,
    limits: ConnectionLimits,
    from: SocketAddr,
    stopping: watch::Receiver<bool>,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        let Self {
            router,
            limits,
            from,
            mut stopping,
        } = self;
        // Answers are short, and senders wait for them. Without it they are
        // merely later.
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request: Request<Incoming>| {
            let (head, body) = request.into_parts();
            let (body, end) = WatchedBody::new(body);
            let mut request = Request::from_parts(head, Body::new(body));
            request.extensions_mut().insert(from);
            // A router is always ready.
            let answering = router.clone().call(request);
            async move {
                let mut response = answering.await?;
                if !end.is_reached() {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_read_time_max)
            .max_headers(limits.headers_max)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        // Gone without having said so is the same as having said so.
        let stop = async move { stopping.wait_for(|stopping| *stopping).await.map(drop) };
        let served = tokio::select! {
            served = connection.as_mut() => served,
            _ = stop => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            let cause: &dyn std::error::Error = &error;
            tracing::debug!(error = cause, "a connection from {from} ended early");
        }
    }
}
