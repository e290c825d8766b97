//! `conn_state.json` and `shutdown.json`: scripts of client actions against one server, and the states that it reports.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use roundtrip_server::{AbortHandler, ErrorLog, Hijacked, ResponseController, Server, StateHook};
use roundtrip_types::{Body, Handler, IntoResponse, MessageExt, Request, Response};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::http1::Replies;
use super::{replay, text};
use roundtrip_golden::{Outcome, base64, known_keys};

pub(crate) fn run_states() {
    replay("conn_state.json", &["name", "server", "steps", "want"], 16, |case| async move {
        if case["server"]["tls"] == true && cfg!(not(feature = "tls")) {
            return Outcome::Elsewhere("the feature tls, which is off");
        }
        let seen = play(&case).await;
        let got = json!(seen.states);
        if let Some(failed) = seen.failed {
            return Outcome::Failed(format!("{failed}; states {got}"));
        }
        if got == case["want"]["states"] {
            return Outcome::Passed;
        }
        // The client leaves in the middle of a body that the handler reads.
        let cut = case["steps"].as_array().unwrap().iter().any(|step| {
            step["b64"].as_str().map(base64).is_some_and(|bytes| {
                let sent = String::from_utf8_lossy(&bytes).into_owned();
                let length =
                    sent.split_once("Content-Length: ").and_then(|(_, rest)| rest.split("\r\n").next()?.parse().ok());
                let body = sent.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
                sent.starts_with("POST /read") && length.is_some_and(|length: usize| body < length)
            })
        });
        if cut && seen.states.values().all(|states| states == &["new", "active", "closed"]) {
            return Outcome::Differs("cut_body_is_never_idle");
        }
        Outcome::Failed(format!("states {got}, not {}", case["want"]["states"]))
    });
}

pub(crate) fn run_shutdown() {
    replay("shutdown.json", &["name", "server", "steps", "want"], 16, |case| async move {
        if case["server"]["tls"] == true && cfg!(not(feature = "tls")) {
            return Outcome::Elsewhere("the feature tls, which is off");
        }
        let seen = play(&case).await;
        if let Some(failed) = &seen.failed {
            return Outcome::Failed(format!("{failed}; {seen:?}"));
        }
        match (agrees(&case["want"], &seen), promised(&case, &seen)) {
            (Ok(()), _) => Outcome::Passed,
            (Err(_), Some(slug)) => Outcome::Differs(slug),
            (Err(why), None) => Outcome::Failed(why),
        }
    });
}

/// The difference that covers a case, if its promise was kept.
fn promised(case: &Value, seen: &Seen) -> Option<&'static str> {
    let steps = case["steps"].as_array().unwrap();
    let place = |what: &str| steps.iter().position(|step| step["do"] == what);
    let last = seen.checks.last()?;
    // A request that is sent while the server stops is answered, and is its connection's last.
    let late = place("shutdown").is_some_and(|stop| steps[stop..].iter().any(|step| step["do"] == "send"));
    let answered = last["conns"].as_array().unwrap().iter().all(|conn| {
        let last = |key: &str| conn[key].as_array().unwrap().last().cloned().unwrap_or(Value::Null);
        conn["closed"] == true
            && conn["statuses"].as_array().unwrap().iter().all(|status| *status == 200)
            && last("connection_headers") == "close"
            && last("states") == "closed"
            && conn["last_complete"] == true
    });
    if late && answered && last["shutdown"] == "ok" {
        return Some("late_request");
    }
    // Handlers end with their connection, and do not go on for a client that is cut off.
    let closed = place("server_close").is_some();
    let mut without = case["want"].clone();
    for check in without["checks"].as_array_mut().into_iter().flatten() {
        for conn in check["conns"].as_array_mut().into_iter().flatten() {
            let cut = conn["closed"] == true;
            let states = conn["states"].as_array_mut().unwrap();
            if closed && cut && states.last() == Some(&json!("active")) {
                states.push(json!("closed"));
            }
        }
    }
    if closed && agrees(&without, seen).is_ok() {
        return Some("close_drops_handlers");
    }
    None
}

