//! The tasks of HTTP/2 streams: each with its limits, all ending with their connection.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};

use crate::deadlines::{Credit, Limits};
use crate::link::Link;

/// hyper's executor for the streams of one connection.
#[derive(Clone)]
pub(crate) struct Streams {
    tasks: Arc<Mutex<JoinSet<()>>>,
    link: Arc<Link>,
    limits: Limits,
}

impl Streams {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        let limits = Limits::new(&link.config);
        Streams { tasks: Arc::default(), link, limits }
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        // Nothing under this lock can leave it half done.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
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
        let stream = Stream {
            future,
            progress: Arc::default(),
            link: Arc::clone(&self.link),
            limits: self.limits,
            client: Credit::new(),
            begun: Instant::now(),
            timer: None,
        };
        self.tasks().spawn(stream);
    }
}

/// Where a stream's response stands, told by its body.
#[derive(Default)]
pub(crate) struct Progress {
    waits_for_client: AtomicU8,
    handed: AtomicU64,
}

impl Progress {
    /// The stream whose task runs.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.with(|current| {
            let taken = current.take();
            current.set(taken.clone());
            taken
        })
    }

    /// hyper has something to send, and goes on once the client's windows let it.
    pub(crate) fn waits_for_client(&self, handed: usize) {
        self.handed.fetch_add(handed as u64, Ordering::Relaxed);
        self.waits_for_client.store(1, Ordering::Relaxed);
    }

    /// There is nothing to send for the moment.
    pub(crate) fn waits_for_body(&self) {
        self.waits_for_client.store(0, Ordering::Relaxed);
    }
}

thread_local! {
    /// Set while a stream's task is polled.
    static CURRENT: Cell<Option<Arc<Progress>>> = const { Cell::new(None) };
}

pin_project! {
    /// One stream. Dropping the future, when its time is up, resets the stream and leaves the others alone.
    struct Stream<F> {
        #[pin]
        future: F,
        progress: Arc<Progress>,
        link: Arc<Link>,
        limits: Limits,
        client: Credit,
        begun: Instant,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let before = CURRENT.with(|current| current.replace(Some(Arc::clone(this.progress))));
        let polled = this.future.poll(cx);
        CURRENT.with(|current| current.set(before));
        if polled.is_ready() {
            return Poll::Ready(());
        }
        let now = Instant::now();
        let waits = this.progress.waits_for_client.load(Ordering::Relaxed) != 0;
        let handed = this.progress.handed.load(Ordering::Relaxed);
        this.client.update(now, waits, handed, this.limits.write_stall, this.limits.write_rate);
        let whole = this.limits.write.and_then(|limit| this.begun.checked_add(limit));
        let Some(deadline) = this.client.until().into_iter().chain(whole).min() else { return Poll::Pending };
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        if timer.as_mut().poll(cx).is_ready() {
            this.link.stream_timed_out();
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
