//! A connection whose bytes are under way for a while.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::clock;

/// A TCP connection to a server that is far away: what is written reaches the socket after a delay, and what the socket has is read
/// after a delay. Order and bytes stay what they are, and there is room for so many under way that the delay does not limit throughput.
///
/// There is no task behind it: whoever reads or writes also sends what is due. So bytes leave when they are due only while somebody reads
/// or writes, as every HTTP connection does that waits for an answer; and what arrives while nobody reads has arrived when it is read.
#[derive(Debug)]
pub struct Distant {
    socket: TcpStream,
    /// How long a byte is under way.
    delay: Duration,
    out: Line,
    into: Line,
    /// How reading ended, and when that arrives.
    end: Option<(Instant, io::Result<()>)>,
    /// Why what was written cannot be sent.
    failed: Option<io::Error>,
    /// Who reads: it sends what another task has written.
    reader: Option<Waker>,
}

impl Distant {
    /// Delays each byte of `socket`, in each direction, by `delay`.
    #[must_use]
    pub fn new(socket: TcpStream, delay: Duration) -> Self {
        Distant { socket, delay, out: Line::default(), into: Line::default(), end: None, failed: None, reader: None }
    }

    /// Sends what is due. Ready when nothing is under way any more.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Some(at) = self.out.next() else { return Poll::Ready(Ok(())) };
            if at > Instant::now() {
                self.out.wake_when_due(at, cx.waker());
                if let Some(reader) = &self.reader {
                    self.out.wake_when_due(at, reader);
                }
                return Poll::Pending;
            }
            let sent = match ready!(Pin::new(&mut self.socket).poll_write(cx, self.out.front())) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(sent) => sent,
                Err(error) => return Poll::Ready(Err(error)),
            };
            self.out.consume(sent);
        }
    }

    /// Takes from the socket what it has, for as long as there is room.
    fn fetch(&mut self, cx: &mut Context<'_>) {
        let mut scratch = [MaybeUninit::uninit(); 16 * 1024];
        while self.end.is_none() && self.into.room() > 0 {
            let mut piece = ReadBuf::uninit(&mut scratch);
            let read = Pin::new(&mut self.socket).poll_read(cx, &mut piece);
            let arrives = Instant::now() + self.delay;
            match read {
                Poll::Pending => return,
                Poll::Ready(Ok(())) if piece.filled().is_empty() => self.end = Some((arrives, Ok(()))),
                Poll::Ready(Ok(())) => self.into.push(arrives, piece.filled()),
                Poll::Ready(Err(error)) => self.end = Some((arrives, Err(error))),
            }
        }
    }
}

impl AsyncRead for Distant {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if this.reader.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
            this.reader = Some(cx.waker().clone());
        }
        if let Poll::Ready(Err(error)) = this.poll_send(cx) {
            this.out = Line::default();
            this.failed = Some(error);
        }
        this.fetch(cx);
        let (now, before) = (Instant::now(), buf.remaining());
        let mut next = this.into.next();
        while next.is_some_and(|at| at <= now) {
            let front = this.into.front();
            let fits = front.len().min(buf.remaining());
            if fits == 0 {
                return Poll::Ready(Ok(()));
            }
            buf.put_slice(&front[..fits]);
            this.into.consume(fits);
            next = this.into.next();
        }
        if buf.remaining() < before {
            return Poll::Ready(Ok(()));
        }
        match (next, &mut this.end) {
            (Some(at), _) => this.into.wake_when_due(at, cx.waker()),
            (None, Some((at, _))) if *at > now => this.into.wake_when_due(*at, cx.waker()),
            // An error is told once; behind it there is the end.
            (None, Some((_, end))) => return Poll::Ready(std::mem::replace(end, Ok(()))),
            // The socket wakes.
            (None, None) => {}
        }
        Poll::Pending
    }
}

impl AsyncWrite for Distant {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Err(error));
        }
        if this.out.room() == 0 {
            // Something is under way, so it is pending only with somebody to wake it.
            let sent = this.poll_send(cx)?;
            if sent.is_pending() && this.out.room() == 0 {
                return Poll::Pending;
            }
        }
        let taken = data.len().min(this.out.room());
        this.out.push(Instant::now() + this.delay, &data[..taken]);
        // Sets the alarm.
        let _ = this.poll_send(cx)?;
        Poll::Ready(Ok(taken))
    }

    /// All that was written is under way; a network takes no longer than that to let a writer go on.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Err(error));
        }
        let _ = this.poll_send(cx)?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}

impl Drop for Distant {
    /// What is still under way is not lost, but arrives early.
    fn drop(&mut self) {
        while !self.out.front_is_empty() {
            match self.socket.try_write(self.out.front()) {
                Ok(sent @ 1..) => self.out.consume(sent),
                // The server does not take it, and nobody is left to wait.
                Ok(0) | Err(_) => return,
            }
        }
    }
}

/// What is under way in one direction. It keeps its memory, so that a request costs none.
#[derive(Debug, Default)]
struct Line {
    bytes: VecDeque<u8>,
    /// When so many of them arrive, in order.
    arrivals: VecDeque<(Instant, usize)>,
    /// The latest alarms, so that none is set twice.
    alarms: [Option<(Instant, Waker)>; 2],
}

/// More than a connection of a gigabyte a second has under way in 10 ms.
const MOST: usize = 16 << 20;

impl Line {
    fn room(&self) -> usize {
        MOST.saturating_sub(self.bytes.len())
    }

    fn push(&mut self, at: Instant, data: &[u8]) {
        if !data.is_empty() {
            self.bytes.extend(data);
            self.arrivals.push_back((at, data.len()));
        }
    }

    /// When the first byte arrives.
    fn next(&self) -> Option<Instant> {
        self.arrivals.front().map(|(at, _)| *at)
    }

    fn front_is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes that arrive together with the first, in one piece of memory.
    fn front(&self) -> &[u8] {
        let together = self.arrivals.front().map_or(0, |(_, count)| *count);
        let piece = self.bytes.as_slices().0;
        &piece[..together.min(piece.len())]
    }

    /// Takes `count` bytes off the front, no more than [`front`](Self::front) has.
    fn consume(&mut self, count: usize) {
        self.bytes.drain(..count);
        if let Some((_, left)) = self.arrivals.front_mut() {
            *left -= count;
            if *left == 0 {
                self.arrivals.pop_front();
            }
        }
    }

    fn wake_when_due(&mut self, at: Instant, waker: &Waker) {
        let known = |alarm: &Option<(Instant, Waker)>| {
            alarm.as_ref().is_some_and(|(set, who)| *set == at && who.will_wake(waker))
        };
        if !self.alarms.iter().any(known) {
            self.alarms.swap(0, 1);
            self.alarms[0] = Some((at, waker.clone()));
            clock::wake_at(at, waker.clone());
        }
    }
}
