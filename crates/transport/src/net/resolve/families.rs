//! The addresses of both families, asked for at the same time (RFC 8305, section 3).

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

/// How long the IPv6 addresses may come behind the others: the resolution delay of RFC 8305, section 3. It stops a name server that
/// drops questions for them from holding up every connection.
const DELAY: Duration = Duration::from_millis(50);

/// One answer from two, the IPv6 addresses first.
///
/// If those of IPv4 come first, the others have [`DELAY`] to follow. The other way round there is no such limit, although RFC 8305 would
/// have one connect at once: the answer is given once, and it is kept, so it would leave nothing to fall back to where IPv6 does not
/// work.
///
/// # Errors
/// If neither has addresses; kind `NotFound` only if both know that there are none.
pub(super) async fn both(
    v6: impl Future<Output = io::Result<Vec<IpAddr>>>,
    v4: impl Future<Output = io::Result<Vec<IpAddr>>>,
) -> io::Result<Vec<IpAddr>> {
    let (mut v6, mut v4) = (pin!(v6), pin!(v4));
    let (v6, v4) = tokio::select! {
        biased;
        v6 = &mut v6 => (v6, v4.await),
        v4 = &mut v4 => {
            let v6 = match &v4 {
                Ok(found) if !found.is_empty() => timeout(DELAY, v6).await.unwrap_or_else(|_| Ok(Vec::new())),
                // Without it there is nothing.
                _ => v6.await,
            };
            (v6, v4)
        }
    };
    match (v6, v4) {
        (Ok(mut v6), Ok(v4)) => {
            v6.extend(v4);
            Ok(v6)
        }
        (Ok(found), Err(error)) | (Err(error), Ok(found)) => {
            let unsure = found.is_empty() && error.kind() != io::ErrorKind::NotFound;
            if unsure { Err(error) } else { Ok(found) }
        }
        (Err(v6), Err(v4)) => Err(if v4.kind() == io::ErrorKind::NotFound { v6 } else { v4 }),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    const V6: &str = "fd00::1";
    const V4: &str = "10.0.0.1";

    /// An answer after so many milliseconds: these addresses, or this failure.
    async fn answer(after: u64, outcome: Result<&[&str], io::ErrorKind>) -> io::Result<Vec<IpAddr>> {
        sleep(Duration::from_millis(after)).await;
        let addresses = |found: &[&str]| found.iter().map(|address| address.parse().unwrap()).collect();
        outcome.map(addresses).map_err(io::Error::from)
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_family_is_waited_for_as_long_as_it_is_worth() {
        const GONE: io::ErrorKind = io::ErrorKind::NotFound;
        const LOST: io::ErrorKind = io::ErrorKind::TimedOut;
        const NEVER: u64 = 1_000_000;
        let both_found: Result<&[&str], io::ErrorKind> = Ok(&[V6, V4]);
        for (what, (v6_at, v6), (v4_at, v4), want, took) in [
            ("both at once", (10, Ok(&[V6][..])), (10, Ok(&[V4][..])), both_found, 10),
            ("IPv6 just in time", (59, Ok(&[V6])), (10, Ok(&[V4])), both_found, 59),
            ("IPv6 too late", (61, Ok(&[V6])), (10, Ok(&[V4])), Ok(&[V4]), 60),
            ("IPv6 never", (NEVER, Ok(&[])), (10, Ok(&[V4])), Ok(&[V4]), 60),
            ("IPv6 has none", (20, Ok(&[])), (10, Ok(&[V4])), Ok(&[V4]), 20),
            ("IPv6 fails", (20, Err(LOST)), (10, Ok(&[V4])), Ok(&[V4]), 20),
            ("IPv4 is late", (10, Ok(&[V6])), (900, Ok(&[V4])), both_found, 900),
            ("IPv4 has none, IPv6 is late", (900, Ok(&[V6])), (10, Ok(&[])), Ok(&[V6]), 900),
            ("IPv4 fails, IPv6 is late", (900, Ok(&[V6])), (10, Err(LOST)), Ok(&[V6]), 900),
            ("none", (10, Ok(&[])), (20, Ok(&[])), Ok(&[]), 20),
            ("gone", (10, Err(GONE)), (20, Err(GONE)), Err(GONE), 20),
            ("one gone, one lost", (10, Err(GONE)), (20, Err(LOST)), Err(LOST), 20),
            ("one lost, one gone", (10, Err(LOST)), (20, Err(GONE)), Err(LOST), 20),
            ("one none, one lost", (10, Ok(&[])), (20, Err(LOST)), Err(LOST), 20),
            ("one none, one gone", (10, Ok(&[])), (20, Err(GONE)), Ok(&[]), 20),
        ] {
            let began = Instant::now();
            let got = both(answer(v6_at, v6), answer(v4_at, v4)).await;
            assert_eq!(
                got.map_err(|error| error.kind()),
                answer(0, want).await.map_err(|error| error.kind()),
                "{what}"
            );
            // The clock of the tests is exact to the millisecond, and asking what was wanted took none.
            assert_eq!(began.elapsed().as_millis(), took, "{what}");
        }
    }
}
