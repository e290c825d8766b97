//! What is taken from peers although the grammar forbids it: every such thing has a named switch here.

/// Which deviations from the grammar of RFC 9112 a head parser accepts.
///
/// Everything is off in [`Leniency::STRICT`]. Where a switch is on, the deviation is repaired in a way that RFC 9112 names, so
/// that the result is the same for every recipient that follows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leniency {
    /// Takes a lone LF for a line end.
    ///
    /// RFC 9112 section 2.2: a recipient MAY. Off for both roles: a peer that takes only CRLF sees another message in the same
    /// bytes, which is what request smuggling needs. Some old servers written as scripts send such heads.
    /// Differs from Go: Go takes a lone LF everywhere in a head.
    pub bare_lf: bool,
    /// Joins a field line that begins with white space to the line before, putting one space in place of the line end.
    ///
    /// RFC 9112 section 5.2: a user agent MUST do so with a response that has it, so it is on there; a server MUST refuse or do
    /// so, and here it refuses.
    /// Differs from Go: Go also unfolds requests.
    pub obs_fold: bool,
    /// Ignores white space between a field name and its colon.
    ///
    /// RFC 9112 section 5.1: a server MUST refuse it and a proxy MUST remove it from a response; a user agent is left free.
    /// Off for both roles. Differs from Go: Go's client takes such a line for a field with a space in its name.
    pub space_before_colon: bool,
    /// Takes white space behind a chunk's size, where only an extension may follow.
    ///
    /// RFC 9112 section 7.1.1 allows white space before a semicolon only. Off for both roles; some old servers pad the size to
    /// a fixed width. Differs from Go: Go takes white space at the end of the line.
    pub space_after_chunk_size: bool,
    /// Takes the bytes ``[ \ ] ^ ` { | }`` in the target of a request as they are.
    ///
    /// RFC 3986 section 3.3 and 3.4 want them percent-encoded, and RFC 9112 section 3.2 says that a server SHOULD refuse the
    /// request otherwise. On for requests, because browsers send most of them so (the URL Standard's percent-encode sets leave
    /// them out). Quotes, angle brackets, `#`, and everything that is not visible ASCII are refused in any case.
    /// Differs from Go: Go takes every byte but controls.
    pub unencoded_target: bool,
    /// Takes in the target of a request whatever a [`Uri`](http::Uri) can hold: besides the bytes of `unencoded_target` also
    /// quotes, bytes above ASCII, and in the query percent signs without their two digits. A percent sign in the path still has
    /// to have them, and a fragment is refused.
    ///
    /// RFC 9112 section 3.2: a server SHOULD refuse the request. Off for both roles; a server that is used by hand wants it,
    /// since tools send what is typed (`curl 'http://host/?q=100%'`), and no two readers disagree on where such a target ends.
    pub any_target: bool,
}

impl Leniency {
    /// Nothing outside the grammar.
    pub const STRICT: Leniency = Leniency {
        bare_lf: false,
        obs_fold: false,
        space_before_colon: false,
        space_after_chunk_size: false,
        unencoded_target: false,
        any_target: false,
    };

    /// The default for responses: what a user agent must take.
    #[must_use]
    pub const fn response() -> Self {
        Leniency { obs_fold: true, ..Leniency::STRICT }
    }

    /// The default for requests: what browsers send.
    #[must_use]
    pub const fn request() -> Self {
        Leniency { unencoded_target: true, ..Leniency::STRICT }
    }
}
