//! Which versions of HTTP a request may go over: what the transport speaks, what the request itself asks for, and what it is for.

use std::fmt;

use crate::config::Protocols;
use crate::net::{Alpn, Scheme};

/// What a request is for, as far as it decides about the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A message and its answer.
    Exchange,
    /// The connection itself: `Upgrade` (RFC 9110, section 7.8) or `CONNECT`, which are other things in HTTP/2.
    Connection,
    /// A stream of HTTP/2 (RFC 8441).
    Stream,
}

/// What a request may go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spoken {
    /// What the connections of its pool may speak.
    pub(crate) alpn: Alpn,
    /// Of those, the ones that turned out to be HTTP/1.1 will not do.
    pub(crate) only_http2: bool,
}

/// Why a request cannot go over any protocol that it may go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unspoken {
    /// It asks for HTTP/2, and for the connection itself.
    UpgradeOverHttp2,
    /// It asks for a stream of HTTP/2 where only HTTP/1.1 may be spoken.
    StreamOverHttp1,
    /// It needs HTTP/2 in plain text, which takes knowing that the server speaks it.
    NoPriorKnowledge,
    /// It needs HTTP/2, and a proxy forwards it.
    Forwarded,
}

/// What is spoken with hosts of this scheme where nothing else is asked for.
pub(crate) fn general(protocols: Protocols, scheme: Scheme) -> Alpn {
    match (protocols, scheme) {
        (Protocols::Http2, _) => Alpn::Http2,
        (Protocols::Http2OrHttp1, Scheme::Https) => Alpn::Http2OrHttp1,
        _ => Alpn::Http1,
    }
}

/// What a request may go over. `transport` is what the transport speaks, `own` what the request asks for instead; `forwarded` is whether a
/// proxy gets it as it is, in plain text.
///
/// # Errors
/// There is nothing.
pub(crate) fn spoken(
    transport: Protocols,
    own: Option<Protocols>,
    scheme: Scheme,
    purpose: Purpose,
    forwarded: bool,
) -> Result<Spoken, Unspoken> {
    let asked = own.unwrap_or(transport);
    match purpose {
        // What the transport speaks is said about exchanges, so only the request itself can contradict itself.
        Purpose::Connection if own == Some(Protocols::Http2) => return Err(Unspoken::UpgradeOverHttp2),
        Purpose::Stream if asked == Protocols::Http1 => return Err(Unspoken::StreamOverHttp1),
        Purpose::Stream if forwarded => return Err(Unspoken::Forwarded),
        Purpose::Stream if asked == Protocols::Http2OrHttp1 && scheme != Scheme::Https => {
            return Err(Unspoken::NoPriorKnowledge);
        }
        Purpose::Exchange if forwarded && own == Some(Protocols::Http2) => return Err(Unspoken::Forwarded),
        _ => {}
    }
    // What a proxy that forwards speaks is not what the server does.
    if purpose == Purpose::Connection || forwarded {
        return Ok(Spoken { alpn: Alpn::Http1, only_http2: false });
    }
    let only_http2 = asked == Protocols::Http2 || purpose == Purpose::Stream;
    let alpn = match general(asked, scheme) {
        // It shares the connections that the others have, or opens one that they can use, and looks what that turns out to be.
        Alpn::Http2 if general(transport, scheme) == Alpn::Http2OrHttp1 => Alpn::Http2OrHttp1,
        other => other,
    };
    Ok(Spoken { alpn, only_http2 })
}

/// Why a request does not go over a connection that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It asks for HTTP/1.1, or for the connection itself.
    OverHttp2,
    /// It asks for HTTP/2.
    OverHttp1,
}

/// Whether a request may go over a connection that speaks HTTP/2, or HTTP/1.1.
///
/// # Errors
/// It may not.
pub(crate) fn fits(own: Option<Protocols>, purpose: Purpose, is_http2: bool) -> Result<(), Unfit> {
    match is_http2 {
        true if own == Some(Protocols::Http1) || purpose == Purpose::Connection => Err(Unfit::OverHttp2),
        false if own == Some(Protocols::Http2) || purpose == Purpose::Stream => Err(Unfit::OverHttp1),
        _ => Ok(()),
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unfit::OverHttp2 => "the request needs HTTP/1.1, and the connection speaks HTTP/2",
            Unfit::OverHttp1 => "the request needs HTTP/2, and the connection speaks HTTP/1.1",
        })
    }
}

