//! What became of an exchange that failed, and whether it may be sent again.

use h2::Reason;
use roundtrip_types::{Body, Error, ErrorKind, Phase};

use super::link::{End, Link};

/// An exchange that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: Error,
    pub(crate) repeat: Repeat,
    /// The request's body, if nothing of it was read.
    pub(crate) body: Option<Body>,
    /// Whether the peer has sent nothing of any response since the exchange began, nor a word about it.
    pub(crate) silent: bool,
}

/// Whether the request may be sent again although it is not known to be harmless (RFC 9113, section 8.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The server may have acted on it.
    No,
    /// The server has not acted on it, since it takes no more requests on this connection: on another.
    OnAnother,
    /// The server has not acted on it: later, or on another connection.
    Elsewhere,
    /// The server has not acted on it and wants it over HTTP/1.1.
    OverHttp1,
}

/// The connection broke before a request was sent on it.
pub(super) fn at_start(link: &Link, error: h2::Error) -> Error {
    explained(link, &error, None).0.with_phase(Phase::Connect)
}

/// Explains an error of stream number `id`; `None` if the stream was never opened.
pub(super) fn explained(link: &Link, error: &h2::Error, id: Option<u32>) -> (Error, Repeat) {
    let code = error.reason();
    let fault = fault(error);
    if let Some(fault) = &fault {
        // h2 waits for its last words to go out; a peer that does not read could prevent that for ever.
        link.close(fault.clone());
    }
    if let (Some((last, why)), Some(id)) = (link.meter.going_away(), id)
        && id > last
    {
        let message = format!("the server went away before it took up this request ({})", name(Reason::from(why)));
        // A connection's first request may itself be what the server cannot stand (Go: N9), then another would end the same.
        let repeat = match Reason::from(why) {
            Reason::NO_ERROR => Repeat::OnAnother,
            _ if id == 1 => Repeat::No,
            _ => Repeat::Elsewhere,
        };
        return (Error::new(ErrorKind::ConnectionLost, message).with_sent(false), repeat);
    }
    let Some(_) = id else {
        let line = link.end().map_or_else(|| error.to_string().into(), |end| end.why);
        let message = format!("the connection ended before the request was sent: {line}");
        return (Error::new(ErrorKind::ConnectionLost, message).with_sent(false), Repeat::Elsewhere);
    };
    if error.is_reset() && error.is_remote() {
        return match code {
            Some(Reason::REFUSED_STREAM) => {
                let message = "the server refused the request without acting on it (REFUSED_STREAM)";
                (Error::new(ErrorKind::ConnectionLost, message).with_sent(false), Repeat::Elsewhere)
            }
            Some(Reason::HTTP_1_1_REQUIRED) => {
                let message = "the server wants this request over HTTP/1.1 (HTTP_1_1_REQUIRED)";
                (Error::new(ErrorKind::ConnectionLost, message).with_sent(false), Repeat::OverHttp1)
            }
            code => {
                let message = format!("the server reset the stream ({})", code.map_or_else(String::new, name));
                (Error::new(ErrorKind::ConnectionLost, message).with_sent(true), Repeat::No)
            }
        };
    }
    if let Some(End { kind, why }) = fault {
        return (Error::new(kind, why.to_string()).with_sent(true), Repeat::No);
    }
    if let (true, Some(code)) = (error.is_reset(), code) {
        // h2's own verdict on this stream, which does not tell a large head from a malformed one.
        let most = link.max_header_list();
        let largest = link.meter.largest_block.load(std::sync::atomic::Ordering::Relaxed);
        let (kind, message) = if largest.saturating_mul(BLOCK_RATIO) > most as u64 {
            (ErrorKind::TooLarge, too_large(most))
        } else {
            (ErrorKind::Protocol, format!("the response is malformed ({})", name(code)))
        };
        return (Error::new(kind, message).with_sent(true), Repeat::No);
    }
    let (kind, message) = match code {
        Some(code) => (ErrorKind::ConnectionLost, format!("the server closed the connection ({})", name(code))),
        None => {
            let end = link.end().unwrap_or_else(|| End::new(ErrorKind::ConnectionLost, error.to_string()));
            (end.kind, format!("the connection ended: {}", end.why))
        }
    };
    (Error::new(kind, message).with_sent(true), Repeat::No)
}

/// How much smaller a header list is on the wire, at most, to be taken for the reason of h2's verdict. It is compressed, and each field
/// counts 32 bytes more than it has (RFC 9113, section 6.5.2).
const BLOCK_RATIO: u64 = 4;

/// What the peer has done that ends the connection, if that is what an error says.
pub(super) fn fault(error: &h2::Error) -> Option<End> {
    let why = match (error.reason(), error.get_io()) {
        (Some(Reason::FLOW_CONTROL_ERROR), _) if error.is_reset() && error.is_library() => OVERRUN.to_owned(),
        (Some(code), _) if error.is_go_away() && error.is_library() => {
            format!("the server broke HTTP/2 ({})", broken(error, code))
        }
        // Ours, see `guard`.
        (None, Some(io)) if io.kind() == std::io::ErrorKind::InvalidData => io.to_string(),
        _ => return None,
    };
    Some(End::new(ErrorKind::Protocol, why))
}

/// RFC 9113, section 6.9.1: that must not be.
pub(super) const OVERRUN: &str = "the server sent more than a stream's flow-control window allows (FLOW_CONTROL_ERROR)";

/// That a response's head is beyond its limit.
pub(crate) fn too_large(most: usize) -> String {
    format!("the response's head is too large: more than the {most} bytes allowed")
}

/// What h2 says about a peer's fault: the code and, where there are some, its own words.
fn broken(error: &h2::Error, code: Reason) -> String {
    let line = error.to_string();
    // As h2 sends it to the peer, too: `connection error detected: ... (b"too_many_continuations")`.
    match line.split_once("(b\"").and_then(|(_, rest)| rest.split_once('"')) {
        Some((words, _)) if !words.is_empty() => format!("{}, {words}", name(code)),
        _ => name(code),
    }
}

/// A code as the RFC writes it.
pub(super) fn name(code: Reason) -> String {
    let name = match code {
        Reason::NO_ERROR => "NO_ERROR",
        Reason::PROTOCOL_ERROR => "PROTOCOL_ERROR",
        Reason::INTERNAL_ERROR => "INTERNAL_ERROR",
        Reason::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR",
        Reason::SETTINGS_TIMEOUT => "SETTINGS_TIMEOUT",
        Reason::STREAM_CLOSED => "STREAM_CLOSED",
        Reason::FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR",
        Reason::REFUSED_STREAM => "REFUSED_STREAM",
        Reason::CANCEL => "CANCEL",
        Reason::COMPRESSION_ERROR => "COMPRESSION_ERROR",
        Reason::CONNECT_ERROR => "CONNECT_ERROR",
        Reason::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM",
        Reason::INADEQUATE_SECURITY => "INADEQUATE_SECURITY",
        Reason::HTTP_1_1_REQUIRED => "HTTP_1_1_REQUIRED",
        other => return format!("code {}", u32::from(other)),
    };
    name.to_owned()
}
