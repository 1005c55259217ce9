//! The body of a request that knows whether it was read to its end.
//!
//! Who is refused is told so before all of their body was read. What is left of
//! it stands in the way of their next request, so the connection ends with the
//! answer; and the answer has to say so (RFC 9112, section 9.6), or the next
//! request would be sent into a connection that is about to be closed.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

/// A body, and a note of its end.
pub(crate) struct WatchedBody {
    body: Incoming,
    end: BodyEnd,
}

/// Whether the end of a body has been read.
#[derive(Debug, Clone, Default)]
pub(crate) struct BodyEnd(Arc<AtomicBool>);

impl WatchedBody {
    /// Watches a body of which nothing has been read.
    pub(crate) fn new(body: Incoming) -> (Self, BodyEnd) {
        let end = BodyEnd::default();
        let watched = Self {
            body,
            end: end.clone(),
        };
        watched.note_end();
        (watched, end)
    }

    fn note_end(&self) {
        if self.body.is_end_stream() {
            self.end.reach();
        }
    }
}

impl BodyEnd {
    fn reach(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether nothing is left of the body.
    pub(crate) fn is_reached(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        match polled {
            Poll::Ready(None) => this.end.reach(),
            _ => this.note_end(),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
