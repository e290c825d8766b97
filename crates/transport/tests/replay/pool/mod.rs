//! `pool.json`: scripts of requests against scripted servers, and which connection each request got.
//!
//! Two devices make the scripts exact. A server sends a body when the head before it has been received: a body that comes with its head
//! frees its connection at once, which Go does when it is read, and no script says how the bytes of a reply fall into segments. And a
//! `cancel` behind the head drops the body and cuts the connection under it, as Go's does; by itself dropping a body drains it, which
//! is a difference.

mod server;
mod steps;
mod world;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use roundtrip_transport::{ConnectConfig, Dialer, Transport, TransportConfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use self::server::accept;
use self::steps::perform;
use self::world::{Books, DialState, Gate, Req, State, World};
use super::{count, go_zero, millis, play_all, same_kind, within};
use roundtrip_golden::{Outcome, Run, known_keys};

const FILE: &str = "pool.json";

pub(crate) async fn run() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), FILE).with_keys(&[
        "name",
        "tags",
        "transport",
        "hosts",
        "steps",
        "want",
        "note",
    ]);
    play_all(&mut run, |case| async move { check(&case).await }).await;
    run.finish();
}

async fn check(case: &Value) -> Outcome {
    if let Some(authority) = authorities(case).find(|name| !name.is_ascii()) {
        // RFC 3986: a URI is ASCII; whoever has a Unicode name converts it.
        return match format!("http://{authority}/").parse::<http::Uri>() {
            Err(_) => Outcome::Differs("unicode_host"),
            Ok(uri) => Outcome::Failed(format!("{uri} was taken for a URI")),
        };
    }
    let got = match play(case).await {
        Ok(got) => got,
        Err(why) => return Outcome::Failed(why),
    };
    let wrong = compare(case, &case["want"], &got);
    let canceled = canceled_behind_the_head(case);
    match wrong {
        Some(wrong) if differs_in_case(case) => one_spelling(case, &got).await.unwrap_or(Outcome::Failed(wrong)),
        Some(wrong) if case.to_string().contains("\"read_n\"") => {
            whole_pieces(case, &got).await.unwrap_or(Outcome::Failed(wrong))
        }
        Some(wrong) => Outcome::Failed(wrong),
        None if got.requests.iter().any(|one| canceled.contains(&one.id) && one.facts["body_end"] == "closed") => {
            Outcome::Differs("cancel_behind_the_head")
        }
        None => Outcome::Passed,
    }
}

fn authorities(case: &Value) -> impl Iterator<Item = &str> {
    case["steps"].as_array().unwrap().iter().filter_map(|step| step["authority"].as_str())
}

/// Whether the script spells one host in two ways.
fn differs_in_case(case: &Value) -> bool {
    let spelled: HashSet<_> = authorities(case).collect();
    let hosts: HashSet<_> = authorities(case).map(str::to_ascii_lowercase).collect();
    hosts.len() < spelled.len()
}

/// The promise for such a script: the same as with one spelling.
async fn one_spelling(case: &Value, got: &Got) -> Option<Outcome> {
    let mut alike = case.clone();
    for step in alike["steps"].as_array_mut().unwrap() {
        if let Some(name) = step["authority"].as_str().map(str::to_ascii_lowercase) {
            step["authority"] = json!(name);
        }
    }
    let with_one_spelling = play(&alike).await.ok()?;
    (with_one_spelling == *got).then_some(Outcome::Differs("host_case"))
}

/// The promise for a script that reads a body in part: the connections are used as if it had read all of the pieces that it was given.
async fn whole_pieces(case: &Value, got: &Got) -> Option<Outcome> {
    let mut whole = case.clone();
    let mut ids = HashSet::new();
    for step in whole["steps"].as_array_mut().unwrap() {
        if step["do"] == "read_n" {
            step["do"] = json!("read");
            ids.insert(step["id"].as_str().unwrap().to_owned());
        }
    }
    let with_whole = play(&whole).await.ok()?;
    let used = |request: &GotRequest| {
        let mut facts = request.facts.clone();
        if ids.contains(&request.id) {
            facts.as_object_mut().unwrap().retain(|key, _| !["body_read", "body_end"].contains(&key.as_str()));
        }
        facts
    };
    let as_if = with_whole.hosts == got.hosts
        && with_whole.requests.iter().map(used).eq(got.requests.iter().map(used))
        && case["want"]["requests"].as_array().unwrap().iter().zip(&got.requests).all(|(want, got)| {
            want["body_read"] == got.facts["body_read"] && want["body_end"] == got.facts["body_end"]
        });
    as_if.then_some(Outcome::Differs("read_in_pieces"))
}

