//! How much of a chunked body may be something other than data.

/// The bounds on what a chunked body carries besides data.
///
/// They stop a peer that sends framing for ever: without them a body of a few bytes could take unbounded time to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderLimits {
    /// The most bytes a chunk's size line may have, extensions and line end included. Default 4096, as in Go.
    /// A size alone always fits.
    pub max_chunk_line: usize,
    /// The most bytes that size lines may have in excess, over the whole body. Default 16 KiB, as in Go.
    ///
    /// Each size line adds its length to the excess; each chunk takes 16 bytes and its own size off again. So short
    /// extensions on real data can go on for ever, and long ones on tiny chunks cannot.
    /// Differs from Go: a chunk takes its size off once, not twice.
    pub max_chunk_excess: usize,
    /// The most bytes the trailer section may have, the empty line included. Default 16 KiB.
    pub max_trailer_bytes: usize,
    /// The most trailer fields. Default 100.
    pub max_trailer_fields: usize,
}

impl Default for DecoderLimits {
    fn default() -> Self {
        DecoderLimits {
            max_chunk_line: 4096,
            max_chunk_excess: 16 << 10,
            max_trailer_bytes: 16 << 10,
            max_trailer_fields: 100,
        }
    }
}
