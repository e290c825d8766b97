//! What the parts of a case share: what was asked, given, dialed and seen.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use roundtrip_transport::{CloseReason, ConnId, Dial, DialFuture, Events, GotConn, PeerAddr, Target};
use roundtrip_types::{Body, BodySender, Error, ErrorKind};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use super::super::LIMIT;
use super::super::peer::Socket;
use super::super::wire::{Control, Wire};

/// Everything that the parts of a case tell each other.
pub(super) struct World {
    pub(super) state: Mutex<State>,
    pub(super) news: Notify,
    pub(super) tasks: Mutex<JoinSet<()>>,
}

#[derive(Default)]
pub(super) struct State {
    /// Counts what happens at the servers.
    pub(super) changes: u64,
    pub(super) replies: HashMap<String, Value>,
    pub(super) requests: HashMap<String, Req>,
    /// In the order of their start.
    pub(super) order: Vec<String>,
    /// Gates that were opened, by request.
    pub(super) open_gates: HashSet<(String, String)>,
    /// Host of each name, for the dialer.
    pub(super) names: HashMap<String, usize>,
    pub(super) addresses: Vec<SocketAddr>,
    /// By host.
    pub(super) conns: Vec<Vec<ServerConn>>,
    pub(super) dials: Vec<Vec<DialState>>,
    /// Which request uses a connection.
    pub(super) holders: HashMap<ConnId, String>,
    pub(super) wires: HashMap<SocketAddr, Arc<Control>>,
    pub(super) max_open: Vec<usize>,
}

pub(super) struct ServerConn {
    pub(super) socket: Option<Arc<Socket>>,
    pub(super) script: Option<AbortHandle>,
    pub(super) ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum DialState {
    Pending,
    Released { ok: bool },
    Done(&'static str),
}

#[derive(Default)]
pub(super) struct Req {
    pub(super) host: usize,
    pub(super) asked: bool,
    /// The connection, whether it was opened for another, whether it lay idle; and its own address.
    pub(super) conn: Option<(ConnId, bool, bool, Option<SocketAddr>)>,
    pub(super) outcome: Option<Result<u16, &'static str>>,
    pub(super) error: String,
    pub(super) body: Option<Body>,
    pub(super) left: BytesMut,
    pub(super) read: usize,
    pub(super) touched: bool,
    pub(super) end: Option<String>,
    pub(super) upload: Option<(BodySender, usize)>,
    pub(super) call: Option<AbortHandle>,
    // what the server saw
    pub(super) attempts: usize,
    pub(super) seen: bool,
    pub(super) server_conn: usize,
    pub(super) nth: usize,
}

impl World {
    pub(super) fn change<T>(&self, step: impl FnOnce(&mut State) -> T) -> T {
        let result = step(&mut self.state.lock().unwrap());
        self.news.notify_waiters();
        result
    }

    pub(super) fn look<T>(&self, step: impl FnOnce(&State) -> T) -> T {
        step(&self.state.lock().unwrap())
    }

    pub(super) async fn until(&self, mut done: impl FnMut(&State) -> bool) {
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
    pub(super) async fn wait(&self, step: &Value, done: impl FnMut(&State) -> bool) -> Result<(), String> {
        let waited = tokio::time::timeout(LIMIT, self.until(done)).await;
        waited.map_err(|_| format!("{step}: did not happen; {}", self.describe()))
    }

    pub(super) fn describe(&self) -> String {
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

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.tasks.lock().unwrap().spawn(task)
    }
}

impl State {
    pub(super) fn request(&mut self, id: &str) -> &mut Req {
        self.requests.get_mut(id).expect("a request that was started")
    }

    pub(super) fn open(&self, host: usize) -> usize {
        self.conns[host].iter().filter(|conn| !conn.ended).count()
    }

    /// Whether the connection of a request is still its own.
    pub(super) fn is_held(&self, id: &str) -> bool {
        let conn = self.requests[id].conn.as_ref().map(|conn| conn.0);
        conn.is_some_and(|conn| self.holders.get(&conn).is_some_and(|holder| holder == id))
    }
}

/// Hears what becomes of connections.
pub(super) struct Books(pub(super) Arc<World>);

impl Events for Books {
    fn put_idle_conn(&self, conn: ConnId) {
        self.0.change(|state| state.holders.remove(&conn));
    }

    fn conn_closed(&self, conn: ConnId, _: CloseReason) {
        self.0.change(|state| state.holders.remove(&conn));
    }
}

/// Hears what becomes of one request.
pub(super) struct Told {
    pub(super) id: String,
    pub(super) world: Arc<World>,
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
pub(super) struct Gate {
    pub(super) world: Arc<World>,
    pub(super) gated: bool,
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
pub(super) struct Noted {
    pub(super) world: Arc<World>,
    pub(super) host: usize,
    pub(super) number: usize,
}

impl Noted {
    pub(super) fn done(&self, how: &'static str) {
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