/// Requests that are cancelled when their head is there and nothing else has ended them.
fn canceled_behind_the_head(case: &Value) -> HashSet<String> {
    let (mut heads, mut canceled) = (HashSet::new(), HashSet::new());
    for step in case["steps"].as_array().unwrap() {
        let Some(id) = step["id"].as_str() else { continue };
        match step["do"].as_str() {
            Some("wait_head") => drop(heads.insert(id)),
            Some("read" | "close") => drop(heads.remove(id)),
            Some("cancel") if heads.contains(id) => drop(canceled.insert(id.to_owned())),
            _ => {}
        }
    }
    canceled
}

/// What came of a script, in the words of the file.
#[derive(Debug, PartialEq)]
struct Got {
    requests: Vec<GotRequest>,
    hosts: Value,
}

#[derive(Debug, PartialEq)]
struct GotRequest {
    id: String,
    facts: Value,
}

fn compare(case: &Value, want: &Value, got: &Got) -> Option<String> {
    known_keys(want, &["requests", "hosts"]);
    let mut wrong = Vec::new();
    let wanted = want["requests"].as_array().unwrap();
    if wanted.len() != got.requests.len() {
        wrong.push(format!("{} requests, want {}", got.requests.len(), wanted.len()));
    }
    let canceled = canceled_behind_the_head(case);
    for (want, GotRequest { id, facts }) in wanted.iter().zip(&got.requests) {
        let mut want = want.clone();
        let cut = case["steps"]
            .as_array()
            .unwrap()
            .iter()
            .any(|step| step["id"] == **id && step["reply"]["fail"] != Value::Null);
        for (key, prefix) in [("error", ""), ("body_end", "error:")] {
            if let (Some(wanted), Some(is)) = (want[key].as_str(), facts[key].as_str())
                && let (Some(wanted), Some(kind)) = (wanted.strip_prefix(prefix), is.strip_prefix(prefix))
                && same_kind(wanted, kind, cut)
            {
                want[key] = facts[key].clone();
            }
        }
        if canceled.contains(id) && facts["body_end"] == "closed" {
            // There is nothing to read any more.
            want["body_end"] = json!("closed");
            if facts["body_read"].as_u64() <= want["body_read"].as_u64() {
                want["body_read"] = facts["body_read"].clone();
            }
        }
        if want != *facts {
            wrong.push(format!("got  {facts}\n    want {want}"));
        }
    }
    if want["hosts"] != got.hosts {
        wrong.push(format!("got  {}\n    want {}", got.hosts, want["hosts"]));
    }
    (!wrong.is_empty()).then(|| wrong.join("\n    "))
}

async fn play(case: &Value) -> Result<Got, String> {
    let world = Arc::new(World { state: Mutex::default(), news: Notify::new(), tasks: Mutex::default() });
    for host in 0..count(&case["hosts"]) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        world.change(|state| {
            state.addresses.push(listener.local_addr().unwrap());
            state.conns.push(Vec::new());
            state.dials.push(Vec::new());
            state.max_open.push(0);
            state.names.insert(format!("h{host}.test"), host);
        });
        world.spawn(accept(Arc::clone(&world), host, listener));
    }
    let transport = Transport::with_config(config(&case["transport"], &world));
    let mut done = Ok(());
    for step in case["steps"].as_array().unwrap() {
        done = perform(step, &transport, &world).await;
        if done.is_err() {
            break;
        }
        // A close opens nothing, and its drain has little time.
        if step["do"] != "close" {
            sample(&transport, &world).await;
        }
    }
    let got = match done {
        Ok(()) => Ok(collect(case, &world).await),
        Err(why) => Err(why),
    };
    drop(transport);
    // Not dropped under the lock: the listeners of what is dropped take it too.
    let bodies: Vec<_> = world.change(|state| {
        for conn in state.conns.iter_mut().flatten() {
            if let Some(socket) = conn.socket.take() {
                socket.stop();
            }
        }
        state.requests.values_mut().map(|req| req.body.take()).collect()
    });
    drop(bodies);
    world.tasks.lock().unwrap().abort_all();
    got
}

