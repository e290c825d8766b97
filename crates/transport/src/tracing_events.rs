//! What happens, as events of the `tracing` crate.

use http::{HeaderMap, StatusCode};
use roundtrip_types::Error;
use tracing::{debug, trace};

use crate::events::{Connected, Events, GotConn};
use crate::pool::{CloseReason, ConnId};

/// Passes everything on to the `tracing` crate, with the target `roundtrip_transport`: connections at level debug, the steps of a request
/// at level trace. They fall into whatever span the request's task is in.
///
/// ```
/// use std::sync::Arc;
/// use roundtrip_transport::{TracingEvents, Transport, TransportConfig};
///
/// let transport = Transport::with_config(TransportConfig { events: Some(Arc::new(TracingEvents)), ..TransportConfig::default() });
/// # let _ = transport;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingEvents;

const TARGET: &str = "roundtrip_transport";

impl Events for TracingEvents {
    fn get_conn(&self, host: &str) {
        trace!(target: TARGET, host, "get conn");
    }

    fn connect_start(&self, host: &str) {
        debug!(target: TARGET, host, "connect start");
    }

    fn connect_done(&self, host: &str, result: Result<&Connected, &Error>) {
        match result {
            Ok(Connected { info, dns, connect, proxy, tls }) => {
                debug!(target: TARGET, host, peer = %info.peer(), ?dns, ?connect, ?proxy, ?tls, "connect done");
            }
            Err(error) => debug!(target: TARGET, host, %error, "connect failed"),
        }
    }

    fn got_conn(&self, host: &str, conn: &GotConn) {
        trace!(target: TARGET, host, conn = conn.id.get(), reused = conn.reused, idle = ?conn.idle, "got conn");
    }

    fn wrote_headers(&self, conn: ConnId) {
        trace!(target: TARGET, conn = conn.get(), "wrote headers");
    }

    fn wait_100_continue(&self, conn: ConnId) {
        trace!(target: TARGET, conn = conn.get(), "wait 100 continue");
    }

    fn got_1xx_response(&self, conn: ConnId, status: StatusCode, _: &HeaderMap) {
        trace!(target: TARGET, conn = conn.get(), status = status.as_u16(), "got 1xx response");
    }

    fn wrote_request(&self, conn: ConnId, result: Result<(), &str>) {
        match result {
            Ok(()) => trace!(target: TARGET, conn = conn.get(), "wrote request"),
            Err(error) => debug!(target: TARGET, conn = conn.get(), error, "write failed"),
        }
    }

    fn got_first_response_byte(&self, conn: ConnId) {
        trace!(target: TARGET, conn = conn.get(), "got first response byte");
    }

    fn put_idle_conn(&self, conn: ConnId) {
        trace!(target: TARGET, conn = conn.get(), "put idle conn");
    }

    fn conn_closed(&self, conn: ConnId, reason: CloseReason) {
        debug!(target: TARGET, conn = conn.get(), %reason, "conn closed");
    }

    fn retry(&self, attempt: u32, error: &Error) {
        debug!(target: TARGET, attempt, %error, "retry");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// Writes down each event's fields.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            self.0.push_str(&format!("{field}={value:?} "));
        }
    }

    impl Subscriber for Lines {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == TARGET
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut line = Line(format!("{} ", event.metadata().level()));
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn events_come_with_their_facts() {
        let lines = Lines::default();
        tracing::subscriber::with_default(lines.clone(), || {
            TracingEvents.conn_closed(ConnId(7), CloseReason::MaxAge);
            TracingEvents.wrote_request(ConnId(7), Ok(()));
        });
        let lines = lines.0.lock().unwrap();
        assert_eq!(lines[0], "DEBUG message=conn closed conn=7 reason=max age ");
        assert_eq!(lines[1], "TRACE message=wrote request conn=7 ");
    }
}
