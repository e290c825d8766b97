//! What is repeated and when, as values.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{Extensions, HeaderMap, Method, Uri, Version};
use roundtrip_types::{ErrorKind, HttpDate, Replayer, Request, Response, Result};

use super::RetryConfig;
use crate::random::random;

/// A request that can be sent again.
pub(super) struct Spare {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    extensions: Extensions,
    body: Replayer,
}

impl Spare {
    pub(super) fn of(req: &Request) -> Option<Self> {
        Some(Spare {
            method: req.method().clone(),
            uri: req.uri().clone(),
            version: req.version(),
            headers: req.headers().clone(),
            extensions: req.extensions().clone(),
            body: req.body().replayer()?,
        })
    }

    pub(super) fn into_request(self) -> Request {
        let mut req = Request::new(self.body.body());
        *req.method_mut() = self.method;
        *req.uri_mut() = self.uri;
        *req.version_mut() = self.version;
        *req.headers_mut() = self.headers;
        *req.extensions_mut() = self.extensions;
        req
    }
}

impl RetryConfig {
    /// How long to wait before the next attempt; `None` if there shall be none.
    pub(super) fn wait(
        &self,
        spare: &Spare,
        outcome: &Result<Response>,
        attempt: u32,
        now: SystemTime,
    ) -> Option<Duration> {
        let has_key = ["idempotency-key", "x-idempotency-key"].iter().any(|name| spare.headers.contains_key(*name));
        let may_be_seen_twice = has_key || self.methods.contains(&spare.method);
        match outcome {
            Ok(response) => {
                if !may_be_seen_twice || !self.statuses.contains(&response.status()) {
                    return None;
                }
                match retry_after(response.headers(), now) {
                    Some(asked) => (asked <= self.max_retry_after).then_some(asked),
                    None => Some(self.backoff(attempt)),
                }
            }
            Err(error) => {
                let may_pass =
                    matches!(error.kind(), ErrorKind::Connect | ErrorKind::ConnectionLost | ErrorKind::Timeout);
                (may_pass && (may_be_seen_twice || !error.was_sent())).then(|| self.backoff(attempt))
            }
        }
    }

    /// A random time up to the base delay, doubled for each attempt behind the first.
    fn backoff(&self, attempt: u32) -> Duration {
        let doubled = 1_u32.checked_shl(attempt - 1).and_then(|factor| self.base_delay.checked_mul(factor));
        let most = doubled.unwrap_or(self.max_delay).min(self.max_delay);
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(random() % nanos.saturating_add(1).max(1))
    }
}

/// What the server asks for (RFC 9110, section 10.2.3): seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date: HttpDate = text.parse().ok()?;
            // A date in the past asks for nothing.
            Some(SystemTime::from(date).duration_since(now).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use roundtrip_types::{Body, Error};

    use super::*;

    fn spare(method: Method) -> Spare {
        let mut req = Request::new(Body::empty());
        *req.method_mut() = method;
        Spare::of(&req).unwrap()
    }

    fn answer(status: u16, retry_after: &str) -> Result<Response> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if !retry_after.is_empty() {
            response.headers_mut().insert(RETRY_AFTER, retry_after.parse().unwrap());
        }
        Ok(response)
    }

    #[test]
    fn statuses_methods_and_retry_after() {
        let config = RetryConfig { base_delay: Duration::ZERO, ..RetryConfig::default() };
        let now = SystemTime::from(HttpDate::from_unix_seconds(784_111_767));
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (method, status, retry_after, want) in [
            (Method::GET, 503, "", seconds(0)),
            (Method::GET, 500, "", None),
            (Method::GET, 200, "7", None),
            (Method::POST, 503, "", None),
            (Method::PUT, 429, "7", seconds(7)),
            (Method::GET, 503, "61", None),
            (Method::GET, 503, "soon", seconds(0)),
            (Method::GET, 503, "Sun, 06 Nov 1994 08:49:37 GMT", seconds(10)),
            (Method::GET, 503, "Sun, 06 Nov 1994 08:49:07 GMT", seconds(0)),
            (Method::GET, 503, "Mon, 07 Nov 1994 08:49:37 GMT", None),
        ] {
            let got = config.wait(&spare(method.clone()), &answer(status, retry_after), 1, now);
            assert_eq!(got, want, "{method} {status} {retry_after}");
        }
    }

    #[test]
    fn errors_are_repeated_where_it_cannot_harm() {
        let config = RetryConfig::default();
        let wait = |method, kind, sent| {
            let error = Err(Error::new(kind, "").with_sent(sent));
            config.wait(&spare(method), &error, 1, SystemTime::now()).is_some()
        };
        assert!(wait(Method::GET, ErrorKind::ConnectionLost, true));
        assert!(wait(Method::POST, ErrorKind::Connect, false));
        assert!(!wait(Method::POST, ErrorKind::ConnectionLost, true));
        assert!(!wait(Method::GET, ErrorKind::Protocol, true));
        assert!(!wait(Method::GET, ErrorKind::Request, false));
        let mut keyed = spare(Method::POST);
        keyed.headers.insert("idempotency-key", "1".parse().unwrap());
        let lost = Err(Error::new(ErrorKind::ConnectionLost, "").with_sent(true));
        assert!(config.wait(&keyed, &lost, 1, SystemTime::now()).is_some());
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let config = RetryConfig {
            base_delay: Duration::from_millis(8),
            max_delay: Duration::from_millis(20),
            ..RetryConfig::default()
        };
        for (attempt, most) in [(1, 8), (2, 16), (3, 20), (40, 20), (u32::MAX, 20)] {
            let longest = (0..200).map(|_| config.backoff(attempt)).max().unwrap();
            assert!(
                longest <= Duration::from_millis(most) && longest > Duration::from_millis(most / 2),
                "{attempt}: {longest:?}"
            );
        }
    }
}
