//! Another protocol on a stream of HTTP/2.

use std::borrow::Cow;

use roundtrip_types::{Error, ErrorKind, Phase, Result};

/// Makes a `CONNECT` request one for a stream of HTTP/2 that another protocol is spoken on, such as WebSocket (RFC 8441): `Upgrade` for
/// HTTP/2. It goes into the request's extensions.
///
/// **Shape**: what `:protocol` says, a token such as `websocket`. The request's method is `CONNECT`, its URL is the whole one (`https`, with
/// a path), and it has no body. After an answer of 2xx the response has the stream, [`Upgraded`](crate::Upgraded); other answers are
/// ordinary ones. The stream is one of its connection, which the transport keeps: it counts as in use, and a transport that is shut
/// down ends it.
///
/// **Which connection**: one that speaks HTTP/2 in any case, see [`Protocols`](crate::Protocols). Nothing is sent before the server has said
/// in its settings that it takes such requests. They are waited for 10 s at most, or for `response_header_timeout` if that is shorter.
///
/// # Errors
/// Of the request, kind [`Connect`](ErrorKind::Connect): the server does not speak HTTP/2, or takes no such requests. Kind
/// [`Timeout`](ErrorKind::Timeout) in phase `connect`: its settings did not come. Kind
/// [`Request`](ErrorKind::Request): only HTTP/1.1 may be spoken, it has another method, a body, or a protocol that is no token.
///
/// **Source**: RFC 8441, sections 3 to 5. Go's HTTP/2 transport has it by a field named `:protocol`.
///
/// ```no_run
/// # use roundtrip_transport::{ExtendedConnect, RoundTripper, Transport, Upgraded};
/// # use roundtrip_types::Body;
/// # use tokio::io::AsyncWriteExt;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut req = http::Request::connect("https://h.test/chat").header("sec-websocket-version", "13").body(Body::empty())?;
/// req.extensions_mut().insert(ExtendedConnect::new("websocket"));
/// let mut response = Transport::new().round_trip(req).await?;
/// let mut stream = Upgraded::take(&mut response).ok_or("the server has refused")?;
/// stream.write_all(b"frames of WebSocket").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedConnect(Cow<'static, str>);

impl ExtendedConnect {
    /// For this protocol, by the name it has in `Upgrade` fields.
    #[must_use]
    pub fn new(protocol: impl Into<Cow<'static, str>>) -> Self {
        ExtendedConnect(protocol.into())
    }

    /// The protocol's name.
    #[must_use]
    pub fn protocol(&self) -> &str {
        &self.0
    }

    /// That a request with this can be one.
    pub(crate) fn check(&self, method: &http::Method, has_body: bool) -> Result<()> {
        let invalid = |message: String| Err(Error::new(ErrorKind::Request, message).with_phase(Phase::Prepare));
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if *method != http::Method::CONNECT {
            return invalid(format!("the method of an extended CONNECT is CONNECT, not {method}"));
        }
        if has_body {
            return invalid("an extended CONNECT has no body; what is sent goes into the stream".to_owned());
        }
        if self.0.is_empty() || !self.0.bytes().all(is_token) {
            let seen = roundtrip_h1::Excerpt::new(self.0.as_bytes());
            return invalid(format!("the protocol of an extended CONNECT is a token, not {seen}"));
        }
        Ok(())
    }
}
