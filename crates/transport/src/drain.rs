//! What happens to a connection when its response has ended or was given up: back to the pool if both messages are complete or nearly
//! so, and else closed.

use std::future::poll_fn;
use std::time::Duration;

use roundtrip_h1::{Decoded, Decoder};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::body::Ending;
use crate::pool::CloseReason;

/// Most bytes of an unwanted body to read so that its connection can be used again. Go: `maxDrainBytes` on the client's side, 256 KiB.
const DRAIN_BYTES: u64 = 256 << 10;

/// How long to read it. Reading takes this at most from the time in which a new connection would be opened (Go: 50 ms).
const DRAIN_TIME: Duration = Duration::from_millis(50);

/// How long an upload may go on that the response has overtaken, for its connection to be used again (Go:
/// `maxWriteWaitBeforeConnReuse`).
const UPLOAD_TIME: Duration = Duration::from_millis(50);

/// The response has ended. Its connection goes back, once the upload has ended too.
pub(crate) fn finish(mut exchange: Ending) {
    // Bytes behind the end answer nothing that was asked: the connection cannot be trusted (RFC 9112, section 9.2).
    if !exchange.reusable || exchange.lease.conn().buffered() > 0 {
        exchange.lease.fate = CloseReason::NotPersistent;
        return;
    }
    match exchange.rest.take() {
        None => exchange.lease.give_back(),
        Some(rest) if rest.is_finished() => {
            if rest.finished().is_some_and(|half| exchange.lease.conn_mut().join(half)) {
                exchange.lease.give_back();
            }
        }
        Some(rest) => {
            let Ok(runtime) = Handle::try_current() else { return };
            runtime.spawn(async move {
                if let Ok(Some(half)) = timeout(UPLOAD_TIME, rest.finish()).await
                    && exchange.lease.conn_mut().join(half)
                {
                    exchange.lease.give_back();
                }
            });
        }
    }
}

/// The response was given up. What is left of it is read in the background, if it is little and comes quickly; else the connection is
/// closed. `total` is how long the whole body is, if it is known.
pub(crate) fn drain(mut exchange: Ending, mut decoder: Decoder, total: Option<u64>) {
    let worth_it = exchange.reusable && total.is_none_or(|total| total <= DRAIN_BYTES);
    let Ok(runtime) = Handle::try_current() else { return };
    if !worth_it {
        return;
    }
    runtime.spawn(async move {
        let drained = timeout(DRAIN_TIME, read_to_end(&mut exchange, &mut decoder)).await;
        if drained == Ok(true) {
            finish(exchange);
        }
    });
}

/// Reads and forgets, up to the limit. Returns whether the body has come to its end.
async fn read_to_end(exchange: &mut Ending, decoder: &mut Decoder) -> bool {
    let mut left = DRAIN_BYTES;
    while !decoder.is_done() {
        let conn = exchange.lease.conn_mut();
        match decoder.decode(&mut conn.tools().buf) {
            Ok(Decoded::NeedMore) => {
                let read = poll_fn(|cx| conn.poll_fill(DRAIN_ROOM, cx)).await;
                if !matches!(read, Ok(count) if count > 0) {
                    return false;
                }
            }
            Ok(Decoded::Data(data)) => match left.checked_sub(data.len() as u64) {
                Some(less) => left = less,
                None => return false,
            },
            Ok(Decoded::Trailers(_) | Decoded::End) => {}
            Err(_) => return false,
        }
    }
    true
}

const DRAIN_ROOM: usize = 16 << 10;
