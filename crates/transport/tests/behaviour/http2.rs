//! The server's side of HTTP/2.

use std::future::poll_fn;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tokio::sync::mpsc;

use super::exchange::{Exchange, Fields, Head};
use super::peer::{Doorway, Io};

/// A request and its response. Dropped before the end of both, it resets the stream.
pub(crate) struct Wire {
    request: RecvStream,
    respond: SendResponse<Bytes>,
    body: Option<SendStream<Bytes>>,
    /// Closes the connection.
    hang_up: mpsc::Sender<()>,
}

/// Serves one connection.
pub(crate) async fn serve(io: impl Io, mut doorway: Doorway) {
    let Ok(mut connection) = Builder::new().handshake::<_, Bytes>(io).await else { return };
    let (hang_up, mut hung_up) = mpsc::channel(1);
    let mut leaving = false;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = hung_up.recv() => return,
            accepted = connection.accept() => accepted,
            _ = doorway.leaving.changed(), if !leaving => {
                leaving = true;
                connection.graceful_shutdown();
                continue;
            }
        };
        let Some(Ok((request, respond))) = accepted else { return };
        let (parts, request) = request.into_parts();
        let field = |(name, value): (&HeaderName, &HeaderValue)| (name.as_str().to_owned(), value.as_bytes().to_vec());
        let head = Head {
            method: parts.method.to_string(),
            target: parts.uri.path_and_query().map_or("", |target| target.as_str()).to_owned(),
            host: parts.uri.authority().map_or("", |authority| authority.as_str()).to_owned(),
            fields: Fields(parts.headers.iter().map(field).collect()),
        };
        let wire = Wire { request, respond, body: None, hang_up: hang_up.clone() };
        if doorway.exchanges.send(Exchange::http2(head, wire)).is_err() {
            return;
        }
    }
}

impl Wire {
    pub(crate) async fn chunk(&mut self) -> Option<Result<Vec<u8>, String>> {
        let data = match self.request.data().await? {
            Ok(data) => data,
            Err(error) => return Some(Err(error.to_string())),
        };
        // Fails for a stream that is over.
        let _ = self.request.flow_control().release_capacity(data.len());
        Some(Ok(data.to_vec()))
    }

    pub(crate) async fn trailers(&mut self) -> Option<HeaderMap> {
        self.request.trailers().await.ok().flatten()
    }

    pub(crate) async fn given_up(&mut self) {
        let reset = match &mut self.body {
            Some(body) => poll_fn(|cx| body.poll_reset(cx)).await,
            None => poll_fn(|cx| self.respond.poll_reset(cx)).await,
        };
        // An error is the end of the whole connection.
        assert!(matches!(reset, Ok(Reason::CANCEL | Reason::NO_ERROR) | Err(_)), "{reset:?}");
    }

    #[expect(clippy::unused_async, reason = "as its twin")]
    pub(crate) async fn interim(&mut self, status: u16, fields: &[(&str, &str)]) -> bool {
        self.respond.send_informational(head(status, fields)).is_ok()
    }

    #[expect(clippy::unused_async, reason = "as its twin")]
    pub(crate) async fn begin(&mut self, status: u16, fields: &[(&str, &str)]) {
        // Fails if the client has given up.
        self.body = self.respond.send_response(head(status, fields), false).ok();
    }

    #[expect(clippy::unused_async, reason = "as its twin")]
    pub(crate) async fn bare(mut self, status: u16, fields: &[(&str, &str)]) {
        let _ = self.respond.send_response(head(status, fields), true);
    }

    pub(crate) async fn data(&mut self, data: Vec<u8>) -> bool {
        let Some(body) = &mut self.body else { return false };
        let mut data = Bytes::from(data);
        while !data.is_empty() {
            body.reserve_capacity(data.len());
            let Some(Ok(capacity)) = poll_fn(|cx| body.poll_capacity(cx)).await else { return false };
            let piece = data.split_to(capacity.min(data.len()));
            if body.send_data(piece, false).is_err() {
                return false;
            }
        }
        true
    }

    #[expect(clippy::unused_async, reason = "as its twin")]
    pub(crate) async fn finish(&mut self, trailers: &[(&str, &str)]) {
        let Some(body) = &mut self.body else { return };
        let _ = match trailers {
            [] => body.send_data(Bytes::new(), true),
            trailers => body.send_trailers(map(trailers)),
        };
    }

    /// A stream needs no giving back.
    pub(crate) fn give_back(self) {}

    pub(crate) fn abort(mut self) {
        match &mut self.body {
            Some(body) => body.send_reset(Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }

    pub(crate) fn hang_up(self) {
        // Full if it hangs up already. The connection looks at this first, so nothing more is said on the stream.
        let _ = self.hang_up.try_send(());
    }
}

fn head(status: u16, fields: &[(&str, &str)]) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status.try_into().unwrap();
    *response.headers_mut() = map(fields);
    response
}

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let field =
        |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
    let mut map = HeaderMap::new();
    for (name, value) in fields.iter().map(field) {
        map.append(name, value);
    }
    map
}
