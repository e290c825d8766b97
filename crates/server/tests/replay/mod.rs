//! Replaying the golden files' cases side by side.

pub(crate) mod http1;
pub(crate) mod script;
pub(crate) mod server_wire;
pub(crate) mod timeouts;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod wire_differs;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use roundtrip_golden::{Outcome, Run};
use roundtrip_server::ServerConfig;
use serde_json::Value;
use tokio::sync::Semaphore;

/// Replays all cases, `at_once` of them side by side, and keeps the score in their order. With `ROUNDTRIP_GOLDEN_ONLY` only the one
/// of that name.
pub(crate) fn replay<F>(file: &'static str, keys: &[&str], at_once: usize, check: impl Fn(Value) -> F)
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), file).with_keys(keys);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let room = Arc::new(Semaphore::new(at_once));
    let only = std::env::var("ROUNDTRIP_GOLDEN_ONLY").ok();
    let outcomes = runtime.block_on(async {
        let mut tasks = Vec::new();
        for (index, case) in run.cases().into_iter().enumerate() {
            if only.as_deref().is_some_and(|only| case["name"] != only) {
                continue;
            }
            let (work, room) = (check(case), Arc::clone(&room));
            let task = tokio::spawn(async move {
                let _permit = room.acquire_owned().await.unwrap();
                work.await
            });
            tasks.push((index, task));
        }
        let mut outcomes = Vec::new();
        for (index, task) in tasks {
            let outcome = task.await.unwrap_or_else(|panic| Outcome::Failed(format!("the runner failed: {panic}")));
            outcomes.push((index, outcome));
        }
        outcomes
    });
    for (index, outcome) in outcomes {
        run.score(index, outcome);
    }
    run.finish();
}

/// A server's settings as the files give them: Go's, with what is there. `null` is Go's zero.
pub(crate) fn server_config(server: &Value) -> ServerConfig {
    let go = ServerConfig::go();
    let ms = |key: &str| server[key].as_i64().map(|ms| u64::try_from(ms).ok().map(Duration::from_millis));
    // Go's zero falls back to the read timeout; a negative one is none.
    let read = ms("read_timeout_ms").flatten();
    ServerConfig {
        read_timeout: read,
        read_header_timeout: ms("read_header_timeout_ms").unwrap_or(read),
        write_timeout: ms("write_timeout_ms").flatten(),
        // Go derives it from the others.
        tls_handshake_timeout: ["read_header_timeout_ms", "read_timeout_ms", "write_timeout_ms"]
            .into_iter()
            .filter_map(|key| ms(key).flatten())
            .min(),
        idle_timeout: ms("idle_timeout_ms").unwrap_or(read),
        max_header_bytes: server["max_header_bytes"]
            .as_u64()
            .map_or(go.max_header_bytes, |max| usize::try_from(max).unwrap() + 4096),
        ..go
    }
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is text in {value}"))
}
