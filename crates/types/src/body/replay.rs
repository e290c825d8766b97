//! Bodies that can be had again.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::{Body, Kind};

type Make = dyn Fn() -> Body + Send + Sync;

/// A body, and what makes another like it.
pub(super) struct Replayable {
    pub(super) body: Body,
    make: Arc<Make>,
}

impl Replayable {
    pub(super) fn body_of(make: Arc<Make>) -> Body {
        let body = make();
        Body(Kind::Replayable(Box::new(Replayable { body, make })))
    }
}

/// Makes a body once more, see [`Body::replayer`]. Cheap to clone.
#[derive(Clone)]
pub struct Replayer(Source);

#[derive(Clone)]
enum Source {
    Empty,
    Full(Bytes),
    Make(Arc<Make>),
}

impl Replayer {
    pub(super) fn of(body: &Body) -> Option<Self> {
        Some(Replayer(match &body.0 {
            Kind::Empty => Source::Empty,
            Kind::Full(bytes) => Source::Full(bytes.clone()),
            Kind::Replayable(replayable) => Source::Make(Arc::clone(&replayable.make)),
            Kind::Stream(_) => return None,
        }))
    }

    /// The body. It can be made again in its turn.
    #[must_use]
    pub fn body(self) -> Body {
        match self.0 {
            Source::Empty => Body::empty(),
            Source::Full(bytes) => Body::full(bytes),
            Source::Make(make) => Replayable::body_of(make),
        }
    }
}

impl fmt::Debug for Replayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replayer(..)")
    }
}
