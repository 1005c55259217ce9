//! A little service that Prometheus scrapes, in the test's own process: the
//! test decides whether it is well.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long one of its clients may take for a request.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);

/// The service; it ends when this is dropped.
pub(crate) struct Shop {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    failing: AtomicBool,
    stopping: AtomicBool,
}

impl Shop {
    /// Starts it, in good health.
    pub(crate) fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if seen.stopping.load(Ordering::Relaxed) {
                    return;
                }
                // Who hangs up gets no answer.
                let _ = answer(&stream, seen.failing.load(Ordering::Relaxed));
            }
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From the next scrape on.
    pub(crate) fn set_failing(&self, failing: bool) {
        self.shared.failing.store(failing, Ordering::Relaxed);
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        // Wakes it up, so that it sees that.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers one request, whatever it asks for, with metrics.
fn answer(stream: &TcpStream, failing: bool) -> std::io::Result<()> {
    stream.set_read_timeout(Some(REQUEST_TIME_MAX))?;
    stream.set_write_timeout(Some(REQUEST_TIME_MAX))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut writer = stream;
    let healthy = u8::from(!failing);
    let body = format!(
        "# HELP shop_healthy Whether orders can be taken.\n\
         # TYPE shop_healthy gauge\n\
         shop_healthy {healthy}\n"
    );
    write!(
        writer,
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