fn agrees(want: &Value, seen: &Seen) -> Result<(), String> {
    known_keys(
        want,
        &[
            "checks",
            "shutdown_returned",
            "second_shutdown",
            "serve_returned",
            "serve_again",
            "new_connection",
            "on_shutdown_hooks_run",
        ],
    );
    let empty = Vec::new();
    let wanted = want["checks"].as_array().unwrap_or(&empty);
    if wanted.len() != seen.checks.len() {
        return Err(format!("{} checks, not {}", seen.checks.len(), wanted.len()));
    }
    for (n, (want, got)) in wanted.iter().zip(&seen.checks).enumerate() {
        known_keys(want, &["label", "shutdown", "conns"]);
        let (mut want, mut got) = (want.clone(), got.clone());
        if n + 1 < wanted.len() {
            // Handlers may be on their way to the next state.
            for conn in want["conns"].as_array_mut().unwrap().iter_mut().chain(got["conns"].as_array_mut().unwrap()) {
                known_keys(conn, &["conn", "closed", "statuses", "last_complete", "connection_headers", "states"]);
                conn.as_object_mut().unwrap().remove("states");
            }
        }
        for conn in want["conns"].as_array_mut().unwrap() {
            // Names of connection options have no case.
            let headers = conn["connection_headers"].to_string().to_lowercase();
            conn["connection_headers"] = serde_json::from_str(&headers).unwrap();
        }
        if want["shutdown"].is_null() {
            got.as_object_mut().unwrap().remove("shutdown");
        }
        if want != got {
            return Err(format!("check {}:\n    got  {got}\n    want {want}", want["label"]));
        }
    }
    for key in [
        "shutdown_returned",
        "second_shutdown",
        "serve_returned",
        "serve_again",
        "new_connection",
        "on_shutdown_hooks_run",
    ] {
        let got = seen.results.get(key).cloned().unwrap_or(Value::Null);
        if want[key] != got {
            return Err(format!("{key} {got}, not {}", want[key]));
        }
    }
    Ok(())
}

/// An address of loopback for one case alone, where there are many: a port that a case has given back is not taken by another one
/// then, which would accept what has to be refused.
fn own_address() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    if cfg!(target_os = "linux") {
        // More than 250 cases share some, one after the other.
        IpAddr::from([127, 77, 0, 1 + NEXT.fetch_add(1, Ordering::Relaxed) % 250])
    } else {
        IpAddr::from([127, 0, 0, 1])
    }
}

#[derive(Debug, Default)]
struct Seen {
    states: BTreeMap<String, Vec<String>>,
    checks: Vec<Value>,
    results: BTreeMap<&'static str, Value>,
    failed: Option<String>,
}

type States = watch::Sender<BTreeMap<SocketAddr, Vec<String>>>;

struct Client {
    stream: Arc<TcpStream>,
    addr: SocketAddr,
    got: watch::Receiver<(Vec<u8>, bool)>,
    collector: JoinHandle<()>,
}

