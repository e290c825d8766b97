//! A connection that the program holds for itself: Go's `http.ClientConn`.
//!
//! - [`ClientConn`] and [`Reservation`] are what the program has.
//! - `held` is what they share, and what the connection's exchanges and its watcher reach: slots, who waits for them, and how it ends.
//! - `hook` tells the program what changed, once at a time and never under a lock.
//! - `send` is one request on it.

mod held;
mod hook;
mod send;

use std::fmt;
use std::sync::Arc;

use http::{Method, Uri, Version};
use roundtrip_types::{Body, Error, ErrorKind, Request, Response, Result, RoundTripper};

pub(crate) use self::held::Held;
use self::held::{Then, Ticket};
use crate::acquire::open;
use crate::net::ConnInfo;
use crate::pool::ConnId;
use crate::prepare::{Prepared, origin};
use crate::shared::Opened;
use crate::transport::not_http2;
use crate::{RequestOptions, Transport};

/// One connection to one server, held by the program instead of the pool. Go's `http.ClientConn`.
///
/// Made by [`Transport::client_conn`]. It is for those who decide themselves which connection carries what: a pool of one's own, a
/// protocol that counts on the connection (such as NTLM), a probe, a test. Everybody else has it easier with the [`Transport`].
///
/// **Which requests**: those to the scheme, host and port that it was opened for, over what it turned out to speak
/// ([`version`](Self::version)). Differs from Go: there a request to another host goes out on it as well; here that is an error that names
/// both, and who means it sets the request's `Host` field. A request's own choice of a proxy, and the [`Reuse`](crate::Reuse) and
/// [`Retry`](crate::Retry) of its [`RequestOptions`], say nothing here, except that `Reuse::Never` closes the connection afterwards; all
/// other settings hold as in the transport. Nothing is sent twice: a request that fails has failed.
///
/// **How many at once**: over HTTP/1.1 one, from its head to the end of the response's body; over HTTP/2 as many as the server allows, at
/// most [`max_concurrent_streams`](crate::Http2Config::max_concurrent_streams). A request in excess waits for its turn, first come, first
/// served, no longer than `wait_timeout` and `total_timeout` allow. [`reserve`](Self::reserve) takes a place ahead.
///
/// **Limits**: as in Go, it is not in the transport's pool, and counts neither there (`max_conns_per_host`, `max_conns`, the statistics)
/// nor among its idle ones; `close_idle_connections`, `evict`, the idle timeout and `shutdown` leave it alone. So it is the program that
/// bounds how many there are. [`Events`](crate::Events) hear of it as of any other; its number is unique in its transport.
///
/// **How it ends**: [`close`](Self::close) ends it at once, requests on their way included. Dropped, it takes no more requests and closes
/// when those on their way have ended. [`into_pool`](Self::into_pool) gives it to the transport instead. A server that closes it is noticed
/// at once, over HTTP/1.1 by a task that sleeps meanwhile. So is whatever keeps an HTTP/1.1 connection from being used again: a response
/// whose body was dropped early and is large, a future that was dropped, `Connection: close`.
///
/// # Errors
/// Of requests on it, besides those that every request may have:
/// - [`Request`](ErrorKind::Request): it is for another server, or cannot go over what the connection speaks.
/// - [`ConnectionLost`](ErrorKind::ConnectionLost) or [`Canceled`](ErrorKind::Canceled), in phase `queue`: it takes no more requests;
///   [`error`](Self::error) says why. Nothing was sent.
/// - [`Overloaded`](ErrorKind::Overloaded): all that it can carry at once is reserved, so that to wait could be to wait for oneself.
///
/// # Cancel safety
/// Dropping the future of a request that waits leaves its place to the next. Later it closes the connection over HTTP/1.1, and
/// resets the stream over HTTP/2.
///
/// # Examples
/// ```
/// use roundtrip_transport::{RoundTripper, Transport};
/// use roundtrip_types::{Body, MessageExt};
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let url = format!("http://{}/", listener.local_addr()?);
/// # tokio::spawn(async move {
/// #     let (mut stream, _) = listener.accept().await.unwrap();
/// #     while stream.read(&mut [0; 1024]).await.unwrap() > 0 {
/// #         stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
/// #     }
/// # });
/// let transport = Transport::new();
/// let conn = transport.client_conn(&url.parse()?).await?;
/// let place = conn.reserve()?;
/// assert_eq!((conn.available(), conn.in_flight()), (0, 1));
/// let response = place.round_trip(http::Request::get(&url).body(Body::empty())?).await?;
/// assert_eq!(response.text().await?, "hi");
/// assert_eq!((conn.available(), transport.stats().open()), (1, 0));
///
/// conn.into_pool();
/// assert_eq!(transport.stats().idle, 1);
/// # Ok(())
/// # }
/// ```
pub struct ClientConn {
    held: Arc<Held>,
}

