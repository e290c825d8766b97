//! What is used again when the server closes its connections: the guess of a known write-up of this comparison, put to the test.
//!
//! It reports (Go, Apple M3) 21.7 ms with a pool, 52.0 ms when the server closes and 102.0 ms without a pool, and guesses that some
//! resources are used again when the server closes. So this counts what a request opens, resumes, looks up and allocates in these three
//! ways, and in a fourth that throws away all there is to use again: a client made anew for each request. Then it times them where time
//! is work (loopback), where it is distance, and where names take time.

mod findings;
mod time_wait;
mod way;

use std::cell::Cell;
use std::time::Duration;

pub use self::way::Way;

use self::way::{Asked, Conditions};
use crate::identity::Identity;
use crate::model::{Closing, ClosingCount, ClosingTime, Security};
use crate::watch::{Watch, Within, tell_no_time};

/// How many requests.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Of each way, where a request takes well below a millisecond.
    pub near: u32,
    /// Of each way, where it takes several times 20 ms.
    pub far: u32,
    /// How long all may take, for which there are fewer requests on a slow machine.
    pub time: Duration,
}

impl Options {
    /// For some six seconds.
    pub const WHOLE: Options = Options { near: 500, far: 7, time: Duration::from_secs(10) };
    /// For some two seconds.
    pub const QUICK: Options = Options { near: 100, far: 3, time: Duration::from_millis(4500) };
}

/// Counts and times. `None` if it was stopped or out of time before all was done, since half of it would not say anything; `watch` is
/// told of the latter.
///
/// # Errors
/// A request failed.
pub fn run(options: Options, watch: &dyn Watch) -> Result<Option<Closing>, String> {
    let watch = Within::new(watch, options.time);
    let closing = within(options, &watch)?;
    if closing.is_none() {
        tell_no_time(&watch, "what is used again when the server closes");
    }
    Ok(closing)
}

fn within(options: Options, watch: &dyn Watch) -> Result<Option<Closing>, String> {
    let identity = Identity::make()?;
    // Each way under each of the conditions below may take nearly twice its part of what is left, since few need it.
    let parts = Cell::new(6 * u32::try_from(Way::ALL.len()).unwrap_or(u32::MAX));
    let all = |name: &str, conditions: Conditions| -> Result<Option<Vec<Asked>>, String> {
        let mut asked = Vec::new();
        for way in Way::ALL {
            if watch.stopped() {
                return Ok(None);
            }
            watch.doing(&format!("what is used again, {name}: {}", way.name()));
            let left = parts.replace(parts.get().saturating_sub(1));
            // The last has all that is left, and those before it leave it some.
            let part = Within::new(watch, (watch.left() / (left + 1)).saturating_mul(2));
            asked.push(way.ask(&conditions, &identity, &part)?);
        }
        Ok(Some(asked))
    };
    let near = Conditions {
        security: Security::Plain,
        round_trip: Duration::ZERO,
        lookup: Duration::ZERO,
        requests: options.near,
    };
    let far = Conditions { round_trip: FAR, requests: options.far, ..near };
    let tls = |conditions| Conditions { security: Security::Tls, ..conditions };
    let resumed = |conditions| Conditions { security: Security::TlsResumed, ..conditions };

    let mut times = Vec::new();
    let mut timed = Vec::new();
    for (name, conditions) in [
        ("plain, loopback", near),
        ("TLS with resumption, loopback", resumed(near)),
        ("plain, names 20 ms away", Conditions { lookup: FAR, requests: options.far, ..near }),
        ("plain, 20 ms away", far),
        ("TLS 1.3, 20 ms away", tls(far)),
        ("TLS 1.3 with resumption, 20 ms away", resumed(far)),
    ] {
        let Some(asked) = all(name, conditions)? else { return Ok(None) };
        times.push(time(name, true, asked.iter().map(|asked| asked.median.as_secs_f64() * 1e3).collect()));
        timed.push(asked);
    }
    let (plain, secured) = (&timed[0], &timed[1]);
    times.push(time("the write-up (Go, Apple M3), not measured here", false, PUBLISHED.to_vec()));
    let mut counts = vec![
        count("connections opened", secured, |asked| asked.connections),
        count("TLS sessions resumed", secured, |asked| asked.resumed),
        count("names looked up", secured, |asked| asked.lookups),
        count("client's allocations, plain", plain, |asked| asked.client),
        count("server's allocations, plain", plain, |asked| asked.server),
        count("client's allocations, TLS with resumption", secured, |asked| asked.client),
        count("server's allocations, TLS with resumption", secured, |asked| asked.server),
    ];
    if plain.iter().all(|asked| asked.waiting.is_some()) {
        let waiting = |side: fn(time_wait::Waiting) -> f64| move |asked: &Asked| asked.waiting.map_or(0.0, side);
        counts.push(count("sockets left in TIME_WAIT, client's, plain", plain, waiting(|waiting| waiting.client)));
        counts.push(count("sockets left in TIME_WAIT, server's, plain", plain, waiting(|waiting| waiting.server)));
    }
    let findings = findings::of(&counts, &times);
    Ok(Some(Closing { ways: Way::ALL.map(|way| way.name().to_owned()).into(), counts, times, findings }))
}

