//! The one task of a connection: frames, PINGs and windows.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::client::Connection;
use h2::{Ping, PingPong, Reason};
use roundtrip_types::ErrorKind;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Http2Config;
use super::error::{fault, name};
use super::guard::Guarded;
use super::link::{End, Link};

/// Drives the connection until it is over.
pub(super) async fn drive(mut connection: Connection<Guarded, Bytes>, link: Arc<Link>, config: Http2Config) {
    // Says so however this ends, a runtime that goes away included.
    let _ended = Ended(Arc::clone(&link));
    let pings = connection.ping_pong();
    let mut vigil = Vigil::new(pings, config);
    let mut allowed = connection.max_concurrent_send_streams();
    let end = poll_fn(|cx| {
        link.register_driver(cx);
        if let Some(end) = link.end() {
            return Poll::Ready(end);
        }
        loop {
            if let Poll::Ready(over) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(end_of(&link, over));
            }
            if link.meter.going_away().is_some() && !link.is_draining() {
                link.drain();
            }
            let allows = connection.max_concurrent_send_streams();
            if std::mem::replace(&mut allowed, allows) != allows {
                link.allows_others();
            }
            if link.is_draining() && link.in_flight() == 0 {
                return Poll::Ready(End::new(ErrorKind::ConnectionLost, "it was drained"));
            }
            match vigil.poll(&link, &mut connection, cx) {
                // A PING was handed over, or a window changed: it has to be written.
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(why)) => return Poll::Ready(End::new(ErrorKind::ConnectionLost, why)),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
    // Said first, so that exchanges that are woken by the connection's end know why.
    link.close(end);
    // Closed before it is told, so that whoever is told finds the descriptor free.
    drop(connection);
}

struct Ended(Arc<Link>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.close(End::new(ErrorKind::ConnectionLost, "its runtime went away"));
        self.0.has_closed();
    }
}

fn end_of(link: &Link, over: Result<(), h2::Error>) -> End {
    let lost = |why: &str| End::new(ErrorKind::ConnectionLost, why);
    match (over, link.meter.going_away()) {
        (Ok(()), None) => lost("it was closed"),
        (Ok(()), Some(_)) => lost("the server went away"),
        (Err(error), Some((_, why))) if error.is_go_away() && error.is_remote() => {
            lost(&format!("the server went away ({})", name(Reason::from(why))))
        }
        (Err(error), _) if is_end(&error) => lost("the server closed it"),
        (Err(error), _) => fault(&error).unwrap_or_else(|| lost(&error.to_string())),
    }
}

/// Whether an error is but the end of the bytes, in the middle of exchanges or without TLS's goodbye.
fn is_end(error: &h2::Error) -> bool {
    let end = [io::ErrorKind::UnexpectedEof, io::ErrorKind::BrokenPipe];
    error.get_io().is_some_and(|error| end.contains(&error.kind()))
}

/// Signs of life, and what a round trip carries.
struct Vigil {
    pings: Option<PingPong>,
    config: Http2Config,
    /// When the PING in flight was sent, and how much data had come in then.
    sent: Option<(Instant, u64)>,
    /// What had come in when it was last looked, and when that was new.
    heard: u64,
    heard_at: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    windows: Windows,
}

/// The windows as they grow.
struct Windows {
    stream: u32,
    connection: u32,
    /// How much data had come in when the last measurement began.
    measured: u64,
}

/// As far as the windows grow.
const STREAM_MOST: u32 = 16 << 20;
const CONNECTION_MOST: u32 = 64 << 20;

impl Vigil {
    fn new(pings: Option<PingPong>, config: Http2Config) -> Self {
        let windows = Windows { stream: config.stream_window, connection: config.connection_window, measured: 0 };
        Vigil { pings, config, sent: None, heard: 0, heard_at: Instant::now(), timer: None, windows }
    }

    /// Ready when something was done that has to be written.
    fn poll(
        &mut self,
        link: &Link,
        connection: &mut Connection<Guarded, Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), String>> {
        let heard = link.meter.bytes_in.load(Ordering::Relaxed);
        if heard != self.heard {
            self.heard = heard;
            self.heard_at = Instant::now();
        }
        if self.poll_pong(link, connection, cx)? {
            return Poll::Ready(Ok(()));
        }
        loop {
            let now = Instant::now();
            let due = if let Some((sent, _)) = self.sent {
                if now >= sent + self.config.ping_timeout {
                    let message = format!("the server did not answer a PING within {:?}", self.config.ping_timeout);
                    return Poll::Ready(Err(message));
                }
                Some(sent + self.config.ping_timeout)
            } else if self.wants_ping(link, now) {
                return self.ping(link, now).map_or(Poll::Pending, |()| Poll::Ready(Ok(())));
            } else {
                self.next_keep_alive(link)
            };
            match due {
                None => {
                    self.timer = None;
                    return Poll::Pending;
                }
                Some(due) => {
                    let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
                    if timer.deadline() != due {
                        timer.as_mut().reset(due);
                    }
                    if timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Whether the answer came, and changed something.
    fn poll_pong(
        &mut self,
        link: &Link,
        connection: &mut Connection<Guarded, Bytes>,
        cx: &mut Context<'_>,
    ) -> Result<bool, String> {
        let (Some(pings), Some((sent, data_then))) = (&mut self.pings, self.sent) else { return Ok(false) };
        match pings.poll_pong(cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(error)) => Err(error.to_string()),
            Poll::Ready(Ok(_)) => {
                self.sent = None;
                link.alive();
                let came = link.meter.data_in.load(Ordering::Relaxed) - data_then;
                Ok(self.config.adaptive_window && self.windows.grow(came, sent.elapsed(), connection))
            }
        }
    }

    fn wants_ping(&mut self, link: &Link, now: Instant) -> bool {
        if self.pings.is_none() {
            return false;
        }
        let data = link.meter.data_in.load(Ordering::Relaxed);
        if self.config.adaptive_window && data != self.windows.measured {
            self.windows.measured = data;
            return true;
        }
        link.take_ping_wanted() || self.next_keep_alive(link).is_some_and(|due| now >= due)
    }

    fn next_keep_alive(&self, link: &Link) -> Option<Instant> {
        let interval = self.config.keep_alive_interval?;
        (self.config.keep_alive_while_idle || link.in_flight() > 0).then(|| self.heard_at + interval)
    }

    fn ping(&mut self, link: &Link, now: Instant) -> Option<()> {
        self.pings.as_mut()?.send_ping(Ping::opaque()).ok()?;
        self.sent = Some((now, link.meter.data_in.load(Ordering::Relaxed)));
        Some(())
    }
}

impl Windows {
    /// Doubles what a round trip carried, if that is most of a window: the peer may have been waiting for us.
    fn grow(&mut self, came: u64, took: Duration, connection: &mut Connection<Guarded, Bytes>) -> bool {
        // On one machine, a window does not hold anything up.
        if took < Duration::from_micros(100) {
            return false;
        }
        let wanted = u32::try_from(came.saturating_mul(2)).unwrap_or(u32::MAX);
        let mut grew = false;
        if came > u64::from(self.connection) / 3 * 2 && self.connection < CONNECTION_MOST {
            self.connection = wanted.clamp(self.connection, CONNECTION_MOST);
            connection.set_target_window_size(self.connection);
            grew = true;
        }
        if came > u64::from(self.stream) / 3 * 2 && self.stream < STREAM_MOST {
            let window = wanted.clamp(self.stream, STREAM_MOST);
            // Not while the last change is unacknowledged; there will be another chance.
            if connection.set_initial_window_size(window).is_ok() {
                self.stream = window;
                grew = true;
            }
        }
        grew
    }
}