/// A place for one request on a [`ClientConn`]: given back when it is dropped, used up by [`round_trip`](Self::round_trip).
///
/// Differs from Go: there `Reserve` counts, and whichever `RoundTrip` comes next takes the place; here the place is a value, and whoever has
/// it has the place. It may outlive its [`ClientConn`], but then carries no request.
#[must_use = "dropped, it gives its place back"]
pub struct Reservation {
    ticket: Ticket,
}

/// What a [`ClientConn`] has room for.
///
/// **Shape**: a snapshot; another request may have come by the time it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientConnState {
    /// Requests that could be sent now without waiting: over HTTP/1.1 none or one. 0 once it is closed, and over HTTP/2 while it is
    /// not known whether the server is still there (a request was given up, and a PING is not yet answered).
    pub available: usize,
    /// Requests on their way, up to the end of their responses' bodies, and places that are reserved.
    pub in_flight: usize,
    /// Whether it takes no more requests, for good. Responses may still be on their way.
    pub closed: bool,
}

impl Transport {
    /// Opens a connection to the host of `uri` for the program to hold, as a dial of the pool would: through the proxy, with TLS, and
    /// HTTP/2 where that is agreed on. It is a new one always. Go's `Transport.NewClientConn`.
    ///
    /// # Errors
    /// [`Request`](ErrorKind::Request) if `uri` has no scheme and host that the transport could send to, [`Canceled`](ErrorKind::Canceled)
    /// if the transport was shut down, and whatever keeps a connection from being opened.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened.
    pub async fn client_conn(&self, uri: &Uri) -> Result<ClientConn> {
        self.client_conn_with(uri, RequestOptions::default()).await
    }

    /// As [`client_conn`](Self::client_conn), with what is to be otherwise for this connection: of the options, `proxy`, `protocols`,
    /// `connect_timeout` and `events` count.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As there.
    pub async fn client_conn_with(&self, uri: &Uri, options: RequestOptions) -> Result<ClientConn> {
        let opened = self.open_held(uri, options).await;
        opened.map(|held| ClientConn { held }).map_err(|error| error.with_request(&Method::GET, uri))
    }

    async fn open_held(&self, uri: &Uri, options: RequestOptions) -> Result<Arc<Held>> {
        let shared = self.shared();
        // Who chooses the proxy and the protocol looks at a request, as in Go.
        let mut req = Request::new(Body::empty());
        *req.uri_mut() = uri.clone();
        req.extensions_mut().insert(options);
        let asked = Prepared::new(&mut req, self.config())?;
        let Some(id) = shared.number() else {
            return Err(Error::new(ErrorKind::Canceled, "the transport was shut down"));
        };
        let expires = shared.expiry();
        let opened = open(shared, asked.key(), asked.connect_timeout(), asked.events().cloned()).await?;
        if asked.only_http2() && matches!(opened, Opened::One(_)) {
            return Err(not_http2(asked.key()));
        }
        let held = Held::new(shared, id, origin(uri)?, asked.key().clone(), expires, opened);
        match held.error() {
            // The server has closed it at once.
            Some(error) => Err(error),
            None => Ok(held),
        }
    }
}

