//! Reading on behind the last answer, for a while and up to a point.

use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use crate::stream::Stream;

/// What a client goes on sending behind its last answer, read and thrown away: closing with unread bytes would make the system
/// reset the connection, and the client might lose the answer (RFC 9112, 9.6).
///
/// Bounded by bytes here, and by time in [`Deadlines`](crate::deadlines::Deadlines) or, before a handshake, by the caller: who sends
/// too much is read no further, and has the rest of the time to find the answer.
#[derive(Debug)]
pub(crate) struct Linger {
    left: usize,
    /// Whether anything has come.
    pub(crate) came: bool,
}

impl Linger {
    pub(crate) const fn new() -> Self {
        Linger { left: MAX_LINGER, came: false }
    }

    /// Ready once the client is through. `came` is told how many bytes come.
    pub(crate) fn poll(&mut self, stream: &mut Stream, cx: &mut Context<'_>, came: impl Fn(usize)) -> Poll<()> {
        // Not made of zeros first: nearly always there is nothing to read.
        let mut piece = [const { MaybeUninit::uninit() }; 4096];
        while self.left > 0 {
            let mut buf = ReadBuf::uninit(&mut piece);
            match std::task::ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {
                    let bytes = buf.filled().len();
                    came(bytes);
                    self.came = true;
                    self.left = self.left.saturating_sub(bytes);
                }
                // An end or an error, which is one as well.
                _ => return Poll::Ready(()),
            }
        }
        // A timer ends the wait.
        Poll::Pending
    }
}

/// More than a client has under way before it can know, and little to read.
pub(crate) const MAX_LINGER: usize = 16 << 20;
