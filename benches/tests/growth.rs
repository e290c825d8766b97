//! How cost grows, in short: every point there should be is there, and was checked when it was measured.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use roundtrip_bench::alloc::Counting;
use roundtrip_bench::growth::{self, Options};
use roundtrip_bench::watch::{NO_TIME, Unwatched, Watch};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn every_line_has_its_points() {
    let options = Options { most: 100, ..Options::within(Duration::from_secs(5)) };
    let growths = growth::run(&options, &Unwatched).expect("all checks hold");
    let lines: Vec<_> = growths
        .iter()
        .flat_map(|growth| growth.series.iter().map(|line| (&*growth.id, &*line.name, xs(&line.points))))
        .collect();
    assert_eq!(
        lines,
        [
            ("client-connections", "roundtrip", vec![1, 16]),
            ("client-connections", "hyper", vec![1, 16]),
            ("server-connections", "roundtrip", vec![1, 16]),
            ("server-connections", "hyper", vec![1, 16]),
            ("hosts", "found in pool", vec![1, 100]),
            ("hosts", "opened anew", vec![2, 100]),
            ("idle-time", "client", vec![0, 100]),
            ("idle-time", "server", vec![0, 100]),
            ("idle-bytes", "client", vec![100]),
            ("idle-bytes", "server", vec![100]),
        ]
    );
    assert!(growths.iter().flat_map(|growth| &growth.series).all(|line| line.points.iter().all(|(_, y)| *y > 0.0)));
}

fn xs(points: &[(f64, f64)]) -> Vec<u32> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "they were small whole numbers")]
    points.iter().map(|(x, _)| *x as u32).collect()
}

#[test]
fn a_run_that_is_stopped_ends_soon() {
    struct Stopped;
    impl Watch for Stopped {
        fn doing(&self, _what: &str) {}
        fn stopped(&self) -> bool {
            true
        }
    }
    let started = Instant::now();
    assert_eq!(growth::run(&Options::within(Duration::from_secs(60)), &Stopped), Ok(Vec::new()));
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// Has no time left as soon as a part has begun, and keeps what it is told.
#[derive(Default)]
struct UntilItBegins {
    begun: AtomicBool,
    left_out: Mutex<Vec<String>>,
}

impl Watch for UntilItBegins {
    fn doing(&self, _what: &str) {
        self.begun.store(true, Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        self.left().is_zero()
    }

    fn left(&self) -> Duration {
        if self.begun.load(Ordering::Relaxed) { Duration::ZERO } else { Duration::from_secs(3600) }
    }

    fn left_out(&self, what: &str, why: &str) {
        self.left_out.lock().expect("nobody panics with it").push(format!("{what}: {why}"));
    }
}

#[test]
fn parts_without_time_are_told() {
    let watch = UntilItBegins::default();
    let growths = growth::run(&Options { time: Duration::ZERO, most: 100 }, &watch).unwrap();
    assert_eq!(growths, []);
    let parts = ["connections", "hosts", "idle connections"].map(|what| format!("growth with {what}: {NO_TIME}"));
    assert_eq!(*watch.left_out.lock().unwrap(), parts);
}

#[test]
fn points_without_time_are_told_in_the_growths_text() {
    // The first part has begun, and then there is no time for any of its points.
    let watch = UntilItBegins::default();
    let growths = growth::run(&Options { most: 100, ..Options::within(Duration::from_secs(600)) }, &watch).unwrap();
    assert_eq!(growths.len(), 2);
    for growth in growths {
        let said = "Left out: 1 and 16 connections, for which there was no time.";
        assert!(growth.explained.ends_with(said), "{}", growth.explained);
        assert!(growth.series.iter().all(|line| line.points.is_empty()), "{growth:?}");
    }
    assert_eq!(watch.left_out.lock().unwrap().len(), 2, "the parts that did not begin");
}