async fn play(case: &Value) -> Seen {
    known_keys(
        &case["server"],
        &[
            "max_header_bytes",
            "read_header_timeout_ms",
            "read_timeout_ms",
            "write_timeout_ms",
            "idle_timeout_ms",
            "tls",
        ],
    );
    let states: Arc<States> = Arc::new(watch::Sender::new(BTreeMap::new()));
    let gates = watch::Sender::new(HashSet::new());
    let kept = Arc::new(Mutex::new(Vec::new()));
    let mut config = super::server_config(&case["server"]);
    config.error_log = ErrorLog::none();
    config.on_state = StateHook::new({
        let states = Arc::clone(&states);
        move |info, state| {
            let addr = info.remote.tcp().unwrap();
            states.send_modify(|states| states.entry(addr).or_default().push(state.to_string()));
        }
    });
    let server = Server::with_config(
        {
            let (gates, kept) = (gates.clone(), Arc::clone(&kept));
            move |req: Request| handle(req, gates.subscribe(), Arc::clone(&kept))
        },
        config,
    );
    let listener = server.listen(SocketAddr::new(own_address(), 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    #[cfg(feature = "tls")]
    let identity = (case["server"]["tls"] == true).then(super::tls::Identity::new);
    #[cfg(feature = "tls")]
    let serving = match &identity {
        Some(identity) => tokio::spawn(server.serve_tls(listener, identity.server.clone())),
        None => tokio::spawn(server.serve(listener)),
    };
    #[cfg(not(feature = "tls"))]
    let serving = tokio::spawn(server.serve(listener));
    let hooks = Arc::new(Mutex::new(0));
    server.on_shutdown({
        let hooks = Arc::clone(&hooks);
        move || *hooks.lock().unwrap() += 1
    });
    let mut play = Play {
        server,
        addr,
        serving,
        states,
        gates,
        hooks,
        clients: BTreeMap::new(),
        shutdown: None,
        first_shutdown: Arc::default(),
        seen: Seen::default(),
        #[cfg(feature = "tls")]
        identity,
    };
    for step in case["steps"].as_array().unwrap() {
        if let Err(why) = play.step(step).await {
            play.seen.failed = Some(format!("{step}: {why}"));
            break;
        }
        sleep(Duration::from_millis(15)).await;
    }
    play.finish().await
}

struct Play<H> {
    server: Server<H>,
    addr: SocketAddr,
    serving: JoinHandle<roundtrip_server::Result<()>>,
    states: Arc<States>,
    gates: watch::Sender<HashSet<String>>,
    hooks: Arc<Mutex<u32>>,
    clients: BTreeMap<String, Client>,
    shutdown: Option<JoinHandle<&'static str>>,
    first_shutdown: Arc<Mutex<Option<&'static str>>>,
    seen: Seen,
    #[cfg(feature = "tls")]
    identity: Option<super::tls::Identity>,
}

const LIMIT: Duration = Duration::from_secs(3);

impl<H: Handler> Play<H> {
    async fn step(&mut self, step: &Value) -> Result<(), String> {
        let name = step["conn"].as_str().unwrap_or("").to_owned();
        match text(step, "do") {
            "open" => {
                known_keys(step, &["do", "conn", "state"]);
                let client = match step["state"].as_str() {
                    #[cfg(feature = "tls")]
                    Some("handshake") => {
                        let (stream, seen) = self.identity.as_ref().unwrap().connect(self.addr).await;
                        Client::on(stream, seen)
                    }
                    None => {
                        let stream = TcpStream::connect(self.addr).await.unwrap();
                        let seen = stream.local_addr().unwrap();
                        Client::on(stream, seen)
                    }
                    Some(other) => return Err(format!("a state that this runner does not know: {other}")),
                };
                let addr = client.addr;
                self.clients.insert(name, client);
                wait(self.states.subscribe(), |states| states.contains_key(&addr)).await?;
            }
            "send" => {
                let bytes = base64(text(step, "b64"));
                // The server may have hung up.
                let _ = timeout(LIMIT, self.client(&name).send(&bytes)).await;
            }
            "wait_responses" => {
                let n = usize::try_from(step["n"].as_u64().unwrap()).unwrap();
                let got = self.client(&name).got.clone();
                wait(got, |(bytes, ended)| complete(bytes, *ended) >= n || *ended).await?;
            }
            "wait_state" => {
                let (addr, state) = (self.client(&name).addr, text(step, "state").to_owned());
                let last = |states: &BTreeMap<SocketAddr, Vec<String>>| {
                    states.get(&addr).and_then(|s| s.last()) == Some(&state)
                };
                wait(self.states.subscribe(), last).await?;
            }
            "wait_closed" => wait(self.client(&name).got.clone(), |(_, ended)| *ended).await?,
            "half_close" => {
                let _ = socket2::SockRef::from(&*self.client(&name).stream).shutdown(std::net::Shutdown::Write);
            }
            "close" => self.client_mut(&name).close(false).await,
            "reset" => self.client_mut(&name).close(true).await,
            "settle" => sleep(Duration::from_millis(60)).await,
            "pause" => sleep(Duration::from_millis(step["ms"].as_u64().unwrap())).await,
            "release" => {
                let gate = text(step, "gate").to_owned();
                self.gates.send_modify(|gates| {
                    gates.insert(gate);
                });
            }
            "keep_alives_off" => self.server.set_keep_alives(false),
            "shutdown" => {
                let (server, deadline) = (self.server.clone(), step["deadline_ms"].as_u64());
                let first = Arc::clone(&self.first_shutdown);
                first.lock().unwrap().get_or_insert("pending");
                self.shutdown = Some(tokio::spawn(async move {
                    let returned = shut_down(server, deadline).await;
                    *first.lock().unwrap() = Some(returned);
                    returned
                }));
                sleep(Duration::from_millis(60)).await;
            }
            "wait_shutdown" => {
                let shutdown = self.shutdown.take().unwrap();
                let returned =
                    timeout(Duration::from_secs(9), shutdown).await.map_err(|_| "shutdown did not return")?;
                let returned = returned.unwrap();
                self.seen.results.entry("shutdown_returned").or_insert(json!(returned));
            }
            "shutdown_again" => {
                let again = shut_down(self.server.clone(), Some(300)).await;
                self.seen.results.insert("second_shutdown", json!(again));
            }
            "server_close" => {
                self.server.close().await;
                self.seen.results.insert("shutdown_returned", json!("ok"));
            }
            "serve_result" => {
                let served = timeout(LIMIT, &mut self.serving).await.map_err(|_| "serve did not return")?.unwrap();
                // `Ok` is our word for Go's ErrServerClosed.
                self.seen
                    .results
                    .insert("serve_returned", json!(if served.is_ok() { "server_closed" } else { "error" }));
            }
            "serve_again" => {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                let addr = listener.local_addr().unwrap();
                let error = timeout(LIMIT, self.server.serve(listener)).await.map_err(|_| "serve did not return")?;
                let mut got =
                    if error.is_err_and(|error| error.is_closed()) { "server_closed" } else { "?" }.to_owned();
                if TcpStream::connect(addr).await.is_err() {
                    got += ",listener_closed";
                }
                self.seen.results.insert("serve_again", json!(got));
            }
            "hooks" => {
                self.seen.results.insert("on_shutdown_hooks_run", json!(*self.hooks.lock().unwrap()));
            }
            "new_connection" => {
                let refused = TcpStream::connect(self.addr).await.is_err();
                self.seen.results.insert("new_connection", json!(if refused { "refused" } else { "accepted" }));
            }
            "check" => {
                sleep(Duration::from_millis(60)).await;
                self.check(text(step, "label"));
            }
            other => return Err(format!("a step that this runner does not know: {other}")),
        }
        Ok(())
    }

    fn client(&self, name: &str) -> &Client {
        &self.clients[name]
    }

    fn client_mut(&mut self, name: &str) -> &mut Client {
        self.clients.get_mut(name).unwrap()
    }

    fn states_of(&self, client: &Client) -> Vec<String> {
        self.states.borrow().get(&client.addr).cloned().unwrap_or_default()
    }

    fn check(&mut self, label: &str) {
        let shutdown = self.first_shutdown.lock().unwrap().map_or(Value::Null, |state| json!(state));
        let conns: Vec<_> = self
            .clients
            .iter()
            .map(|(name, client)| {
                let (bytes, ended) = client.got.borrow().clone();
                let replies = Replies::parse(&bytes, |_, _| false, ended).replies;
                json!({
                    "conn": name,
                    "closed": ended,
                    "statuses": replies.iter().map(|reply| reply.status).collect::<Vec<_>>(),
                    "last_complete": replies.last().is_some_and(|reply| reply.complete),
                    "connection_headers": replies.iter().map(|reply| reply.header("connection").to_lowercase()).collect::<Vec<_>>(),
                    "states": self.states_of(client),
                })
            })
            .collect();
        self.seen.checks.push(json!({"label": label, "shutdown": shutdown, "conns": conns}));
    }

    async fn finish(mut self) -> Seen {
        for (name, client) in &self.clients {
            self.seen.states.insert(name.clone(), self.states_of(client));
        }
        self.server.close().await;
        self.serving.abort();
        self.seen
    }
}

async fn shut_down<H: Handler>(server: Server<H>, deadline: Option<u64>) -> &'static str {
    // As Go's, which leaves connections be when its context ends: the future is dropped.
    let deadline = deadline.map_or(Duration::from_secs(60), Duration::from_millis);
    match timeout(deadline, server.shutdown(Duration::MAX)).await {
        Ok(_) => "ok",
        Err(_) => "deadline",
    }
}

async fn wait<T>(mut value: watch::Receiver<T>, is: impl FnMut(&T) -> bool) -> Result<(), String> {
    match timeout(LIMIT, value.wait_for(is)).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err("it did not come".into()),
    }
}

