//! Envelopes: payloads as they were received.

use serde::de::DeserializeOwned;

use crate::{Attribute, Envelope, Fault, Timestamp};

impl Envelope {
    /// A payload without headers, as a poller or a test makes it. The media
    /// type comes without parameters, in lower case.
    pub fn new(
        content_type: impl Into<String>,
        body: impl Into<Vec<u8>>,
        received: Timestamp,
    ) -> Self {
        Self {
            content_type: content_type.into(),
            headers: Vec::new(),
            body: body.into(),
            received,
        }
    }

    /// With this header, its name in lower case.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push(Attribute::new(name, value));
        self
    }

    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        crate::Attributes::value_of(self.headers.as_slice(), name)
    }

    /// The body as text.
    ///
    /// # Errors
    /// `malformed`, if it is not UTF-8.
    pub fn text(&self) -> Result<&str, Fault> {
        std::str::from_utf8(&self.body)
            .map_err(|error| Fault::malformed(format!("the body is not UTF-8: {error}")))
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// `malformed`, naming the field, if it does not have the shape that the
    /// type asks for.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        crate::json::parse(&self.body)
            .map_err(|error| Fault::malformed(format!("the body: {error}")))
    }
}
