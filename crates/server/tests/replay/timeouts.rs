//! `timeouts.json`, the server's side: which timer ends which stall, in real time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use roundtrip_server::{ErrorLog, Server};
use roundtrip_types::{Body, ErrorKind, IntoResponse, Request, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::http1::Replies;
use super::{replay, text};
use roundtrip_golden::{Outcome, base64, known_keys};

const KEYS: &[&str] = &[
    "name",
    "side",
    "server",
    "tls",
    "handler",
    "client_sends",
    "client_does_not_read",
    "observe_ms",
    "client",
    "request",
    "server_plays",
    "want",
];

pub(crate) fn run() {
    replay("timeouts.json", KEYS, 64, |case| async move {
        if case["side"] == "client" {
            return Outcome::Elsewhere("the transport's runner");
        }
        if case["tls"] == true && cfg!(not(feature = "tls")) {
            return Outcome::Elsewhere("the feature tls, which is off");
        }
        let seen = play(&case).await;
        match (agrees(&case, &seen), promised(&case, &seen)) {
            (Ok(()), _) => Outcome::Passed,
            (Err(_), Some(slug)) => Outcome::Differs(slug),
            (Err(why), None) => Outcome::Failed(format!("{why}; {seen:?}")),
        }
    });
}

#[derive(Debug)]
struct Seen {
    /// From the clock's start to the end of the connection.
    closed_after: Option<Duration>,
    statuses: Vec<u16>,
    complete: bool,
    handlers: Vec<Value>,
}

/// The times that the four timers have in this case, with Go's fallbacks.
fn timers(case: &Value) -> Vec<(&'static str, u64)> {
    let ms = |key: &str| case["server"][key].as_i64();
    let mut timers = Vec::new();
    for (name, key) in [
        ("read_header", "read_header_timeout_ms"),
        ("read", "read_timeout_ms"),
        ("write", "write_timeout_ms"),
        ("idle", "idle_timeout_ms"),
    ] {
        if let Some(ms) = ms(key).and_then(|ms| u64::try_from(ms).ok()) {
            timers.push((name, ms));
        }
    }
    timers
}

/// Whether a time is a timer's: 15 % too early to 250 ms too late.
fn fits(took: Duration, ms: u64) -> bool {
    let took = took.as_millis();
    took >= u128::from(ms) * 85 / 100 && took <= u128::from(ms) + 250
}

fn agrees(case: &Value, seen: &Seen) -> Result<(), String> {
    let want = &case["want"];
    known_keys(want, &["fired", "statuses", "closed", "last_response_complete", "handler"]);
    ended(case, seen)?;
    let statuses = want["statuses"].as_array().cloned().unwrap_or_default();
    if json!(statuses) != json!(seen.statuses) {
        return Err(format!("statuses {:?}, not {statuses:?}", seen.statuses));
    }
    if want["last_response_complete"] == true && !seen.complete {
        return Err("the last response is cut".into());
    }
    for (n, want) in want["handler"].as_array().into_iter().flatten().enumerate() {
        known_keys(want, &["body", "write", "context_canceled"]);
        let Some(got) = seen.handlers.get(n) else { return Err(format!("handler {n} was not called")) };
        // A handler here returns its response and writes nothing itself, so it has no write to fail.
        if want["body"] != got["body"] {
            return Err(format!("handler {n}: {got}, not {want}"));
        }
    }
    Ok(())
}

/// Whether the connection ended by the timer that Go's did.
fn ended(case: &Value, seen: &Seen) -> Result<(), String> {
    let want = &case["want"];
    let fired = text(want, "fired");
    let timer = timers(case).into_iter().find(|(name, _)| *name == fired);
    match (timer, seen.closed_after) {
        (Some((_, ms)), Some(took)) if fits(took, ms) => Ok(()),
        (Some((name, ms)), took) => Err(format!("closed after {took:?}, not by {name} of {ms} ms")),
        (None, None) if want["closed"] == false => Ok(()),
        (None, Some(_)) if want["closed"] == true => Ok(()),
        (None, took) => Err(format!("closed after {took:?}, wanted {want}")),
    }
}

fn promised(case: &Value, seen: &Seen) -> Option<&'static str> {
    let sends = case["client_sends"].as_array().cloned().unwrap_or_default();
    let partial = sends
        .last()
        .and_then(|last| last["b64"].as_str())
        .map(base64)
        .is_some_and(|bytes| !String::from_utf8_lossy(&bytes).contains("\r\n\r\n"))
        || sends.iter().any(|part| part["trickle_b64"].is_string());
    let negative = |key: &str| case["server"][key].as_i64().is_some_and(|ms| ms < 0);
    let times = timers(case);
    let is = |name: &str| times.iter().find(|(timer, _)| *timer == name).map(|(_, ms)| *ms);
    let took = seen.closed_after;
    let by = |name: &str| is(name).zip(took).is_some_and(|(ms, took)| fits(took, ms));
    // A client that has begun a request and does not end it is told 408.
    if partial && seen.statuses.last() == Some(&408) && seen.complete && ended(case, seen).is_ok() {
        return Some("head_timeout_is_told");
    }
    if partial && by("read_header") && seen.statuses.last() == Some(&408) {
        return Some("short_head_is_a_head");
    }
    // The time for the whole request covers its head.
    if negative("read_header_timeout_ms") && sends.is_empty() && by("read") {
        return Some("read_covers_head");
    }
    if times.len() > 1 && sends.is_empty() && is("read").is_some() && is("read_header").is_some() && by("read") {
        return Some("read_covers_head");
    }
    // A handler is dropped when its response's time is up, rather than at its next write.
    if ["sleep", "read_body"].contains(&text(&case["handler"], "kind")) && by("write") && seen.statuses.is_empty() {
        return Some("write_ends_handler");
    }
    None
}