fn config(given: &Value, world: &Arc<World>) -> TransportConfig {
    known_keys(
        given,
        &[
            "max_idle_conns",
            "max_idle_conns_per_host",
            "max_conns_per_host",
            "disable_keep_alives",
            "idle_conn_timeout_ms",
            "dial_gate",
        ],
    );
    let limit = |key: &str| Some(given[key].as_i64().unwrap_or(0)).filter(|&limit| limit != 0);
    let gate = Gate { world: Arc::clone(world), gated: given["dial_gate"] == true };
    // Negative means none.
    let size = |limit: i64| usize::try_from(limit).unwrap_or(0);
    TransportConfig {
        max_idle_conns: limit("max_idle_conns").map_or(usize::MAX, size),
        max_idle_conns_per_host: limit("max_idle_conns_per_host").map_or(2, size),
        max_conns_per_host: limit("max_conns_per_host").map(size),
        idle_conn_timeout: millis(&given["idle_conn_timeout_ms"]).filter(|limit| !limit.is_zero()),
        disable_keep_alives: given["disable_keep_alives"] == true,
        connect: ConnectConfig { dial: Dialer::Custom(Arc::new(gate)), ..ConnectConfig::default() },
        events: Some(Arc::new(Books(Arc::clone(world)))),
        ..go_zero()
    }
}

/// Notes how many connections each host has open once nothing moves.
async fn sample(transport: &Transport, world: &World) {
    let end = Instant::now() + Duration::from_millis(150);
    let mut before = (world.look(|state| state.changes), Instant::now());
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let changes = world.look(|state| state.changes);
        if changes != before.0 {
            before = (changes, Instant::now());
        }
        let stats = transport.stats();
        let theirs: usize = world.look(|state| (0..state.conns.len()).map(|host| state.open(host)).sum());
        if before.1.elapsed() >= Duration::from_millis(4) && theirs == stats.idle + stats.in_use {
            break;
        }
    }
    world.change(|state| {
        for host in 0..state.conns.len() {
            state.max_open[host] = state.max_open[host].max(state.open(host));
        }
    });
}

async fn collect(case: &Value, world: &World) -> Got {
    let wanted = &case["want"]["hosts"];
    let hosts = || world.look(hosts);
    // Counts of open connections are eventual, and then they stay.
    if within(Duration::from_secs(3), || hosts() == *wanted).await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let hosts = hosts();
    let requests = world.look(|state| state.order.iter().map(|id| facts(id, &state.requests[id])).collect());
    Got { requests, hosts }
}

fn hosts(state: &State) -> Value {
    let dial = |dial: &DialState| match dial {
        DialState::Pending | DialState::Released { .. } => "pending",
        DialState::Done(how) => how,
    };
    let of = |host: usize| {
        json!({
            "accepted": state.conns[host].len(),
            "open": state.open(host),
            "max_open": state.max_open[host],
            "dials": state.dials[host].iter().map(dial).collect::<Vec<_>>(),
        })
    };
    (0..state.conns.len()).map(of).collect()
}

fn facts(id: &str, req: &Req) -> GotRequest {
    let mut facts = json!({"id": id, "attempts": req.attempts});
    match req.outcome {
        None => facts["outcome"] = json!("pending"),
        Some(Err(kind)) => {
            facts["outcome"] = json!("error");
            facts["error"] = json!(kind);
        }
        Some(Ok(status)) => {
            facts["outcome"] = json!("ok");
            facts["status"] = json!(status);
            facts["body_read"] = json!(req.read);
            facts["body_end"] = json!(req.end.as_deref().unwrap_or("untouched"));
        }
    }
    if req.attempts > 0 {
        facts["conn"] = json!(req.server_conn);
        facts["nth_on_conn"] = json!(req.nth);
    }
    if let Some((_, reused, idle, _)) = req.conn {
        facts["reused"] = json!(reused);
        facts["was_idle"] = json!(idle);
    }
    GotRequest { id: id.to_owned(), facts }
}