/// As far away as the write-up's pooled request suggests, if it is a round trip.
const FAR: Duration = Duration::from_millis(20);

/// What the write-up reports for a pool, for a server that closes, and for no pool, in milliseconds.
const PUBLISHED: [f64; 3] = [21.7, 52.0, 102.0];

fn count(what: &str, asked: &[Asked], figure: impl Fn(&Asked) -> f64) -> ClosingCount {
    ClosingCount { what: what.into(), figures: asked.iter().map(figure).collect() }
}

fn time(name: &str, measured: bool, milliseconds: Vec<f64>) -> ClosingTime {
    let ratios = milliseconds.iter().map(|time| time / milliseconds[0]).collect();
    ClosingTime { name: name.into(), measured, milliseconds, ratios }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::fake::Hourglass;
    use crate::watch::{NO_TIME, Unwatched};

    #[test]
    fn what_is_used_again_is_counted() {
        let closing = run(Options { near: 40, far: 2, time: Duration::from_secs(600) }, &Unwatched).unwrap().unwrap();
        let figures = |what: &str| {
            let found = closing.counts.iter().find(|count| count.what == what);
            found.unwrap_or_else(|| panic!("{what} is not among {:?}", closing.counts)).figures.clone()
        };
        let one = 1.0 / 40.0;
        assert_eq!(figures("connections opened"), [one, 1.0, 1.0, 1.0]);
        assert_eq!(figures("TLS sessions resumed"), [0.0, 1.0 - one, 1.0 - one, 0.0]);
        assert_eq!(figures("names looked up"), [one, one, one, 1.0]);
        let allocations = figures("client's allocations, plain");
        assert!(allocations[0] < allocations[1] && allocations[1] < allocations[3], "{allocations:?}");

        // It cannot be faster than the distance; how much slower is the machine's affair.
        let takes_at_least = |name: &str, trips: [f64; 4]| {
            let found = closing.times.iter().find(|time| time.name == name).unwrap();
            assert!(found.measured && found.milliseconds.len() == trips.len(), "{found:?}");
            for (time, trips) in found.milliseconds.iter().zip(trips) {
                assert!(*time >= trips * 20.0, "{found:?}");
            }
        };
        takes_at_least("plain, 20 ms away", [1.0, 2.0, 2.0, 2.0]);
        takes_at_least("TLS 1.3, 20 ms away", [1.0, 3.0, 3.0, 3.0]);
        takes_at_least("TLS 1.3 with resumption, 20 ms away", [1.0, 3.0, 3.0, 3.0]);
        takes_at_least("plain, names 20 ms away", [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(closing.times.iter().filter(|time| !time.measured).count(), 1);
        assert!(closing.findings.len() >= 7, "{:?}", closing.findings);
    }

    struct Stopped;

    impl Watch for Stopped {
        fn doing(&self, _what: &str) {}

        fn stopped(&self) -> bool {
            true
        }
    }

    #[test]
    fn stopped_it_says_nothing() {
        assert_eq!(run(Options::WHOLE, &Stopped), Ok(None));
    }

    #[test]
    fn half_of_it_is_left_out_and_told() {
        let watch = Hourglass::after(2);
        assert_eq!(run(Options { near: 4, far: 2, time: Duration::MAX }, &watch), Ok(None));
        assert_eq!(watch.said(), [format!("what is used again when the server closes: {NO_TIME}")]);
    }
}
