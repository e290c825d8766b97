//! Answers kept for a while, and one lookup at a time for a name.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Resolve, Resolver};

/// How long answers of the resolver are kept: a plain struct to fill in, ending with `..DnsCacheConfig::default()`.
///
/// Lookups of one name are made one at a time in any case: a burst of new connections makes one.
///
/// Differs from Go: Go keeps no answers, so that a burst of dials is a burst of lookups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsCacheConfig {
    /// How long an answer is good. Default 30 s. The lifetimes in DNS records are not known to the system's resolver, which
    /// keeps to them itself; what this adds is how much later a change is seen.
    pub ttl: Duration,
    /// How long a failure is good: a name that is asked for over and over is not looked up each time. Default 1 s.
    pub negative_ttl: Duration,
    /// How long after its end an answer may still be used if a new one cannot be had. Default 5 min; 0 never. It is not used
    /// for a name that is found to be gone. RFC 8767.
    pub stale: Duration,
    /// Most names to keep; beyond it, the one that was asked for least recently goes. Default 1024. It stops URLs from
    /// strangers from filling the memory.
    pub max_names: usize,
}

impl Default for DnsCacheConfig {
    fn default() -> Self {
        DnsCacheConfig {
            ttl: Duration::from_secs(30),
            negative_ttl: Duration::from_secs(1),
            stale: Duration::from_secs(300),
            max_names: 1024,
        }
    }
}

/// A notice: of the addresses of a name, these were in the last answer and are not in the new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Departed {
    /// In lower case.
    pub(crate) name: Box<str>,
    pub(crate) addresses: Vec<IpAddr>,
}

/// A resolver with memory. Cheap to clone; clones share it.
#[derive(Clone)]
pub(crate) struct Cache(Arc<Shared>);

type OnDeparted = dyn Fn(Departed) + Send + Sync;

struct Shared {
    resolver: Resolver,
    config: DnsCacheConfig,
    names: Mutex<LruCache<String, Entry>>,
    on_departed: Option<Box<OnDeparted>>,
}

#[derive(Default)]
struct Entry {
    answer: Option<(Arc<[SocketAddr]>, Instant)>,
    failure: Option<(Failure, Instant)>,
    /// The lookup in progress; it is over, or its task was lost, when the sender is gone.
    flight: Option<watch::Receiver<Option<Outcome>>>,
}

type Outcome = Result<Arc<[SocketAddr]>, Failure>;

/// An [`io::Error`] that can be told more than once.
#[derive(Clone, Debug)]
struct Failure {
    kind: io::ErrorKind,
    message: Arc<str>,
}

/// How often a lookup is taken up again whose task was lost with its runtime.
const LOST_TASKS: usize = 3;

impl Cache {
    pub(crate) fn new(resolver: Resolver, config: DnsCacheConfig, on_departed: Option<Box<OnDeparted>>) -> Self {
        let names = LruCache::new(NonZeroUsize::new(config.max_names).unwrap_or(NonZeroUsize::MIN));
        Cache(Arc::new(Shared { resolver, config, names: Mutex::new(names), on_departed }))
    }

    /// The addresses of `name`, from memory or from the resolver.
    ///
    /// # Errors
    /// Those of the resolver, and [`io::ErrorKind::NotFound`] for a name without addresses.
    ///
    /// # Cancel safety
    /// A lookup goes on without the request that started it; its answer is there for the next.
    pub(crate) async fn resolve(&self, name: &str) -> io::Result<Arc<[SocketAddr]>> {
        let name = name.to_ascii_lowercase();
        for _ in 0..LOST_TASKS {
            let mut flight = match self.0.look(&name) {
                Look::Known(outcome) => return outcome.map_err(Failure::into_io),
                Look::Flying(flight) => flight,
                Look::Unknown(sender, flight) => {
                    let (shared, name) = (Arc::clone(&self.0), name.clone());
                    tokio::spawn(async move { shared.look_up(&name, &sender).await });
                    flight
                }
            };
            if let Ok(landed) = flight.wait_for(Option::is_some).await
                && let Some(outcome) = &*landed
            {
                return outcome.clone().map_err(Failure::into_io);
            }
        }
        Err(io::Error::other("the resolver panicked, or its runtime went away"))
    }
}

