//! Reaching every kind of server with the transport as its users have it: TLS, proxies, Unix sockets.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]
#![cfg(feature = "tls")]

mod extended;
mod held;
mod http2;
mod peers;
mod protocols;
mod proxies;
mod secure;

use http::Method;
use roundtrip_transport::{RoundTripper, Transport, TransportConfig};
use roundtrip_types::{Body, Error, ErrorKind, MessageExt, Phase, Request};

fn get(url: impl AsRef<str>) -> Request {
    http::Request::get(url.as_ref()).body(Body::empty()).unwrap()
}

fn post(url: impl AsRef<str>, body: impl Into<Body>) -> Request {
    http::Request::post(url.as_ref()).body(body.into()).unwrap()
}
