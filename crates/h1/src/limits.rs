//! How much of a head is read before it is refused.

/// The bounds of one message head.
///
/// **Source**: `max_head_bytes` mirrors Go's `Server.MaxHeaderBytes` and `Transport.MaxResponseHeaderBytes`, `max_fields` Go's
/// `Server.MaxHeaderValueCount`. RFC 9112 section 3 asks for room for at least 8000 bytes of request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes a head may have: start line, fields, line ends and the empty line.
    ///
    /// Bounds what a peer makes us hold before anything is known about it. Values above 4 GiB count as 4 GiB. A caller that
    /// skips interim responses adds their [`head_bytes`](crate::ResponseHead::head_bytes) up itself.
    pub max_head_bytes: usize,
    /// The most field lines a head may have, each line counting once however many list elements it holds.
    ///
    /// Bounds the work and the memory of the header map (about 100 bytes a field). Values above 24,576, where
    /// [`http::HeaderMap`] ends, count as that.
    pub max_fields: usize,
}

impl Limits {
    /// For responses: 1 MiB and 1000 fields.
    ///
    /// Differs from Go: Go allows 10 MiB and any number of fields.
    #[must_use]
    pub const fn response() -> Self {
        Limits { max_head_bytes: 1 << 20, max_fields: 1000 }
    }

    /// For requests: 64 KiB and 500 fields.
    ///
    /// Differs from Go: Go allows 1 MiB (and 4 KiB more on the wire); the 500 fields are Go's.
    #[must_use]
    pub const fn request() -> Self {
        Limits { max_head_bytes: 64 << 10, max_fields: 500 }
    }

    /// With the values that offsets and header maps can hold.
    pub(crate) fn clamped(self) -> Self {
        Limits { max_head_bytes: self.max_head_bytes.min(u32::MAX as usize), max_fields: self.max_fields.min(24_576) }
    }
}