enum Look {
    Known(Outcome),
    Flying(watch::Receiver<Option<Outcome>>),
    Unknown(watch::Sender<Option<Outcome>>, watch::Receiver<Option<Outcome>>),
}

impl Shared {
    fn look(&self, name: &str) -> Look {
        let now = Instant::now();
        let mut names = self.lock();
        let entry = names.get_or_insert_mut_ref(name, Entry::default);
        if let Some(outcome) = entry.known(&self.config, now) {
            return Look::Known(outcome);
        }
        if let Some(flight) = &entry.flight
            && flight.has_changed().is_ok()
        {
            return Look::Flying(flight.clone());
        }
        let (sender, flight) = watch::channel(None);
        entry.flight = Some(flight.clone());
        Look::Unknown(sender, flight)
    }

    async fn look_up(&self, name: &str, sender: &watch::Sender<Option<Outcome>>) {
        let found = match self.resolver.resolve(name).await {
            Ok(addresses) if addresses.is_empty() => Err(Failure::no_addresses()),
            Ok(addresses) => Ok(addresses.into()),
            Err(error) => Err(Failure::from(error)),
        };
        let (outcome, departed) = self.keep(name, found);
        // Nobody may be waiting any more.
        let _ = sender.send(Some(outcome));
        if let (Some(departed), Some(on_departed)) = (departed, &self.on_departed) {
            on_departed(departed);
        }
    }

