//! What a subscriber of the `tracing` crate sees of a request.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::StatusCode;
use roundtrip_server::Traced;
use roundtrip_types::{Body, Handler, Request};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes down what happens, a line each.
#[derive(Clone, Default)]
struct Notes {
    lines: Arc<Mutex<Vec<String>>>,
    inside: Arc<AtomicU64>,
}

impl Notes {
    fn note(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }
}

/// Fields as text.
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() != "elapsed" {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }
}

impl Subscriber for Notes {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields(span.metadata().name().into());
        span.record(&mut fields);
        self.note(fields.0);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut fields = Fields("record".into());
        values.record(&mut fields);
        self.note(fields.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let inside = self.inside.load(Ordering::Relaxed) > 0;
        let mut fields = Fields(format!("{} inside={inside}", event.metadata().level()));
        event.record(&mut fields);
        self.note(fields.0);
    }

    fn enter(&self, _: &Id) {
        self.inside.fetch_add(1, Ordering::Relaxed);
    }

    fn exit(&self, _: &Id) {
        self.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_request_is_a_span_and_its_end_an_event_inside() {
    let notes = Notes::default();
    let _guard = tracing::subscriber::set_default(notes.clone());
    let handler = Traced::new(|_req| async {
        tokio::task::yield_now().await;
        tracing::warn!("working");
        (StatusCode::BAD_GATEWAY, "down")
    });
    let req = http::Request::builder().uri("/up?token=1").body(Body::empty()).unwrap();
    let req: Request = req;
    handler.serve_http(req).await;
    let lines = notes.lines.lock().unwrap().clone();
    assert_eq!(
        lines,
        [
            "request method=GET path=\"/up\" version=HTTP/1.1",
            "WARN inside=true message=working",
            "record pattern=\"\"",
            "record bytes=4",
            "record outcome=\"complete\"",
            "record status=502",
            "ERROR inside=true message=request failed",
        ]
    );
    assert_eq!(notes.inside.load(Ordering::Relaxed), 0, "every enter has its exit");
}