impl fmt::Display for Unspoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unspoken::UpgradeOverHttp2 => {
                "the request asks for HTTP/2 only, which has no Upgrade, and whose CONNECT is another one (ExtendedConnect)"
            }
            Unspoken::StreamOverHttp1 => "extended CONNECT needs HTTP/2, and only HTTP/1.1 may be spoken",
            Unspoken::NoPriorKnowledge => {
                "extended CONNECT needs HTTP/2, which is spoken in plain text only by prior knowledge (Protocols::Http2)"
            }
            Unspoken::Forwarded => "the request needs HTTP/2, and goes to a proxy that forwards it over HTTP/1.1",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Protocols::{Http1, Http2, Http2OrHttp1};

    const BOTH: Alpn = Alpn::Http2OrHttp1;

    #[test]
    fn the_requests_choice_goes_before_the_transports() {
        let (http, https) = (Scheme::Http, Scheme::Https);
        for (transport, own, scheme, want, only_http2) in [
            (Http2OrHttp1, None, http, Alpn::Http1, false),
            (Http2OrHttp1, None, https, BOTH, false),
            (Http1, None, https, Alpn::Http1, false),
            (Http2, None, http, Alpn::Http2, true),
            (Http2, None, https, Alpn::Http2, true),
            (Http2OrHttp1, Some(Http1), https, Alpn::Http1, false),
            (Http2, Some(Http1), http, Alpn::Http1, false),
            (Http2OrHttp1, Some(Http2), http, Alpn::Http2, true),
            // In the pool of the others.
            (Http2OrHttp1, Some(Http2), https, BOTH, true),
            (Http1, Some(Http2), https, Alpn::Http2, true),
            (Http1, Some(Http2OrHttp1), https, BOTH, false),
            (Http2, Some(Http2OrHttp1), https, BOTH, false),
            (Http2, Some(Http2OrHttp1), http, Alpn::Http1, false),
        ] {
            let got = spoken(transport, own, scheme, Purpose::Exchange, false);
            assert_eq!(got, Ok(Spoken { alpn: want, only_http2 }), "{transport:?} {own:?} {scheme:?}");
        }
    }

    #[test]
    fn what_a_request_is_for_may_leave_nothing_to_go_over() {
        let (http, https) = (Scheme::Http, Scheme::Https);
        let one = Ok(Spoken { alpn: Alpn::Http1, only_http2: false });
        for (transport, own, scheme, purpose, forwarded, want) in [
            (Http2OrHttp1, None, https, Purpose::Connection, false, one),
            (Http2, None, https, Purpose::Connection, false, one),
            (Http2, Some(Http2OrHttp1), https, Purpose::Connection, false, one),
            (Http2OrHttp1, Some(Http2), https, Purpose::Connection, false, Err(Unspoken::UpgradeOverHttp2)),
            (Http1, None, https, Purpose::Stream, false, Err(Unspoken::StreamOverHttp1)),
            (Http2, Some(Http1), https, Purpose::Stream, false, Err(Unspoken::StreamOverHttp1)),
            (Http2OrHttp1, None, http, Purpose::Stream, false, Err(Unspoken::NoPriorKnowledge)),
            (Http2OrHttp1, None, https, Purpose::Stream, false, Ok(Spoken { alpn: BOTH, only_http2: true })),
            (
                Http2OrHttp1,
                Some(Http2),
                http,
                Purpose::Stream,
                false,
                Ok(Spoken { alpn: Alpn::Http2, only_http2: true }),
            ),
            (Http2, None, http, Purpose::Stream, true, Err(Unspoken::Forwarded)),
            (Http2, None, http, Purpose::Exchange, true, one),
            (Http2OrHttp1, Some(Http2), http, Purpose::Exchange, true, Err(Unspoken::Forwarded)),
        ] {
            let got = spoken(transport, own, scheme, purpose, forwarded);
            assert_eq!(got, want, "{transport:?} {own:?} {scheme:?} {purpose:?} {forwarded}");
        }
    }

    #[test]
    fn a_connection_takes_what_may_go_over_it() {
        for (own, purpose, over_http1, over_http2) in [
            (None, Purpose::Exchange, Ok(()), Ok(())),
            (Some(Http2OrHttp1), Purpose::Exchange, Ok(()), Ok(())),
            (Some(Http1), Purpose::Exchange, Ok(()), Err(Unfit::OverHttp2)),
            (Some(Http2), Purpose::Exchange, Err(Unfit::OverHttp1), Ok(())),
            (None, Purpose::Connection, Ok(()), Err(Unfit::OverHttp2)),
            (None, Purpose::Stream, Err(Unfit::OverHttp1), Ok(())),
        ] {
            assert_eq!(fits(own, purpose, false), over_http1, "{own:?} {purpose:?}");
            assert_eq!(fits(own, purpose, true), over_http2, "{own:?} {purpose:?}");
        }
    }

    fn protocols() -> impl Strategy<Value = Protocols> {
        prop::sample::select(vec![Http1, Http2OrHttp1, Http2])
    }

    proptest! {
        #[test]
        fn nothing_goes_over_what_was_not_asked_for(
            transport in protocols(),
            own in prop::option::of(protocols()),
            scheme in prop::sample::select(vec![Scheme::Http, Scheme::Https]),
            purpose in prop::sample::select(vec![Purpose::Exchange, Purpose::Connection, Purpose::Stream]),
            forwarded: bool,
        ) {
            // Only what is plain text is forwarded.
            let forwarded = forwarded && scheme == Scheme::Http;
            let got = spoken(transport, own, scheme, purpose, forwarded);
            if let Ok(Spoken { alpn, only_http2 }) = got {
                prop_assert!(!only_http2 || alpn != Alpn::Http1);
                prop_assert!(own != Some(Http1) || alpn == Alpn::Http1);
                prop_assert!(own != Some(Http2) || only_http2);
                prop_assert!(alpn != Alpn::Http2 || own.unwrap_or(transport) == Http2);
                prop_assert!(purpose != Purpose::Stream || only_http2);
                prop_assert!(purpose != Purpose::Connection || alpn == Alpn::Http1);
                prop_assert!(scheme == Scheme::Https || alpn != BOTH, "nothing is agreed on in plain text");
            } else {
                prop_assert!(own == Some(Http2) || purpose == Purpose::Stream, "an ordinary request always goes");
            }
            // To ask for what holds anyway changes nothing.
            if own.is_none() && purpose == Purpose::Exchange && !forwarded {
                prop_assert_eq!(got, spoken(transport, Some(transport), scheme, purpose, forwarded));
            }
        }
    }
}