    /// Notes what was found. Returns what to tell those who wait, which may be an older answer.
    fn keep(&self, name: &str, found: Outcome) -> (Outcome, Option<Departed>) {
        let now = Instant::now();
        let mut names = self.lock();
        let entry = names.get_or_insert_mut_ref(name, Entry::default);
        entry.flight = None;
        match found {
            Ok(addresses) => {
                let before = entry.answer.replace((Arc::clone(&addresses), now));
                entry.failure = None;
                let gone: Vec<IpAddr> = before
                    .iter()
                    .flat_map(|(before, _)| before.iter())
                    .map(SocketAddr::ip)
                    .filter(|old| !addresses.iter().any(|new| new.ip() == *old))
                    .collect();
                let departed = (!gone.is_empty()).then(|| Departed { name: name.into(), addresses: gone });
                (Ok(addresses), departed)
            }
            Err(failure) => {
                let gone = if failure.kind == io::ErrorKind::NotFound { entry.answer.take() } else { None };
                let stale = entry.stale(&self.config, now);
                entry.failure = Some((failure.clone(), now));
                let departed = gone.map(|(addresses, _)| Departed {
                    name: name.into(),
                    addresses: addresses.iter().map(SocketAddr::ip).collect(),
                });
                (stale.ok_or(failure), departed)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<String, Entry>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// What can be said without asking.
    fn known(&self, config: &DnsCacheConfig, now: Instant) -> Option<Outcome> {
        if let Some((addresses, at)) = &self.answer
            && now < *at + config.ttl
        {
            return Some(Ok(Arc::clone(addresses)));
        }
        let (failure, at) = self.failure.as_ref()?;
        if now >= *at + config.negative_ttl {
            return None;
        }
        Some(self.stale(config, now).ok_or_else(|| failure.clone()))
    }

    fn stale(&self, config: &DnsCacheConfig, now: Instant) -> Option<Arc<[SocketAddr]>> {
        let (addresses, at) = self.answer.as_ref()?;
        (now < *at + config.ttl + config.stale).then(|| Arc::clone(addresses))
    }
}

impl Failure {
    fn no_addresses() -> Self {
        Failure { kind: io::ErrorKind::NotFound, message: "the name has no addresses".into() }
    }

    fn from(error: io::Error) -> Self {
        Failure { kind: error.kind(), message: error.to_string().into() }
    }

    fn into_io(self) -> io::Error {
        io::Error::new(self.kind, self.message.to_string())
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("config", &self.0.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{Semaphore, mpsc};
    use tokio::time::advance;

    use super::*;

    /// A resolver that gives prepared answers, each after a permit.
    struct Script {
        answers: Mutex<VecDeque<io::Result<Vec<SocketAddr>>>>,
        permits: Arc<Semaphore>,
        asked: Arc<AtomicUsize>,
    }

    impl Resolve for Script {
        fn resolve<'a>(&'a self, _: &'a str) -> super::super::ResolveFuture<'a> {
            Box::pin(async move {
                self.asked.fetch_add(1, Ordering::Relaxed);
                self.permits.acquire().await.unwrap().forget();
                self.answers.lock().unwrap().pop_front().expect("the script has an answer for each lookup")
            })
        }
    }

    struct Rig {
        cache: Cache,
        permits: Arc<Semaphore>,
        asked: Arc<AtomicUsize>,
        departed: mpsc::UnboundedReceiver<Departed>,
    }

    fn rig(config: DnsCacheConfig, permits: usize, answers: Vec<io::Result<Vec<SocketAddr>>>) -> Rig {
        let (permits, asked) = (Arc::new(Semaphore::new(permits)), Arc::default());
        let script =
            Script { answers: Mutex::new(answers.into()), permits: Arc::clone(&permits), asked: Arc::clone(&asked) };
        let (tell, departed) = mpsc::unbounded_channel();
        let on_departed = Box::new(move |notice| tell.send(notice).unwrap());
        Rig { cache: Cache::new(Resolver::new(script), config, Some(on_departed)), permits, asked, departed }
    }

    fn addresses(last: &[u8]) -> Vec<SocketAddr> {
        last.iter().map(|last| SocketAddr::from(([127, 0, 0, *last], 0))).collect()
    }

    fn failure() -> io::Result<Vec<SocketAddr>> {
        Err(io::Error::new(io::ErrorKind::TimedOut, "no server answers"))
    }

    fn not_found() -> io::Result<Vec<SocketAddr>> {
        Err(io::Error::new(io::ErrorKind::NotFound, "no such host"))
    }

    impl Rig {
        async fn ask(&self) -> Result<Vec<SocketAddr>, String> {
            let answer = self.cache.resolve("H.test").await;
            answer.map(|found| found.to_vec()).map_err(|error| error.to_string())
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_good_for_its_lifetime_and_no_longer() {
        let rig = rig(DnsCacheConfig::default(), 9, vec![Ok(addresses(&[1])), Ok(addresses(&[2]))]);
        assert_eq!(rig.ask().await, Ok(addresses(&[1])));
        advance(Duration::from_millis(29_999)).await;
        assert_eq!((rig.ask().await, rig.asked()), (Ok(addresses(&[1])), 1));
        assert_eq!(rig.cache.resolve("h.TEST").await.unwrap().to_vec(), addresses(&[1]), "case does not matter");
        advance(Duration::from_millis(1)).await;
        assert_eq!((rig.ask().await, rig.asked()), (Ok(addresses(&[2])), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_at_once_make_one_lookup_that_outlives_the_one_who_started_it() {
        let rig = Arc::new(rig(DnsCacheConfig::default(), 0, vec![Ok(addresses(&[1]))]));
        let first = tokio::spawn({
            let rig = Arc::clone(&rig);
            async move { rig.ask().await }
        });
        while rig.asked() == 0 {
            tokio::task::yield_now().await;
        }
        first.abort();
        let others: Vec<_> = (0..100)
            .map(|_| {
                let rig = Arc::clone(&rig);
                tokio::spawn(async move { rig.ask().await })
            })
            .collect();
        tokio::task::yield_now().await;
        rig.permits.add_permits(1);
        for other in others {
            assert_eq!(other.await.unwrap(), Ok(addresses(&[1])));
        }
        assert_eq!(rig.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_kept_for_a_moment() {
        let rig = rig(DnsCacheConfig::default(), 9, vec![failure(), Ok(vec![]), not_found(), Ok(addresses(&[1]))]);
        assert_eq!(rig.ask().await, Err("no server answers".to_owned()));
        assert_eq!((rig.ask().await, rig.asked()), (Err("no server answers".to_owned()), 1));
        advance(Duration::from_secs(1)).await;
        assert_eq!(rig.ask().await, Err("the name has no addresses".to_owned()));
        advance(Duration::from_secs(1)).await;
        assert_eq!(rig.ask().await, Err("no such host".to_owned()));
        advance(Duration::from_secs(1)).await;
        assert_eq!((rig.ask().await, rig.asked()), (Ok(addresses(&[1])), 4));
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_answer_serves_while_none_can_be_had_but_not_for_a_name_that_is_gone() {
        let config = DnsCacheConfig { stale: Duration::from_secs(60), ..DnsCacheConfig::default() };
        let mut rig = rig(config, 9, vec![Ok(addresses(&[1])), failure(), failure(), Ok(addresses(&[1])), not_found()]);
        rig.ask().await.unwrap();
        advance(Duration::from_secs(30)).await;
        assert_eq!((rig.ask().await, rig.asked()), (Ok(addresses(&[1])), 2), "failed, so the old one");
        assert_eq!((rig.ask().await, rig.asked()), (Ok(addresses(&[1])), 2), "and not asked again at once");
        advance(Duration::from_secs(60)).await;
        assert_eq!(rig.ask().await, Err("no server answers".to_owned()), "too old");
        advance(Duration::from_secs(1)).await;
        assert_eq!(rig.ask().await, Ok(addresses(&[1])));
        assert!(rig.departed.try_recv().is_err(), "a failure takes no address away");
        advance(Duration::from_secs(30)).await;
        assert_eq!(rig.ask().await, Err("no such host".to_owned()));
        let gone = Departed { name: "h.test".into(), addresses: vec![IpAddr::from([127, 0, 0, 1])] };
        assert_eq!(rig.departed.try_recv(), Ok(gone));
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_that_leave_the_answer_are_told() {
        let mut rig = rig(DnsCacheConfig::default(), 9, vec![Ok(addresses(&[1, 2, 3])), Ok(addresses(&[4, 2]))]);
        rig.ask().await.unwrap();
        assert!(rig.departed.try_recv().is_err());
        advance(Duration::from_secs(30)).await;
        rig.ask().await.unwrap();
        let gone = [1, 3].map(|last| IpAddr::from([127, 0, 0, last])).to_vec();
        assert_eq!(rig.departed.recv().await, Some(Departed { name: "h.test".into(), addresses: gone }));
    }

    #[tokio::test(start_paused = true)]
    async fn names_beyond_the_limit_are_forgotten_oldest_first() {
        let answers = [1, 2, 3].map(|last| Ok(addresses(&[last]))).into();
        let rig = rig(DnsCacheConfig { max_names: 1, ..DnsCacheConfig::default() }, 9, answers);
        for (name, last) in [("a.test", 1), ("b.test", 2), ("b.test", 2), ("a.test", 3)] {
            assert_eq!(rig.cache.resolve(name).await.unwrap().to_vec(), addresses(&[last]), "{name}");
        }
    }

    #[tokio::test]
    async fn a_resolver_that_panics_fails_the_lookup_and_nothing_else() {
        let resolver = Resolver::from_fn(|_| async { panic!("a bug of the resolver") });
        let cache = Cache::new(resolver, DnsCacheConfig::default(), None);
        let error = cache.resolve("h.test").await.unwrap_err();
        assert_eq!(error.to_string(), "the resolver panicked, or its runtime went away");
    }
}