fn complete(bytes: &[u8], ended: bool) -> usize {
    Replies::parse(bytes, |_, _| false, ended).replies.iter().filter(|reply| reply.complete).count()
}

impl Client {
    /// A client on `stream`, which the server sees come from `addr`.
    fn on(stream: TcpStream, addr: SocketAddr) -> Self {
        stream.set_nodelay(true).unwrap();
        let stream = Arc::new(stream);
        let (got_in, got) = watch::channel((Vec::new(), false));
        let collector = tokio::spawn({
            let stream = Arc::clone(&stream);
            async move {
                let mut piece = vec![0; 64 << 10];
                loop {
                    stream.readable().await.unwrap();
                    match stream.try_read(&mut piece) {
                        Ok(n) if n > 0 => got_in.send_modify(|(bytes, _)| bytes.extend_from_slice(&piece[..n])),
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                        _ => break,
                    }
                }
                got_in.send_modify(|(_, ended)| *ended = true);
                std::future::pending().await
            }
        });
        Client { stream, addr, got, collector }
    }

    async fn send(&self, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn close(&mut self, reset: bool) {
        if reset {
            self.stream.set_zero_linger().unwrap();
        }
        self.collector.abort();
        let _ = (&mut self.collector).await;
        // Another stream takes its place, so that this one is closed now.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        self.stream = Arc::new(other);
    }
}

async fn handle(
    req: Request,
    mut gates: watch::Receiver<HashSet<String>>,
    kept: Arc<Mutex<Vec<Hijacked>>>,
) -> Response {
    let gate = req.uri().query().and_then(|query| query.strip_prefix("g=")).unwrap_or("").to_owned();
    let control = ResponseController::current().unwrap();
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: script\r\n\r\n";
    match req.uri().path() {
        "/ok" => "ok".into_response(),
        "/hold" => {
            gates.wait_for(|gates| gates.contains(&gate)).await.unwrap();
            "held".into_response()
        }
        "/flush_hold" => {
            let (mut sender, body) = Body::channel(2);
            sender.send("half").await.unwrap();
            tokio::spawn(async move {
                gates.wait_for(|gates| gates.contains(&gate)).await.unwrap();
                // The client may be gone.
                let _ = sender.send("rest").await;
                sender.finish();
            });
            body.into_response()
        }
        "/read" => match req.bytes().await {
            Ok(bytes) => format!("read {}", bytes.len()).into_response(),
            Err(_) => (StatusCode::BAD_REQUEST, "bad body").into_response(),
        },
        "/panic" => std::panic::panic_any(AbortHandler),
        "/close" => ([("connection", "close")], "last").into_response(),
        "/nothing" => StatusCode::NO_CONTENT.into_response(),
        "/hijack" => {
            let mut stream = control.hijack().await.unwrap();
            stream.write_all(switch).await.unwrap();
            kept.lock().unwrap().push(stream);
            ().into_response()
        }
        "/hijack_close" => {
            let mut stream = control.hijack().await.unwrap();
            stream.write_all(switch).await.unwrap();
            ().into_response()
        }
        "/hijack_panic" => {
            let mut stream = control.hijack().await.unwrap();
            stream.write_all(switch).await.unwrap();
            kept.lock().unwrap().push(stream);
            std::panic::panic_any(AbortHandler)
        }
        _ => (StatusCode::NOT_FOUND, "404 page not found").into_response(),
    }
}
