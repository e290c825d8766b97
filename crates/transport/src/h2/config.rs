//! Settings of HTTP/2.

use std::time::Duration;

/// How HTTP/2 is spoken: a plain struct to fill in, ending with `..Http2Config::default()`. Go's `HTTP2Config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2Config {
    /// Most requests at once on one connection, whatever more the server allows. Default 1000. A connection that is full has
    /// another opened beside it.
    pub max_concurrent_streams: usize,
    /// Whether a request waits while all connections to its host are full, instead of opening another. Default false. Go's
    /// `StrictMaxConcurrentRequests`.
    pub strict_max_concurrent_streams: bool,
    /// How many bytes of a response the server may send before they are read. Default 4 MiB, as Go. A larger window makes
    /// distant downloads faster and each unread response cost more memory.
    pub stream_window: u32,
    /// The same for all responses of a connection together. Default 16 MiB. Differs from Go: Go allows 1 GiB, which bounds
    /// nothing.
    pub connection_window: u32,
    /// Lets the two windows grow with what a round trip can carry, up to 16 MiB and 64 MiB; they then begin with what is set
    /// above. Default false. It costs a PING a round trip while data comes.
    pub adaptive_window: bool,
    /// Largest frame to take, in bytes, 16 KiB to 16 MiB. Default 16 KiB. Differs from Go: Go takes 1 MiB; larger frames save
    /// little and make the streams of a connection wait for each other.
    pub max_frame_size: u32,
    /// How many bytes of a request's body may wait to be sent. Default 256 KiB.
    pub send_buffer: usize,
    /// After how long without a sign of life the server is asked for one (PING), while requests are in flight. Default
    /// `None`, never, as Go. Go's `SendPingTimeout`.
    pub keep_alive_interval: Option<Duration>,
    /// Whether to ask idle connections too. Default false.
    pub keep_alive_while_idle: bool,
    /// How long the answer to a PING may take before the connection is given up. Default 15 s, as Go's `PingTimeout`. A connection is
    /// asked as well when a request on it was given up and nothing had come since it began. Until the answer it takes no new ones; of those
    /// that carry nothing then, four to a host are kept, and the one that has waited longest is closed.
    pub ping_timeout: Duration,
    /// How long an upload may wait for the server to take more of it. Default 5 min; `None` waits for ever, as Go. It stops a
    /// server that never opens its flow-control window.
    pub window_timeout: Option<Duration>,
}

impl Default for Http2Config {
    fn default() -> Self {
        Http2Config {
            max_concurrent_streams: 1000,
            strict_max_concurrent_streams: false,
            stream_window: 4 << 20,
            connection_window: 16 << 20,
            adaptive_window: false,
            max_frame_size: 16 << 10,
            send_buffer: 256 << 10,
            keep_alive_interval: None,
            keep_alive_while_idle: false,
            ping_timeout: Duration::from_secs(15),
            window_timeout: Some(Duration::from_secs(300)),
        }
    }
}

/// RFC 9113, section 6.9.1.
pub(super) const WINDOW_MOST: u32 = (1 << 31) - 1;
