//! Looking at the frames that come in, as far as their heads, and stopping a peer that floods.
//!
//! h2 bounds what it keeps: header lists, CONTINUATION frames, streams that are reset. What costs work and no memory it
//! takes without end: SETTINGS, PING, empty DATA and the like. Here such frames are counted.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

use super::error::OVERRUN;
use super::link::{Link, Meter};
use super::verdict::Verdict;
use crate::net::Stream;

/// The connection's bytes on their way to h2.
pub(super) struct Guarded {
    stream: Stream,
    link: Arc<Link>,
    frames: Frames,
    verdict: Verdict,
}

/// What was seen of the current frame, and of those before.
#[derive(Debug)]
struct Frames {
    /// The head of the frame, and for GOAWAY the eight bytes behind it, as far as they have come.
    head: [u8; HEAD + GOAWAY],
    have: usize,
    /// Payload of the frame that has not come yet.
    left: usize,
    /// The current entry of SETTINGS, as far as it has come.
    setting: [u8; SETTING],
    setting_have: usize,
    /// The first settings have come just now.
    first_settings: bool,
    /// The first frame must be SETTINGS; what else a peer sends shows what it is.
    is_first: bool,
    /// Frames without use since `since`, and what had been sent then.
    idle: u64,
    since: Option<Instant>,
    sent_then: u64,
    header_frames: u64,
    /// Bytes of the header block that came last, as they are on the wire.
    block: u64,
}

const HEAD: usize = 9;
const GOAWAY: usize = 8;
const SETTING: usize = 6;

/// Most frames without use in [`SPAN`], for each of which we may have to answer. A peer that acknowledges data may send more: one
/// for each [`BYTES_PER_FRAME`] that we send.
const IDLE_MOST: u64 = 10_000;
const SPAN: Duration = Duration::from_secs(10);
const BYTES_PER_FRAME: u64 = 512;

/// Most HEADERS frames: a few a stream (interim responses, response, trailers), and some more.
const HEADERS_PER_STREAM: u64 = 100;
const HEADERS_MORE: u64 = 1000;

mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const GOAWAY: u8 = 7;
    pub(super) const CONTINUATION: u8 = 9;
}

impl Guarded {
    pub(super) fn new(stream: Stream, link: Arc<Link>) -> Self {
        Guarded { stream, link, frames: Frames::new(), verdict: Verdict::new() }
    }

    /// These bytes went out.
    fn wrote<'a>(&mut self, count: usize, pieces: impl IntoIterator<Item = &'a [u8]>, cx: &Context<'_>) {
        self.link.meter.bytes_out.fetch_add(count as u64, Ordering::Relaxed);
        let mut left = count;
        for piece in pieces {
            let went = &piece[..left.min(piece.len())];
            self.verdict.look(went);
            left -= went.len();
        }
        if self.verdict.is_overrun() {
            // The next read fails, even if nothing more comes.
            cx.waker().wake_by_ref();
        }
    }
}

impl Frames {
    fn new() -> Self {
        Frames {
            head: [0; HEAD + GOAWAY],
            have: 0,
            left: 0,
            setting: [0; SETTING],
            setting_have: 0,
            first_settings: false,
            is_first: true,
            idle: 0,
            since: None,
            sent_then: 0,
            header_frames: 0,
            block: 0,
        }
    }

