//! The tasks of HTTP/2 streams, which end with their connection.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;

/// hyper's executor for the streams of one connection.
#[derive(Clone)]
pub(crate) struct Streams(Arc<Mutex<JoinSet<()>>>);

impl Streams {
    pub(crate) fn new() -> Self {
        Streams(Arc::default())
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        // Nothing under this lock can leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many streams are being served.
    pub(crate) fn open(&self) -> usize {
        let mut tasks = self.tasks();
        // A task that has ended is only counted until somebody looks.
        while tasks.try_join_next().is_some() {}
        tasks.len()
    }

    pub(crate) fn abort(&self) {
        self.tasks().abort_all();
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.tasks().spawn(future);
    }
}
