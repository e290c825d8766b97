//! `pool.json`: scripts of requests against scripted servers, and which connection each request got.
//!
//! Two devices make the scripts exact. A server sends a body when the head before it has been received: a body that comes with its head
//! frees its connection at once, which Go does when it is read, and no script says how the bytes of a reply fall into segments. And a
//! `cancel` behind the head drops the body and cuts the connection under it, as Go's does; by itself dropping a body drains it, which
//! is a difference.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use roundtrip_transport::{
    ConnId, ConnectConfig, Dial, DialFuture, Dialer, Events, GotConn, PeerAddr, RequestOptions, RoundTripper, Target,
    Transport, TransportConfig,
};
use roundtrip_types::{Body, BodySender, Error, ErrorKind};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use super::peer::Socket;
use super::wire::{Control, Wire};
use super::{LIMIT, Run, Verdict, base64, count, go_zero, known_keys, millis, same_kind, slug, within};

const FILE: &str = "pool.json";

pub(crate) async fn run() {
    let mut run = Run::load(FILE, &["name", "tags", "transport", "hosts", "steps", "want", "note"]);
    run.play(|case| async move { check(&case).await }).await;
    run.finish();
}

async fn check(case: &Value) -> Verdict {
    if let Some(authority) = authorities(case).find(|name| !name.is_ascii()) {
        // RFC 3986: a URI is ASCII; whoever has a Unicode name converts it.
        return match format!("http://{authority}/").parse::<http::Uri>() {
            Err(_) => Verdict::Differs("unicode_host"),
            Ok(uri) => Verdict::Failed(format!("{uri} was taken for a URI")),
        };
    }
    let got = match play(case).await {
        Ok(got) => got,
        Err(why) => return Verdict::Failed(why),
    };
    let wrong = compare(case, &case["want"], &got);
    let canceled = canceled_behind_the_head(case);
    match wrong {
        Some(wrong) if differs_in_case(case) => one_spelling(case, &got).await.unwrap_or(Verdict::Failed(wrong)),
        Some(wrong) if case.to_string().contains("\"read_n\"") => {
            whole_pieces(case, &got).await.unwrap_or(Verdict::Failed(wrong))
        }
        Some(wrong) => Verdict::Failed(wrong),
        None if got.requests.iter().any(|one| canceled.contains(&one.id) && one.facts["body_end"] == "closed") => {
            Verdict::Differs("cancel_behind_the_head")
        }
        None => Verdict::Passed,
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
async fn one_spelling(case: &Value, got: &Got) -> Option<Verdict> {
    let mut alike = case.clone();
    for step in alike["steps"].as_array_mut().unwrap() {
        if let Some(name) = step["authority"].as_str().map(str::to_ascii_lowercase) {
            step["authority"] = json!(name);
        }
    }
    let with_one_spelling = play(&alike).await.ok()?;
    (with_one_spelling == *got).then_some(Verdict::Differs("host_case"))
}

/// The promise for a script that reads a body in part: the connections are used as if it had read all of the pieces that it was given.
async fn whole_pieces(case: &Value, got: &Got) -> Option<Verdict> {
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
    as_if.then_some(Verdict::Differs("read_in_pieces"))
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

/// Everything that the parts of a case tell each other.
struct World {
    state: Mutex<State>,
    news: Notify,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct State {
    /// Counts what happens at the servers.
    changes: u64,
    replies: HashMap<String, Value>,
    requests: HashMap<String, Req>,
    /// In the order of their start.
    order: Vec<String>,
    /// Gates that were opened, by request.
    open_gates: HashSet<(String, String)>,
    /// Host of each name, for the dialer.
    names: HashMap<String, usize>,
    addresses: Vec<SocketAddr>,
    /// By host.
    conns: Vec<Vec<ServerConn>>,
    dials: Vec<Vec<DialState>>,
    /// Which request uses a connection.
    holders: HashMap<ConnId, String>,
    wires: HashMap<SocketAddr, Arc<Control>>,
    max_open: Vec<usize>,
}

struct ServerConn {
    socket: Option<Arc<Socket>>,
    script: Option<AbortHandle>,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum DialState {
    Pending,
    Released { ok: bool },
    Done(&'static str),
}

#[derive(Default)]
struct Req {
    host: usize,
    asked: bool,
    /// The connection, whether it was opened for another, whether it lay idle; and its own address.
    conn: Option<(ConnId, bool, bool, Option<SocketAddr>)>,
    outcome: Option<Result<u16, &'static str>>,
    error: String,
    body: Option<Body>,
    left: BytesMut,
    read: usize,
    touched: bool,
    end: Option<String>,
    upload: Option<(BodySender, usize)>,
    call: Option<AbortHandle>,
    // what the server saw
    attempts: usize,
    seen: bool,
    server_conn: usize,
    nth: usize,
}

impl World {
    fn change<T>(&self, step: impl FnOnce(&mut State) -> T) -> T {
        let result = step(&mut self.state.lock().unwrap());
        self.news.notify_waiters();
        result
    }

    fn look<T>(&self, step: impl FnOnce(&State) -> T) -> T {
        step(&self.state.lock().unwrap())
    }

    async fn until(&self, mut done: impl FnMut(&State) -> bool) {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            if self.look(&mut done) {
                return;
            }
            news.await;
        }
    }

    /// A step that waits for an event.
    async fn wait(&self, step: &Value, done: impl FnMut(&State) -> bool) -> Result<(), String> {
        let waited = tokio::time::timeout(LIMIT, self.until(done)).await;
        waited.map_err(|_| format!("{step}: did not happen; {}", self.describe()))
    }

    fn describe(&self) -> String {
        self.look(|state| {
            let of = |id: &String| {
                let req = &state.requests[id];
                format!(
                    "{id}: asked {}, conn {:?}, outcome {:?} {}, server conn {}",
                    req.asked, req.conn, req.outcome, req.error, req.server_conn
                )
            };
            let requests: Vec<_> = state.order.iter().map(of).collect();
            let conns: Vec<Vec<bool>> =
                state.conns.iter().map(|conns| conns.iter().map(|conn| !conn.ended).collect()).collect();
            format!("requests [{}], connections open {conns:?}, dials {:?}", requests.join("; "), state.dials)
        })
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.tasks.lock().unwrap().spawn(task)
    }
}

impl State {
    fn request(&mut self, id: &str) -> &mut Req {
        self.requests.get_mut(id).expect("a request that was started")
    }

    fn open(&self, host: usize) -> usize {
        self.conns[host].iter().filter(|conn| !conn.ended).count()
    }

    /// Whether the connection of a request is still its own.
    fn is_held(&self, id: &str) -> bool {
        let conn = self.requests[id].conn.as_ref().map(|conn| conn.0);
        conn.is_some_and(|conn| self.holders.get(&conn).is_some_and(|holder| holder == id))
    }
}

/// Hears what becomes of connections.
struct Books(Arc<World>);

impl Events for Books {
    fn put_idle_conn(&self, conn: ConnId) {
        self.0.change(|state| state.holders.remove(&conn));
    }

    fn conn_closed(&self, conn: ConnId, _: roundtrip_transport::CloseReason) {
        self.0.change(|state| state.holders.remove(&conn));
    }
}

/// Hears what becomes of one request.
struct Told {
    id: String,
    world: Arc<World>,
}

impl Events for Told {
    fn get_conn(&self, _: &str) {
        self.world.change(|state| state.request(&self.id).asked = true);
    }

    fn got_conn(&self, _: &str, conn: &GotConn) {
        self.world.change(|state| {
            let own = if let PeerAddr::Ip(own) = conn.info.peer() { Some(*own) } else { None };
            state.request(&self.id).conn = Some((conn.id, conn.reused, conn.idle.is_some(), own));
            state.holders.insert(conn.id, self.id.clone());
        });
    }
}

/// Connects to the hosts of the case, when it is let.
struct Gate {
    world: Arc<World>,
    gated: bool,
}

impl Dial for Gate {
    fn dial<'a>(&'a self, target: &'a Target) -> DialFuture<'a> {
        Box::pin(async move {
            let name = target.host().to_ascii_lowercase();
            let first = if self.gated { DialState::Pending } else { DialState::Released { ok: true } };
            let (host, number, address) = self.world.change(|state| {
                let host = state.names[&name];
                state.dials[host].push(first);
                (host, state.dials[host].len() - 1, state.addresses[host])
            });
            let noted = Noted { world: Arc::clone(&self.world), host, number };
            let ended = |state: &State| state.dials[host][number] != DialState::Pending;
            self.world.until(ended).await;
            let ok = self.world.look(|state| state.dials[host][number]) == DialState::Released { ok: true };
            let connected =
                if ok { Wire::connect(address).await } else { Err(io::ErrorKind::ConnectionRefused.into()) };
            match connected {
                Ok((conn, own, control)) => {
                    noted.done("ok");
                    self.world.change(|state| state.wires.insert(own, control));
                    Ok(conn)
                }
                Err(error) => {
                    noted.done("failed");
                    Err(Error::new(ErrorKind::Connect, "refused by the case").with_cause(error))
                }
            }
        })
    }
}

/// A dial in progress; dropped, it was told to stop.
struct Noted {
    world: Arc<World>,
    host: usize,
    number: usize,
}

impl Noted {
    fn done(&self, how: &'static str) {
        self.world.change(|state| state.dials[self.host][self.number] = DialState::Done(how));
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.world.change(|state| {
            let dial = &mut state.dials[self.host][self.number];
            if !matches!(dial, DialState::Done(_)) {
                *dial = DialState::Done("canceled");
            }
        });
    }
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

async fn perform(step: &Value, transport: &Transport, world: &Arc<World>) -> Result<(), String> {
    let keys = [
        "do",
        "id",
        "host",
        "method",
        "reply",
        "body",
        "conn",
        "n",
        "gate",
        "dial",
        "result",
        "request_close",
        "data_b64",
        "ms",
        "authority",
    ];
    known_keys(step, &keys);
    let host = || count(&step["host"]);
    let id = || step["id"].as_str().expect("an id");
    let number = |key: &str| count(&step[key]);
    match step["do"].as_str().unwrap() {
        "start" => start(step, transport, world)?,
        "wait_head" => {
            world.wait(step, |state| state.requests[id()].outcome.is_some()).await?;
            if let Some(Err(_)) = world.look(|state| state.requests[id()].outcome) {
                return Err(format!("{step}: no head; {}", world.describe()));
            }
        }
        "wait_done" => world.wait(step, |state| state.requests[id()].outcome.is_some()).await?,
        "wait_seen" => world.wait(step, |state| state.requests[id()].seen).await?,
        "wait_queued" => {
            world.wait(step, |state| state.requests[id()].asked).await?;
            // One look around, so that whatever is at hand is taken.
            tokio::time::sleep(Duration::from_millis(2)).await;
            if world.look(|state| state.requests[id()].conn.is_some()) {
                return Err(format!("{step}: it was not queued; {}", world.describe()));
            }
        }
        "wait_back" => world.wait(step, |state| !state.is_held(id())).await?,
        "wait_closed" => {
            let (host, conn) = (host(), number("conn") - 1);
            world.wait(step, |state| state.conns[host].get(conn).is_some_and(|conn| conn.ended)).await?;
        }
        "wait_accepted" => {
            let (host, n) = (host(), number("n"));
            world.wait(step, |state| state.conns[host].len() >= n).await?;
        }
        "wait_open" => {
            let (host, n) = (host(), number("n"));
            world.wait(step, |state| state.open(host) == n).await?;
        }
        "wait_dial" => {
            let (host, dial) = (host(), number("dial"));
            world.wait(step, |state| state.dials[host].len() >= dial).await?;
        }
        "dial_release" => {
            let (host, dial, ok) = (host(), number("dial") - 1, step["result"] == "ok");
            world.change(|state| {
                let dial = &mut state.dials[host][dial];
                if *dial == DialState::Pending {
                    *dial = DialState::Released { ok };
                }
            });
            world.wait(step, |state| matches!(state.dials[host][dial], DialState::Done(_))).await?;
        }
        "release" => {
            let gate = (id().to_owned(), step["gate"].as_str().unwrap().to_owned());
            world.change(|state| state.open_gates.insert(gate));
        }
        "release_body" => {
            let upload = world.change(|state| state.request(id()).upload.take());
            let (mut sender, bytes) = upload.expect("a request with a gated body");
            // Nobody listens any more if the server has answered with a close.
            let _ = tokio::time::timeout(LIMIT, sender.send(vec![b'u'; bytes])).await;
            sender.finish();
        }
        "read" => read(step, world, None).await?,
        "read_n" => read(step, world, Some(number("n"))).await?,
        "close" => {
            let body = world.change(|state| {
                let req = state.request(id());
                if req.end.as_deref() != Some("eof") {
                    req.end = Some("closed".into());
                }
                req.left.clear();
                req.body.take()
            });
            drop(body);
        }
        "cancel" => cancel(id(), world).await,
        "close_idle" => transport.close_idle_connections(),
        "server_close" => world.look(|state| socket(state, host(), number("conn"))).fin(),
        "server_send" => {
            let socket = world.look(|state| socket(state, host(), number("conn")));
            // The client hangs up as soon as it sees it.
            let _ = socket.write(&base64(step["data_b64"].as_str().unwrap())).await;
        }
        "server_reset" => {
            world.change(|state| {
                let conn = &mut state.conns[host()][number("conn") - 1];
                conn.ended = true;
                if let Some(script) = conn.script.take() {
                    script.abort();
                }
                if let Some(socket) = conn.socket.take() {
                    socket.prepare_reset();
                }
                state.changes += 1;
            });
        }
        "settle" => tokio::time::sleep(Duration::from_millis(60)).await,
        "sleep" => tokio::time::sleep(millis(&step["ms"]).unwrap()).await,
        other => return Err(format!("unknown step {other}")),
    }
    Ok(())
}

fn socket(state: &State, host: usize, conn: usize) -> Arc<Socket> {
    state.conns[host][conn - 1].socket.clone().expect("a connection that was not reset")
}

fn start(step: &Value, transport: &Transport, world: &Arc<World>) -> Result<(), String> {
    let id = step["id"].as_str().unwrap().to_owned();
    let host = count(&step["host"]);
    let authority = step["authority"].as_str().map_or_else(|| format!("h{host}.test"), str::to_owned);
    let (body, upload) = request_body(&step["body"]);
    let mut builder = http::Request::builder();
    builder = builder.method(step["method"].as_str().unwrap()).uri(format!("http://{authority}/{id}"));
    if step["request_close"] == true {
        builder = builder.header("connection", "close");
    }
    if upload.is_some() {
        builder = builder.header("content-length", count(&step["body"]["bytes"]));
    }
    let mut request = builder.body(body).map_err(|error| format!("{step}: {error}"))?;
    let told = Told { id: id.clone(), world: Arc::clone(world) };
    request.extensions_mut().insert(RequestOptions { events: Some(Arc::new(told)), ..RequestOptions::default() });
    world.change(|state| {
        let name = request.uri().host().unwrap().to_ascii_lowercase();
        state.names.insert(name, host);
        state.replies.insert(id.clone(), step["reply"].clone());
        state.requests.insert(id.clone(), Req { host, upload, ..Req::default() });
        state.order.push(id.clone());
    });
    let (transport, within) = (transport.clone(), Arc::clone(world));
    let of = id.clone();
    let call = world.spawn(async move {
        let answer = transport.round_trip(request).await;
        drop(transport);
        within.change(|state| {
            let req = state.request(&of);
            match answer {
                Ok(response) => {
                    req.outcome = Some(Ok(response.status().as_u16()));
                    req.body = Some(response.into_body());
                }
                Err(error) => {
                    req.outcome = Some(Err(slug(&error)));
                    req.error = error.to_string();
                }
            }
        });
    });
    world.change(|state| state.request(&id).call = Some(call));
    Ok(())
}

fn request_body(given: &Value) -> (Body, Option<(BodySender, usize)>) {
    if given.is_null() {
        return (Body::empty(), None);
    }
    known_keys(given, &["bytes", "gated"]);
    let bytes = count(&given["bytes"]);
    if given["gated"] == true {
        let (sender, body) = Body::channel(1);
        return (body, Some((sender, bytes)));
    }
    (if bytes == 0 { Body::empty() } else { Body::from(vec![b'u'; bytes]) }, None)
}

/// Reads the body to its end, or `n` bytes of it.
async fn read(step: &Value, world: &World, n: Option<usize>) -> Result<(), String> {
    let id = step["id"].as_str().unwrap();
    let (body, mut left, sent_body) = world.change(|state| {
        let req = state.request(id);
        req.touched = true;
        (req.body.take(), std::mem::take(&mut req.left), req.upload.is_none())
    });
    // It was cancelled: there is nothing left to read.
    let Some(mut body) = body else { return Ok(()) };
    let mut taken = 0;
    let end = loop {
        let wanted = n.map_or(usize::MAX, |n| n - taken);
        if wanted == 0 {
            break None;
        }
        if !left.is_empty() {
            let piece = left.split_to(wanted.min(left.len()));
            taken += piece.len();
            continue;
        }
        let frame = tokio::time::timeout(LIMIT, body.frame()).await;
        match frame.map_err(|_| format!("{step}: the body does not end; {}", world.describe()))? {
            None => break Some("eof".to_owned()),
            Some(Ok(frame)) => left.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Some(Err(error)) => break Some(format!("error:{}", slug(&error))),
        }
    };
    let back = world.change(|state| {
        let back = !state.is_held(id);
        let req = state.request(id);
        req.read += taken;
        req.left = left;
        if end.is_some() {
            req.end.clone_from(&end);
        } else {
            req.end = Some("partial".into());
        }
        req.body = Some(body);
        back
    });
    if end.as_deref() == Some("eof") && sent_body && !back {
        return Err(format!("{step}: the end was reported before the connection was back"));
    }
    Ok(())
}

/// Drops what there is of a request; behind its head also cuts its connection, as Go's cancellation does.
async fn cancel(id: &str, world: &World) {
    let (wire, body, call) = world.change(|state| {
        let held = state.is_held(id);
        let own = state.requests[id].conn.as_ref().and_then(|conn| conn.3);
        let req = state.request(id);
        let call = req.call.take();
        if req.outcome.is_none() {
            req.outcome = Some(Err("canceled"));
            return (None, None, call);
        }
        if !held || req.body.is_none() {
            // Over already: nothing happens.
            return (None, None, None);
        }
        req.end = Some("closed".into());
        let body = req.body.take();
        (own.and_then(|own| state.wires.get(&own).cloned()), body, None)
    });
    if let Some(call) = call {
        call.abort();
        // The future is dropped when the task is next looked at.
        within(LIMIT, || call.is_finished()).await;
    }
    if let Some(wire) = wire {
        wire.cut();
    }
    drop(body);
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

async fn accept(world: Arc<World>, host: usize, listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let socket = Socket::new(stream);
        let number = world.change(|state| {
            let conn = ServerConn { socket: Some(Arc::clone(&socket)), script: None, ended: false };
            state.conns[host].push(conn);
            state.changes += 1;
            state.conns[host].len()
        });
        let (watched, noting) = (Arc::downgrade(&socket), Arc::clone(&world));
        let script = world.spawn(serve(Arc::clone(&world), host, number, socket));
        world.change(|state| state.conns[host][number - 1].script = Some(script));
        world.spawn(async move {
            // Held only while it is waited for, so that a reset can close the socket.
            while watched.upgrade().is_some_and(|socket| !socket.has_ended()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            noting.change(|state| {
                state.conns[host][number - 1].ended = true;
                state.changes += 1;
            });
        });
    }
}

/// Answers the requests of one connection as their scripts say.
async fn serve(world: Arc<World>, host: usize, number: usize, socket: Arc<Socket>) {
    let mut nth = 0;
    while let Some(head) = socket.head().await {
        nth += 1;
        let id = head.path.trim_start_matches('/').to_owned();
        let reply = world.change(|state| {
            state.changes += 1;
            let reply = state.replies[&id].clone();
            let req = state.request(&id);
            assert_eq!(req.host, host, "a request went to another host");
            req.attempts += 1;
            (req.server_conn, req.nth) = (number, nth);
            reply
        });
        let early = reply["early"] == true;
        if !early && socket.body(&head).await.is_none() {
            return;
        }
        world.change(|state| state.request(&id).seen = true);
        if answer(&world, &id, &reply, head.method == "HEAD", &socket).await.is_err() {
            return;
        }
        match reply["after"].as_str() {
            Some("fin") => socket.fin(),
            Some("rst") => {
                world.change(|state| {
                    state.conns[host][number - 1].socket = None;
                    state.conns[host][number - 1].ended = true;
                });
                socket.prepare_reset();
                return;
            }
            _ => {}
        }
        if early && socket.body(&head).await.is_none() {
            return;
        }
    }
}

/// Writes one reply. An error ends the connection's script.
async fn answer(world: &World, id: &str, reply: &Value, to_head: bool, socket: &Socket) -> io::Result<()> {
    known_keys(reply, &["status", "framing", "body", "first", "gate", "fail", "early", "connection", "proto", "after"]);
    let gate = async |name: &str| {
        if reply["gate"] == name {
            let gate = (id.to_owned(), name.to_owned());
            world.until(|state| state.open_gates.contains(&gate)).await;
        }
    };
    let cut = || {
        socket.fin();
        Err(io::ErrorKind::BrokenPipe.into())
    };
    let (status, length) = (count(&reply["status"]), count(&reply["body"]));
    let framing = reply["framing"].as_str().unwrap();
    gate("head").await;
    if reply["fail"] == "before_head" {
        return cut();
    }
    let mut head = format!("HTTP/{} {status} Status\r\n", reply["proto"].as_str().unwrap_or("1.1"));
    match framing {
        "length" => head += &format!("Content-Length: {length}\r\n"),
        "chunked" => head += "Transfer-Encoding: chunked\r\n",
        "until_close" | "none" => {}
        other => panic!("unknown framing {other}"),
    }
    if let Some(connection) = reply["connection"].as_str() {
        head += &format!("Connection: {connection}\r\n");
    }
    head += "\r\n";
    if reply["fail"] == "mid_head" {
        socket.write(&head.as_bytes()[..head.len() / 2]).await?;
        return cut();
    }
    socket.write(head.as_bytes()).await?;
    if to_head || framing == "none" || status == 204 || status == 304 {
        return Ok(());
    }
    world.until(|state| state.requests.get(id).is_none_or(|req| req.outcome.is_some())).await;
    let first = reply["first"].as_u64().map_or(0, |first| usize::try_from(first).unwrap()).min(length);
    socket.write(&piece(framing, first)).await?;
    if reply["fail"] == "mid_body" {
        return cut();
    }
    gate("body").await;
    socket.write(&piece(framing, length - first)).await?;
    match framing {
        "chunked" => socket.write(b"0\r\n\r\n").await?,
        "until_close" => socket.fin(),
        _ => {}
    }
    Ok(())
}

/// So many bytes of a body, on the wire.
fn piece(framing: &str, length: usize) -> Bytes {
    let data = vec![b'd'; length];
    if framing != "chunked" || length == 0 {
        return data.into();
    }
    let mut wire = format!("{length:x}\r\n").into_bytes();
    wire.extend_from_slice(&data);
    wire.extend_from_slice(b"\r\n");
    wire.into()
}