async fn play(case: &Value) -> Seen {
    known_keys(&case["server"], &["read_header_timeout_ms", "read_timeout_ms", "write_timeout_ms", "idle_timeout_ms"]);
    known_keys(&case["handler"], &["kind", "ms", "bytes"]);
    let mut config = super::server_config(&case["server"]);
    config.error_log = ErrorLog::none();
    let handlers = Arc::new(Mutex::new(Vec::new()));
    let server = Server::with_config(
        {
            let (script, handlers) = (case["handler"].clone(), Arc::clone(&handlers));
            move |req: Request| handle(req, script.clone(), Arc::clone(&handlers))
        },
        config,
    );
    let listener = server.listen("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    #[cfg(feature = "tls")]
    let serving = if case["tls"] == true {
        tokio::spawn(server.serve_tls(listener, super::tls::Identity::new().server))
    } else {
        tokio::spawn(server.serve(listener))
    };
    #[cfg(not(feature = "tls"))]
    let serving = tokio::spawn(server.serve(listener));
    let observe = Duration::from_millis(case["observe_ms"].as_u64().unwrap());
    let reads = case["client_does_not_read"] != true;

    let stream = TcpStream::connect(addr).await.unwrap();
    let mut clock = Instant::now();
    let (mut reading, mut writing) = stream.into_split();
    let (got_in, mut got) = watch::channel((Vec::new(), None));
    let (begin, begun) = tokio::sync::oneshot::channel::<()>();
    let mut begin = Some(begin);
    let collector = tokio::spawn(async move {
        if !reads {
            // Told, or left alone: the same.
            let _ = begun.await;
        }
        let mut piece = vec![0; 256 << 10];
        loop {
            match reading.read(&mut piece).await {
                Ok(n) if n > 0 => got_in.send_modify(|(bytes, _)| bytes.extend_from_slice(&piece[..n])),
                _ => {
                    got_in.send_modify(|(_, ended)| *ended = Some(Instant::now()));
                    return;
                }
            }
        }
    });
    for step in case["client_sends"].as_array().into_iter().flatten() {
        known_keys(step, &["b64", "trickle_b64", "gap_ms", "pause_ms", "wait_responses", "clock"]);
        if let Some(text) = step["b64"].as_str() {
            // The server may have hung up.
            let _ = writing.write_all(&base64(text)).await;
        } else if let Some(text) = step["trickle_b64"].as_str() {
            let gap = Duration::from_millis(step["gap_ms"].as_u64().unwrap());
            for byte in base64(text) {
                sleep(gap).await;
                if got.borrow().1.is_some() || writing.write_all(&[byte]).await.is_err() {
                    break;
                }
            }
        } else if let Some(ms) = step["pause_ms"].as_u64() {
            sleep(Duration::from_millis(ms)).await;
        } else if let Some(n) = step["wait_responses"].as_u64() {
            let arrived = got.wait_for(|(bytes, ended)| ended.is_some() || count(bytes) >= n);
            let _ = timeout(Duration::from_secs(3), arrived).await;
        }
        if step["clock"] == true {
            clock = Instant::now();
        }
    }
    let limit = clock + observe;
    if !reads {
        tokio::time::sleep_until(limit).await;
        drop(begin.take());
        sleep(Duration::from_millis(1500)).await;
    } else {
        let _ = timeout_at(limit, got.wait_for(|(_, ended)| ended.is_some())).await;
    }
    let (bytes, ended) = got.borrow().clone();
    collector.abort();
    let replies = Replies::parse(&bytes, |_, _| false, ended.is_some()).replies;
    let closed_after = ended.map(|at| at.saturating_duration_since(clock)).map(|took| {
        // Seen late, because it was looked for late.
        if reads { took } else { Duration::from_millis(timers(case).first().map_or(0, |(_, ms)| *ms)) }
    });
    server.close().await;
    serving.abort();
    let handlers = handlers.lock().unwrap().clone();
    Seen {
        closed_after,
        statuses: replies.iter().map(|reply| reply.status).collect(),
        complete: replies.last().is_some_and(|reply| reply.complete),
        handlers,
    }
}

fn count(bytes: &[u8]) -> u64 {
    Replies::parse(bytes, |_, _| false, false).replies.iter().filter(|reply| reply.complete).count() as u64
}

async fn handle(req: Request, script: Value, handlers: Arc<Mutex<Vec<Value>>>) -> Response {
    let noted = {
        let mut handlers = handlers.lock().unwrap();
        handlers.push(json!({"body": "unread"}));
        handlers.len() - 1
    };
    let note = |state: &str| handlers.lock().unwrap()[noted]["body"] = json!(state);
    match text(&script, "kind") {
        "ok" => "ok".into_response(),
        "read_body" => {
            note("blocked");
            match req.into_body().bytes().await {
                Ok(_) => {
                    note("eof");
                    "read".into_response()
                }
                Err(error) => {
                    note(match error.kind() {
                        ErrorKind::Timeout => "error:timeout",
                        ErrorKind::ConnectionLost => "error:incomplete",
                        _ => "error",
                    });
                    (StatusCode::INTERNAL_SERVER_ERROR, "bad body").into_response()
                }
            }
        }
        "sleep" => {
            sleep(Duration::from_millis(script["ms"].as_u64().unwrap())).await;
            "slept".into_response()
        }
        "stream" => {
            let (mut sender, body) = Body::channel(1);
            let mut left = usize::try_from(script["bytes"].as_u64().unwrap()).unwrap();
            tokio::spawn(async move {
                let piece = bytes::Bytes::from(vec![b's'; 64 << 10]);
                while left > 0 {
                    let n = left.min(piece.len());
                    if sender.send(piece.slice(..n)).await.is_err() {
                        return;
                    }
                    left -= n;
                }
                sender.finish();
            });
            body.into_response()
        }
        other => panic!("a handler that this runner does not know: {other}"),
    }
}
