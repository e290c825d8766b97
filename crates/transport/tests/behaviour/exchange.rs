//! One request at the server, and its response, whichever protocol carries them.

use std::fmt;

use http::HeaderMap;

use super::{http1, http2};

/// Fields of a head or a trailer section, as they came: in order, the names in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(pub(crate) Vec<(String, Vec<u8>)>);

/// A request's head.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// `Host` or `:authority`.
    pub(crate) host: String,
    /// All but the host.
    pub(crate) fields: Fields,
}

/// A request that came, to be answered. Dropped unanswered, it ends its connection, or its stream.
pub(crate) struct Exchange {
    pub(crate) head: Head,
    wire: Wire,
}

enum Wire {
    Http1(http1::Wire),
    Http2(http2::Wire),
}

/// Hands a call on to the protocol.
macro_rules! on {
    ($self:expr, $wire:ident => $call:expr) => {
        match $self {
            Wire::Http1($wire) => $call,
            Wire::Http2($wire) => $call,
        }
    };
}

impl Exchange {
    pub(crate) fn http1(head: Head, wire: http1::Wire) -> Self {
        Exchange { head, wire: Wire::Http1(wire) }
    }

    pub(crate) fn http2(head: Head, wire: http2::Wire) -> Self {
        Exchange { head, wire: Wire::Http2(wire) }
    }

    pub(crate) fn field(&self, name: &str) -> Option<String> {
        self.head.fields.get(name)
    }

    // ---- the request's body

    /// The next piece; `None` at the end. Fails if it was cut off.
    pub(crate) async fn chunk(&mut self) -> Option<Result<Vec<u8>, String>> {
        on!(&mut self.wire, wire => wire.chunk().await)
    }

    /// All of it.
    pub(crate) async fn body(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(piece) = self.chunk().await {
            all.extend_from_slice(&piece.expect("the body comes whole"));
        }
        all
    }

    /// The fields behind the body, when that was read.
    pub(crate) async fn trailers(&mut self) -> Option<HeaderMap> {
        on!(&mut self.wire, wire => wire.trailers().await)
    }

    /// Waits until the client has given the request up.
    pub(crate) async fn given_up(&mut self) {
        on!(&mut self.wire, wire => wire.given_up().await);
    }

    // ---- the response

    /// An interim response.
    pub(crate) async fn interim(&mut self, status: u16, fields: &[(&str, &str)]) {
        assert!(self.try_interim(status, fields).await, "the client listens");
    }

    /// Whether the client still listens.
    pub(crate) async fn try_interim(&mut self, status: u16, fields: &[(&str, &str)]) -> bool {
        on!(&mut self.wire, wire => wire.interim(status, fields).await)
    }

    /// The head of a response whose body follows. Without a `content-length`, HTTP/1 sends the body in chunks.
    pub(crate) async fn begin(&mut self, status: u16, fields: &[(&str, &str)]) {
        on!(&mut self.wire, wire => wire.begin(status, fields).await);
    }

    /// A response without a body, with exactly these fields.
    pub(crate) async fn bare(mut self, status: u16, fields: &[(&str, &str)]) {
        self.body().await;
        on!(self.wire, wire => wire.bare(status, fields).await);
    }

    /// A piece of the body. Returns whether the client still listens.
    pub(crate) async fn data(&mut self, data: impl Into<Vec<u8>>) -> bool {
        on!(&mut self.wire, wire => wire.data(data.into()).await)
    }

    /// The end of the body. The connection goes on if the request came whole.
    pub(crate) async fn end(mut self) {
        self.finish(&[]).await;
        on!(self.wire, wire => wire.give_back());
    }

    /// The end of the body, with fields behind it.
    pub(crate) async fn end_with(mut self, trailers: &[(&str, &str)]) {
        self.finish(trailers).await;
        on!(self.wire, wire => wire.give_back());
    }

    /// The end of the body, while the request goes on.
    pub(crate) async fn finish(&mut self, trailers: &[(&str, &str)]) {
        on!(&mut self.wire, wire => wire.finish(trailers).await);
    }

    /// Reads the request's body and answers.
    pub(crate) async fn answer(self, status: u16, body: impl Into<Vec<u8>>) {
        self.answer_with(status, &[], body).await;
    }

    /// Reads the request's body and answers, with these fields and a length.
    pub(crate) async fn answer_with(mut self, status: u16, fields: &[(&str, &str)], body: impl Into<Vec<u8>>) {
        self.body().await;
        let body = body.into();
        let length = body.len().to_string();
        let mut fields = fields.to_vec();
        fields.push(("content-length", &length));
        self.begin(status, &fields).await;
        if self.head.method != "HEAD" {
            self.data(body).await;
        }
        self.end().await;
    }

    /// Writes bytes by hand and closes the connection, in terms of TLS in order or not.
    ///
    /// # Panics
    /// Over HTTP/2.
    pub(crate) async fn raw(self, bytes: &[u8], in_order: bool) {
        match self.wire {
            Wire::Http1(wire) => wire.raw(bytes, in_order).await,
            Wire::Http2(_) => panic!("HTTP/2 has no such bytes"),
        }
    }

    /// Breaks off: HTTP/1 closes the connection, HTTP/2 resets the stream (`INTERNAL_ERROR`).
    pub(crate) fn abort(self) {
        on!(self.wire, wire => wire.abort());
    }

    /// Closes the connection under it, without a word.
    pub(crate) fn hang_up(self) {
        on!(self.wire, wire => wire.hang_up());
    }
}

impl Fields {
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let named = self.0.iter().filter(|(given, _)| given == name);
        named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The names in order, but those given.
    pub(crate) fn names_but(&self, but: &[&str]) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).filter(|name| !but.contains(name)).collect()
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("head", &self.head).finish_non_exhaustive()
    }
}