impl ClientConn {
    /// Takes a place for a request that is sent later: Go's `Reserve`. It counts as in flight.
    ///
    /// # Errors
    /// [`Overloaded`](ErrorKind::Overloaded) if there is no place now, or others wait for one; [`error`](Self::error) if it takes no more
    /// requests.
    pub fn reserve(&self) -> Result<Reservation> {
        self.held.reserve().map(|ticket| Reservation { ticket })
    }

    /// How many requests could be sent now without waiting. See [`ClientConnState::available`].
    #[must_use]
    pub fn available(&self) -> usize {
        self.held.state().available
    }

    /// How many requests and reservations there are. See [`ClientConnState::in_flight`].
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.held.state().in_flight
    }

    /// What it has room for, all at one moment.
    #[must_use]
    pub fn state(&self) -> ClientConnState {
        self.held.state()
    }

    /// Why it takes no more requests; `None` while it does. Go's `Err`.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        self.held.error()
    }

    /// Has `hook` called whenever the [state](Self::state) is another than it was told last, or than it was when the connection was opened.
    /// It replaces the hook before it. Go's `SetStateHook`.
    ///
    /// It is called by whoever made the change: a request's task, whoever drops a response, the task that watches the connection, this
    /// very function. So it must not block. It is called once at a time and never under a lock, and may use the connection; what changes
    /// while it runs is told in another call, several changes in one. A panic in it goes to whoever made the change.
    ///
    /// Differs from Go: there it is called when there is more room, when fewer are in flight, and at the end; here when there is less
    /// room, too.
    pub fn set_state_hook(&self, hook: impl Fn(&ClientConnState) + Send + Sync + 'static) {
        self.held.set_hook(Arc::new(hook));
    }

    /// Ends it now: no more requests, and those on their way fail with an error of kind [`Canceled`](ErrorKind::Canceled), the next time
    /// that somebody polls them. Go's `Close`.
    pub fn close(&self) {
        self.held.close();
    }

    /// Gives it to the transport's pool, which may hand it to anybody from then on. Places that are still reserved are void. While a
    /// response is on its way, or over HTTP/2 a place still reserved, it is neither here nor there; it goes to the pool at the end of that.
    ///
    /// It is closed instead if it is not fit for another request, if the pool has no room for it (the limits of
    /// [`TransportConfig`](crate::TransportConfig) hold again), or if the transport was shut down. Requests that it has carried, and its age,
    /// count towards their limits. Go has no such way back.
    pub fn into_pool(self) {
        self.held.leave(Then::Pool);
    }

    /// Its number, unique in its transport.
    #[must_use]
    pub fn id(&self) -> ConnId {
        self.held.id
    }

    /// Where it leads and how it is secured.
    #[must_use]
    pub fn info(&self) -> &ConnInfo {
        &self.held.info
    }

    /// What it speaks: [`Version::HTTP_11`] or [`Version::HTTP_2`].
    #[must_use]
    pub fn version(&self) -> Version {
        if self.held.is_http2() { Version::HTTP_2 } else { Version::HTTP_11 }
    }
}

impl RoundTripper for ClientConn {
    async fn round_trip(&self, mut req: Request) -> Result<Response> {
        let sent = send::send(&self.held, None, &mut req).await;
        sent.map_err(|error| error.with_request(req.method(), req.uri()))
    }
}

impl Reservation {
    /// Sends `req` in the place that was reserved. It does not wait for one.
    ///
    /// # Errors
    /// See [`ClientConn`].
    ///
    /// # Cancel safety
    /// As for any request on the connection; the place is used up.
    pub async fn round_trip(self, mut req: Request) -> Result<Response> {
        let held = Arc::clone(self.ticket.held());
        let sent = send::send(&held, Some(self.ticket), &mut req).await;
        sent.map_err(|error| error.with_request(req.method(), req.uri()))
    }
}

impl Drop for ClientConn {
    fn drop(&mut self) {
        self.held.leave(Then::Close);
    }
}

impl fmt::Debug for ClientConn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConn")
            .field("id", &self.held.id)
            .field("info", &self.held.info)
            .field("state", &self.held.state())
            .finish()
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("conn", &self.ticket.held().id).finish()
    }
}
