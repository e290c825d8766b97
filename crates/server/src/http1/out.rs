//! What waits to be written to a connection.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use tokio::io::AsyncWrite;

use crate::link::{self, Link};
use crate::stream::Stream;

/// Bytes in order: small ones are copied behind each other, large pieces stay where they lie and are written between them.
#[derive(Default)]
pub(super) struct Out {
    copied: Vec<u8>,
    /// How much of `copied` is written.
    at: usize,
    /// Each piece, and before which of the copied bytes it goes.
    pieces: VecDeque<(usize, Bytes)>,
    /// The bytes of all pieces.
    in_pieces: usize,
    /// The stream may keep what it was given: TLS does.
    unflushed: bool,
}

/// Up to so much, copying costs less than another part of a write.
const COPIED: usize = 8 << 10;

/// So much may wait before more is asked for.
const MOST: usize = 128 << 10;
const MOST_PIECES: usize = 16;

impl Out {
    /// Whether all of it has gone.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        !self.unflushed && !self.has_bytes()
    }

    #[inline]
    fn has_bytes(&self) -> bool {
        self.at < self.copied.len() || self.in_pieces > 0
    }

    /// Whether more may be put in.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.copied.len() - self.at + self.in_pieces < MOST && self.pieces.len() < MOST_PIECES
    }

    /// For what is copied.
    #[inline]
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.copied
    }

    /// Puts in data with what goes around it.
    pub(super) fn put(&mut self, before: &[u8], data: Bytes, behind: &[u8]) {
        self.copied.extend_from_slice(before);
        if data.len() <= COPIED {
            self.copied.extend_from_slice(&data);
        } else {
            self.in_pieces += data.len();
            self.pieces.push_back((self.copied.len(), data));
        }
        self.copied.extend_from_slice(behind);
    }

    /// Drops what waits, and gives the memory back.
    pub(super) fn forget(&mut self) {
        *self = Out::default();
    }

    /// Writes until nothing is left.
    #[inline]
    pub(super) fn poll_write(
        &mut self,
        stream: &mut Stream,
        link: &Link,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.has_bytes() {
            let polled = if self.in_pieces == 0 {
                Pin::new(&mut *stream).poll_write(cx, &self.copied[self.at..])
            } else {
                self.poll_parts(stream, cx)
            };
            let Poll::Ready(written) = polled else {
                link.raise(link::DIRTY);
                link.waits(link::WRITE_PENDING);
                return Poll::Pending;
            };
            match written? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => {
                    self.unflushed = true;
                    link.count_written(count);
                    self.advance(count);
                }
            }
        }
        self.copied.clear();
        self.at = 0;
        let Poll::Ready(flushed) = Pin::new(stream).poll_flush(cx) else {
            link.raise(link::DIRTY);
            link.waits(link::WRITE_PENDING);
            return Poll::Pending;
        };
        self.unflushed = false;
        if link.has(link::DIRTY) {
            link.lower(link::DIRTY);
        }
        Poll::Ready(flushed)
    }

    /// Writes copied bytes and pieces at once.
    #[cold]
    fn poll_parts(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut parts = [IoSlice::new(&[]); 2 * MOST_PIECES + 1];
        let (mut count, mut at) = (0, self.at);
        // No more than there can be: a piece is put in while there is room.
        for (before, piece) in &self.pieces {
            for part in [&self.copied[at..*before], piece] {
                if !part.is_empty() {
                    parts[count] = IoSlice::new(part);
                    count += 1;
                }
            }
            at = *before;
        }
        if at < self.copied.len() {
            parts[count] = IoSlice::new(&self.copied[at..]);
            count += 1;
        }
        Pin::new(stream).poll_write_vectored(cx, &parts[..count])
    }

    /// So much is written.
    #[inline]
    fn advance(&mut self, mut count: usize) {
        while let Some((before, piece)) = self.pieces.front_mut() {
            let copied = count.min(*before - self.at);
            self.at += copied;
            count -= copied;
            let of_piece = count.min(piece.len());
            if self.at < *before || of_piece < piece.len() {
                piece.advance(of_piece);
                self.in_pieces -= of_piece;
                return;
            }
            self.in_pieces -= of_piece;
            count -= of_piece;
            self.pieces.pop_front();
        }
        self.at += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that waits, as it would be written.
    fn rest(out: &Out) -> Vec<u8> {
        let (mut all, mut at) = (Vec::new(), out.at);
        for (before, piece) in &out.pieces {
            all.extend_from_slice(&out.copied[at..*before]);
            all.extend_from_slice(piece);
            at = *before;
        }
        all.extend_from_slice(&out.copied[at..]);
        all
    }

    #[test]
    fn parts_leave_in_order_whatever_a_write_takes() {
        let large = Bytes::from(vec![b'x'; COPIED + 1]);
        for step in [1, 3, 7, COPIED, usize::MAX] {
            let mut out = Out::default();
            out.bytes().extend_from_slice(b"head ");
            out.put(b"<", Bytes::from_static(b"small"), b">");
            out.put(b"[", large.clone(), b"]\r\n");
            out.put(b"", large.clone(), b"");
            out.put(b"(", large.clone(), b")");
            let want = [&b"head <small>["[..], &large, b"]\r\n", &large, b"(", &large, b")"].concat();
            let mut left = want.len();
            assert_eq!(rest(&out), want);
            while left > 0 {
                let count = step.min(left);
                out.advance(count);
                left -= count;
                assert_eq!(rest(&out), want[want.len() - left..]);
                assert_eq!(out.has_bytes(), left > 0);
            }
            assert_eq!((out.in_pieces, out.pieces.len()), (0, 0));
        }
    }

    #[test]
    fn it_is_full_with_so_many_bytes_or_pieces() {
        let mut out = Out::default();
        let mut pieces = 0;
        while out.has_room() {
            out.put(b"", Bytes::from(vec![b'x'; COPIED + 1]), b"");
            pieces += 1;
        }
        assert_eq!(pieces, MOST.div_ceil(COPIED + 1).min(MOST_PIECES));
        out.advance(COPIED + 1);
        assert!(out.has_room());
        out.bytes().resize(MOST, b'x');
        assert!(!out.has_room());
    }
}
