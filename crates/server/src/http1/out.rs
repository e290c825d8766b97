//! What waits to be written to a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use tokio::io::AsyncWrite;

use crate::link::{self, Link};
use crate::stream::Stream;

/// Bytes in order: what was copied, then perhaps a large piece, which is written from where it lies, and what ends it.
#[derive(Default)]
pub(super) struct Out {
    bytes: Vec<u8>,
    /// How much of `bytes` is written.
    at: usize,
    piece: Bytes,
    /// What comes behind the piece.
    behind: &'static [u8],
    /// The stream may keep what it was given: TLS does.
    unflushed: bool,
}

/// Up to so much, copying costs less than a write of several parts.
const COPIED: usize = 8 << 10;

/// So much may wait before more is asked for.
const MOST: usize = 64 << 10;

impl Out {
    /// Whether all of it has gone.
    pub(super) fn is_empty(&self) -> bool {
        !self.unflushed && !self.has_bytes()
    }

    fn has_bytes(&self) -> bool {
        !(self.at == self.bytes.len() && self.piece.is_empty() && self.behind.is_empty())
    }

    /// Whether more may be put in.
    pub(super) fn has_room(&self) -> bool {
        self.piece.is_empty() && self.behind.is_empty() && self.bytes.len() - self.at < MOST
    }

    /// For what is copied. Only while there [is room](Self::has_room): it would come before the piece.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.piece.is_empty() && self.behind.is_empty());
        &mut self.bytes
    }

    /// Puts in data with what goes around it.
    pub(super) fn put(&mut self, before: &[u8], data: Bytes, behind: &'static [u8]) {
        self.bytes.extend_from_slice(before);
        if data.len() <= COPIED {
            self.bytes.extend_from_slice(&data);
            self.bytes.extend_from_slice(behind);
        } else {
            (self.piece, self.behind) = (data, behind);
        }
    }

    /// Gives the memory back.
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
            let polled = if self.piece.is_empty() && self.behind.is_empty() {
                Pin::new(&mut *stream).poll_write(cx, &self.bytes[self.at..])
            } else {
                let parts =
                    [IoSlice::new(&self.bytes[self.at..]), IoSlice::new(&self.piece), IoSlice::new(self.behind)];
                let from = usize::from(self.at == self.bytes.len());
                Pin::new(&mut *stream).poll_write_vectored(cx, &parts[from..])
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
        self.bytes.clear();
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

    fn advance(&mut self, count: usize) {
        let copied = count.min(self.bytes.len() - self.at);
        self.at += copied;
        let of_piece = (count - copied).min(self.piece.len());
        self.piece.advance(of_piece);
        self.behind = &self.behind[count - copied - of_piece..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(out: &Out) -> Vec<u8> {
        [&out.bytes[out.at..], &out.piece, out.behind].concat()
    }

    #[test]
    fn parts_leave_in_order_whatever_a_write_takes() {
        let large = Bytes::from(vec![b'x'; COPIED + 1]);
        for step in [1, 3, 7, COPIED] {
            let mut out = Out::default();
            out.bytes().extend_from_slice(b"head ");
            out.put(b"<", Bytes::from_static(b"small"), b">");
            out.put(b"[", large.clone(), b"]\r\n");
            assert!(!out.has_room());
            let want = [&b"head <small>["[..], &large, b"]\r\n"].concat();
            let mut left = want.len();
            assert_eq!(rest(&out), want);
            while left > 0 {
                let count = step.min(left);
                out.advance(count);
                left -= count;
                assert_eq!(rest(&out), want[want.len() - left..]);
            }
            assert!(!out.has_bytes());
        }
    }
}