    /// Looks at bytes that came in.
    fn look(&mut self, mut bytes: &[u8], meter: &Meter) -> Result<(), String> {
        while !bytes.is_empty() {
            let wanted = self.wanted();
            if self.have < wanted {
                let count = bytes.len().min(wanted - self.have);
                self.head[self.have..self.have + count].copy_from_slice(&bytes[..count]);
                self.have += count;
                bytes = &bytes[count..];
                if self.have == HEAD {
                    self.begin(meter)?;
                } else if self.have == HEAD + GOAWAY {
                    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| self.head[at + byte]));
                    // The highest bit is reserved.
                    meter.set_going_away(word(HEAD) & (u32::MAX >> 1), word(HEAD + 4));
                }
                if self.have < self.wanted() {
                    continue;
                }
            }
            let count = bytes.len().min(self.left);
            self.left -= count;
            if self.has_settings() {
                self.look_at_settings(&bytes[..count], meter);
            }
            bytes = &bytes[count..];
            if self.left == 0 {
                self.have = 0;
            }
        }
        Ok(())
    }

    /// How much of the frame is to be looked at.
    fn wanted(&self) -> usize {
        if self.have >= HEAD && self.head[3] == kind::GOAWAY && self.length() >= GOAWAY { HEAD + GOAWAY } else { HEAD }
    }

    fn length(&self) -> usize {
        usize::from(self.head[0]) << 16 | usize::from(self.head[1]) << 8 | usize::from(self.head[2])
    }

    /// The head of a frame is there.
    fn begin(&mut self, meter: &Meter) -> Result<(), String> {
        let (length, kind) = (self.length(), self.head[3]);
        if std::mem::take(&mut self.is_first) && kind != kind::SETTINGS {
            return Err(if self.head.starts_with(b"HTTP/") {
                "the server speaks HTTP/1 on this connection, not HTTP/2".to_owned()
            } else {
                let seen = roundtrip_h1::Excerpt::new(&self.head[..HEAD]);
                format!("the server does not speak HTTP/2: it began with {seen}")
            });
        }
        self.left = length;
        if kind == kind::GOAWAY && length >= GOAWAY {
            self.left -= GOAWAY;
        }
        match kind {
            kind::DATA if length > 0 => {
                meter.answers.fetch_add(1, Ordering::Relaxed);
                meter.data_in.fetch_add(length as u64, Ordering::Relaxed);
                self.idle = 0;
            }
            kind::HEADERS => {
                meter.answers.fetch_add(1, Ordering::Relaxed);
                self.count_block(0, meter);
                self.header_frames += 1;
                if self.header_frames > HEADERS_MORE + HEADERS_PER_STREAM * meter.opened.load(Ordering::Relaxed) {
                    return Err(format!(
                        "the server floods this connection with HEADERS frames ({})",
                        self.header_frames
                    ));
                }
            }
            kind::CONTINUATION => {
                self.count_block(self.block, meter);
                self.count_idle(kind, meter)?;
            }
            _ => self.count_idle(kind, meter)?,
        }
        Ok(())
    }

    /// Whether the frame is SETTINGS, and no acknowledgement.
    fn has_settings(&self) -> bool {
        self.head[3] == kind::SETTINGS && self.head[4] & 1 == 0
    }

    /// Notes what the peer sets. h2 takes note of it as well, but does not tell when.
    fn look_at_settings(&mut self, payload: &[u8], meter: &Meter) {
        for byte in payload {
            self.setting[self.setting_have] = *byte;
            self.setting_have += 1;
            if self.setting_have == SETTING {
                let [high, low, value @ ..] = self.setting;
                meter.set(u16::from_be_bytes([high, low]), u32::from_be_bytes(value));
                self.setting_have = 0;
            }
        }
        if self.left == 0 {
            self.setting_have = 0;
            self.first_settings |= meter.settings_came();
        }
    }

    /// A piece of a header block has begun, behind `before` bytes of the same.
    fn count_block(&mut self, before: u64, meter: &Meter) {
        self.block = before + self.left as u64;
        meter.largest_block.fetch_max(self.block, Ordering::Relaxed);
    }

    fn count_idle(&mut self, kind: u8, meter: &Meter) -> Result<(), String> {
        self.idle += 1;
        if self.idle <= IDLE_MOST {
            if self.idle == 1 {
                self.begin_span(meter);
            }
            return Ok(());
        }
        let sent = meter.bytes_out.load(Ordering::Relaxed).saturating_sub(self.sent_then);
        if self.idle <= IDLE_MOST + sent / BYTES_PER_FRAME {
            return Ok(());
        }
        if self.since.is_none_or(|since| since.elapsed() > SPAN) {
            self.idle = 1;
            self.begin_span(meter);
            return Ok(());
        }
        let most_recent = match kind {
            kind::DATA => "empty DATA",
            3 => "RST_STREAM",
            kind::SETTINGS => "SETTINGS",
            6 => "PING",
            8 => "WINDOW_UPDATE",
            kind::CONTINUATION => "CONTINUATION",
            _ => "useless",
        };
        Err(format!("the server floods this connection with {most_recent} frames ({} in {SPAN:?})", self.idle))
    }

    fn begin_span(&mut self, meter: &Meter) {
        self.since = Some(Instant::now());
        self.sent_then = meter.bytes_out.load(Ordering::Relaxed);
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.verdict.is_overrun() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, OVERRUN)));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let new = &buf.filled()[before..];
        this.link.meter.bytes_in.fetch_add(new.len() as u64, Ordering::Relaxed);
        let looked = this.frames.look(new, &this.link.meter);
        if std::mem::take(&mut this.frames.first_settings) {
            this.link.tell_settings();
        }
        Poll::Ready(looked.map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why)))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(in_any_case(cx, |cx| Pin::new(&mut self.stream).poll_write(cx, data)))?;
        self.wrote(count, [data], cx);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(in_any_case(cx, |cx| Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)))?;
        self.wrote(count, pieces.iter().map(|piece| &**piece), cx);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        in_any_case(cx, |cx| Pin::new(&mut self.stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Writes even if the task has used up its share of the runtime. h2 writes when there is nothing more to read, or the share is used up: a
/// peer that never pauses would keep it from ever writing. How much there is to write at once is bounded by what waits to be sent.
fn in_any_case<T>(cx: &mut Context<'_>, write: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    pin!(unconstrained(poll_fn(write))).poll(cx)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 0], payload].concat()
    }

    fn settings() -> Vec<u8> {
        frame(kind::SETTINGS, &[])
    }

    /// Looks at the bytes in pieces of this size.
    fn look(bytes: &[u8], size: usize, meter: &Meter) -> Result<(), String> {
        let mut frames = Frames::new();
        bytes.chunks(size).try_for_each(|piece| frames.look(piece, meter))
    }

    #[test]
    fn settings_are_seen_however_they_are_cut() {
        let setting = |id: u8, value: u8| [0, id, 0, 0, 0, value];
        let ack = |payload: &[u8]| [&[0, 0, 0, kind::SETTINGS, 1, 0, 0, 0, 0], payload].concat();
        for (bytes, has_settings, extended_connect) in [
            (settings(), true, false),
            (frame(kind::SETTINGS, &[setting(3, 100), setting(8, 1)].concat()), true, true),
            (frame(kind::SETTINGS, &[setting(8, 1), setting(4, 1)].concat()), true, true),
            (frame(kind::SETTINGS, &setting(8, 0)), true, false),
            (frame(kind::SETTINGS, &setting(7, 1)), true, false),
            ([settings(), frame(kind::SETTINGS, &setting(8, 1))].concat(), true, true),
            (ack(&[]), false, false),
            (frame(kind::SETTINGS, &setting(8, 1))[..14].to_vec(), false, false),
        ] {
            for size in 1..=bytes.len() {
                let meter = Meter::default();
                look(&bytes, size, &meter).unwrap();
                assert_eq!((meter.has_settings(), meter.extended_connect()), (has_settings, extended_connect));
            }
        }
    }

    #[test]
    fn data_and_going_away_are_seen_however_they_are_cut() {
        let goaway = frame(kind::GOAWAY, &[0x80, 0, 0, 7, 0, 0, 0, 2, b'b', b'y', b'e']);
        let bytes =
            [settings(), frame(0, &[0; 100]), frame(6, &[0; 8]), frame(0, &[1; 5]), goaway, frame(0, b"x")].concat();
        for size in 1..bytes.len() {
            let meter = Meter::default();
            look(&bytes, size, &meter).unwrap();
            assert_eq!(meter.data_in.load(Ordering::Relaxed), 106, "{size}");
            assert_eq!(meter.going_away(), Some((7, 2)), "{size}");
        }
        let meter = Meter::default();
        look(&[settings(), frame(kind::GOAWAY, &[0; 3]), frame(0, b"x")].concat(), 4, &meter).unwrap();
        assert_eq!(
            (meter.going_away(), meter.data_in.load(Ordering::Relaxed)),
            (None, 1),
            "too short to mean anything"
        );
    }

    #[test]
    fn a_peer_that_speaks_something_else_is_named() {
        let meter = Meter::default();
        let http = look(b"HTTP/1.1 400 Bad Request\r\n\r\n", 3, &meter).unwrap_err();
        assert_eq!(http, "the server speaks HTTP/1 on this connection, not HTTP/2");
        let other = look(b"220 mail.test ESMTP", 100, &meter).unwrap_err();
        assert_eq!(other, "the server does not speak HTTP/2: it began with \"220 mail.\"");
    }

    #[tokio::test(start_paused = true)]
    async fn floods_are_named_and_slow_or_useful_frames_are_none() {
        for (payload, kind, name) in [
            (&[][..], kind::SETTINGS, "SETTINGS"),
            (&[0; 8], 6, "PING"),
            (&[], kind::DATA, "empty DATA"),
            (&[], 99, "useless"),
        ] {
            let meter = Meter::default();
            let flood = [settings(), frame(kind, payload).repeat(20_000)].concat();
            let why = look(&flood, 1000, &meter).unwrap_err();
            assert_eq!(why, format!("the server floods this connection with {name} frames (10001 in 10s)"));
        }
        let meter = Meter::default();
        let why = look(&[settings(), frame(kind::HEADERS, b"x").repeat(2000)].concat(), 1000, &meter).unwrap_err();
        assert_eq!(why, "the server floods this connection with HEADERS frames (1001)");

        let meter = Meter::default();
        let mut frames = Frames::new();
        frames.look(&settings(), &meter).unwrap();
        for _ in 0..10 {
            // As many as are allowed, then some data: nothing is held against it.
            frames.look(&frame(6, &[0; 8]).repeat(9_000), &meter).unwrap();
            frames.look(&frame(0, b"x"), &meter).unwrap();
        }
        for _ in 0..10 {
            // Or slowly.
            frames.look(&frame(6, &[0; 8]).repeat(9_000), &meter).unwrap();
            tokio::time::advance(Duration::from_secs(11)).await;
        }
        // Or in answer to what we send.
        frames.look(&frame(0, b"x"), &meter).unwrap();
        for _ in 0..30_000 {
            meter.bytes_out.fetch_add(BYTES_PER_FRAME, Ordering::Relaxed);
            frames.look(&frame(8, &[0; 4]), &meter).unwrap();
        }
    }
}
