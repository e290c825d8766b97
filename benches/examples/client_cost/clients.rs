//! The clients that are compared. Each makes the same request in the way its own documentation shows.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use roundtrip_client::{Client, ClientConfig, MemoryJar};
use roundtrip_transport::{RoundTripper, Transport};
use roundtrip_types::{Body, MessageExt};
use tokio::runtime::{Builder, Runtime};

/// Something that sends requests.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    kind: Kind,
}

enum Kind {
    /// Makes a client; each call of that is one request.
    Async(fn(&str) -> Connecting),
    /// Does so many requests.
    #[cfg_attr(not(feature = "peers"), expect(dead_code, reason = "only peers block"))]
    Blocking(fn(&str, u64) -> Result<(), String>),
}

type Connecting = Pin<Box<dyn Future<Output = Result<Send, String>> + std::marker::Send>>;
type Send = Arc<dyn Fn() -> Sending + std::marker::Send + Sync>;
type Sending = Pin<Box<dyn Future<Output = Result<usize, String>> + std::marker::Send>>;

/// The length of the body that everybody has to get.
const BODY: usize = 19;

pub(crate) fn all() -> Vec<Contestant> {
    let ours = [
        Contestant { name: "socket", kind: Kind::Async(socket) },
        Contestant { name: "hyper", kind: Kind::Async(hyper) },
        Contestant { name: "transport", kind: Kind::Async(transport) },
        Contestant { name: "client", kind: Kind::Async(client) },
        Contestant { name: "client-session", kind: Kind::Async(client_session) },
        Contestant { name: "client-json", kind: Kind::Async(client_json) },
    ];
    ours.into_iter().chain(peers::all()).collect()
}

pub(crate) fn find(name: &str) -> Result<Contestant, String> {
    all().into_iter().find(|contestant| contestant.name == name).ok_or_else(|| {
        let known: Vec<_> = all().iter().map(|contestant| contestant.name).collect();
        format!("no client is called {name:?}; there are {}", known.join(", "))
    })
}

impl Contestant {
    /// One request after the other, on the runtime's own thread.
    pub(crate) fn run(&self, addr: &str, requests: u64) -> Result<(), String> {
        match self.kind {
            Kind::Blocking(run) => run(addr, requests),
            Kind::Async(connect) => {
                let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
                sequence(&runtime, connect, addr, requests)
            }
        }
    }

    /// One request after the other, from the main task of a runtime of two workers.
    pub(crate) fn run_from_main(&self, addr: &str, requests: u64) -> Result<bool, String> {
        let Kind::Async(connect) = self.kind else { return Ok(false) };
        sequence(&two_workers()?, connect, addr, requests).map(|()| true)
    }

    /// Many requests at once, by tasks of a runtime of two workers.
    pub(crate) fn run_many(&self, addr: &str, requests: u64, tasks: u64) -> Result<bool, String> {
        let Kind::Async(connect) = self.kind else { return Ok(false) };
        if matches!(self.name, "hyper" | "socket") {
            // They have one connection; each task has its own.
            return two_workers()?.block_on(async {
                let mut running = Vec::new();
                for _ in 0..tasks {
                    running.push(tokio::spawn(repeat(connect(addr).await?, requests / tasks)));
                }
                join(running).await
            });
        }
        two_workers()?.block_on(async {
            let send = connect(addr).await?;
            join((0..tasks).map(|_| tokio::spawn(repeat(Arc::clone(&send), requests / tasks))).collect()).await
        })
    }
}

async fn repeat(send: Send, requests: u64) -> Result<(), String> {
    for _ in 0..requests {
        check(send().await?)?;
    }
    Ok(())
}

async fn join(running: Vec<tokio::task::JoinHandle<Result<(), String>>>) -> Result<bool, String> {
    for task in running {
        task.await.map_err(|error| error.to_string())??;
    }
    Ok(true)
}

fn two_workers() -> Result<Runtime, String> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|error| error.to_string())
}

fn sequence(runtime: &Runtime, connect: fn(&str) -> Connecting, addr: &str, requests: u64) -> Result<(), String> {
    runtime.block_on(async {
        let send = connect(addr).await?;
        for _ in 0..requests {
            check(send().await?)?;
        }
        Ok(())
    })
}

fn check(length: usize) -> Result<(), String> {
    if length == BODY { Ok(()) } else { Err(format!("the body has {length} bytes instead of {BODY}")) }
}

/// A loop around a socket: what the runtime and the system cost.
fn socket(addr: &str) -> Connecting {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let addr = addr.to_owned();
    Box::pin(async move {
        let stream = tokio::net::TcpStream::connect(&addr).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let request = format!("GET / HTTP/1.1\r\nhost: {addr}\r\n\r\n");
        let shared = Arc::new(tokio::sync::Mutex::new((stream, request, [0; 4096])));
        Ok(Arc::new(move || {
            let shared = Arc::clone(&shared);
            Box::pin(async move {
                let (stream, request, buf) = &mut *shared.lock().await;
                stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
                let count = stream.read(buf).await.map_err(|error| error.to_string())?;
                let end = buf[..count].windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(count);
                Ok(count - end - 4)
            }) as Sending
        }) as Send)
    })
}

/// hyper's connection, driven by a task as its documentation shows.
fn hyper(addr: &str) -> Connecting {
    use http_body_util::BodyExt as _;

    let addr = addr.to_owned();
    Box::pin(async move {
        let stream = tokio::net::TcpStream::connect(&addr).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let io = tokio_io::TokioIo::new(stream);
        let (sender, connection) =
            hyper::client::conn::http1::handshake(io).await.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        let sender = Arc::new(tokio::sync::Mutex::new(sender));
        Ok(Arc::new(move || {
            let (sender, addr) = (Arc::clone(&sender), addr.clone());
            Box::pin(async move {
                let request = http::Request::get("/").header("host", addr);
                let request = request.body(http_body_util::Empty::<bytes::Bytes>::new());
                let request = request.map_err(|error| error.to_string())?;
                let sender = &mut *sender.lock().await;
                sender.ready().await.map_err(|error| error.to_string())?;
                let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
                let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
                Ok(body.to_bytes().len())
            }) as Sending
        }) as Send)
    })
}

fn transport(addr: &str) -> Connecting {
    let uri: http::Uri = format!("http://{addr}/").parse().expect("an address makes a URI");
    Box::pin(async move {
        let transport = Transport::new();
        Ok(Arc::new(move || {
            let (transport, uri) = (transport.clone(), uri.clone());
            Box::pin(async move {
                let request = http::Request::get(uri).body(Body::empty()).map_err(|error| error.to_string())?;
                let response = transport.round_trip(request).await.map_err(|error| error.to_string())?;
                Ok(response.bytes().await.map_err(|error| error.to_string())?.len())
            }) as Sending
        }) as Send)
    })
}

/// From the text of a URL to the text of the body.
fn client(addr: &str) -> Connecting {
    let url: Arc<str> = format!("http://{addr}/").into();
    Box::pin(async move {
        let client = Client::new();
        Ok(Arc::new(move || {
            let (client, url) = (client.clone(), Arc::clone(&url));
            Box::pin(async move {
                let response = client.get(&*url).await.map_err(|error| error.to_string())?;
                Ok(response.text().await.map_err(|error| error.to_string())?.len())
            }) as Sending
        }) as Send)
    })
}

/// The same with cookies and a limit on time.
fn client_session(addr: &str) -> Connecting {
    let url: Arc<str> = format!("http://{addr}/").into();
    Box::pin(async move {
        let config = ClientConfig {
            jar: Some(Arc::new(MemoryJar::new())),
            timeout: Some(Duration::from_secs(30)),
            ..ClientConfig::default()
        };
        let client = Client::with_config(Transport::new(), config);
        Ok(Arc::new(move || {
            let (client, url) = (client.clone(), Arc::clone(&url));
            Box::pin(async move {
                let response = client.get(&*url).await.map_err(|error| error.to_string())?;
                Ok(response.text().await.map_err(|error| error.to_string())?.len())
            }) as Sending
        }) as Send)
    })
}

/// A POST of a small JSON document.
fn client_json(addr: &str) -> Connecting {
    let url: Arc<str> = format!("http://{addr}/").into();
    Box::pin(async move {
        let client = Client::new();
        Ok(Arc::new(move || {
            let (client, url) = (client.clone(), Arc::clone(&url));
            Box::pin(async move {
                let response = client.post(&*url).json(&document()).await.map_err(|error| error.to_string())?;
                Ok(response.text().await.map_err(|error| error.to_string())?.len())
            }) as Sending
        }) as Send)
    })
}

/// What is posted.
fn document() -> BTreeMap<&'static str, u32> {
    BTreeMap::from([("x", 1), ("y", 2)])
}

/// tokio's streams as hyper wants them.
mod tokio_io {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::rt::{Read, ReadBufCursor, Write};
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    use tokio::net::TcpStream;

    pub(super) struct TokioIo {
        stream: TcpStream,
        /// hyper's buffer may be uninitialised, which safe code cannot fill in place.
        buf: Box<[u8; 8192]>,
    }

    impl TokioIo {
        pub(super) fn new(stream: TcpStream) -> Self {
            TokioIo { stream, buf: Box::new([0; 8192]) }
        }
    }

    impl Read for TokioIo {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            mut cursor: ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            let TokioIo { stream, buf } = &mut *self;
            let room = cursor.remaining().min(buf.len());
            let mut read = ReadBuf::new(&mut buf[..room]);
            let done = Pin::new(stream).poll_read(cx, &mut read);
            if done.is_ready() {
                cursor.put_slice(read.filled());
            }
            done
        }
    }

    impl Write for TokioIo {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.stream).poll_write(cx, data)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(cx)
        }
    }
}

#[cfg(not(feature = "peers"))]
mod peers {
    /// They are built with the feature `peers`.
    pub(super) fn all() -> Vec<super::Contestant> {
        Vec::new()
    }
}

#[cfg(feature = "peers")]
mod peers {
    use super::*;

    pub(super) fn all() -> Vec<Contestant> {
        vec![
            Contestant { name: "hyper-util", kind: Kind::Async(hyper_util) },
            Contestant { name: "reqwest", kind: Kind::Async(reqwest) },
            Contestant { name: "reqwest-session", kind: Kind::Async(reqwest_session) },
            Contestant { name: "reqwest-json", kind: Kind::Async(reqwest_json) },
            Contestant { name: "ureq", kind: Kind::Blocking(ureq) },
        ]
    }

    fn hyper_util(addr: &str) -> Connecting {
        use http_body_util::BodyExt as _;
        use hyper_util::client::legacy::Client;
        use hyper_util::client::legacy::connect::HttpConnector;
        use hyper_util::rt::TokioExecutor;

        let uri: http::Uri = format!("http://{addr}/").parse().expect("an address makes a URI");
        Box::pin(async move {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            let client: Client<_, http_body_util::Empty<bytes::Bytes>> =
                Client::builder(TokioExecutor::new()).build(connector);
            Ok(Arc::new(move || {
                let (client, uri) = (client.clone(), uri.clone());
                Box::pin(async move {
                    let response = client.get(uri).await.map_err(|error| error.to_string())?;
                    let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
                    Ok(body.to_bytes().len())
                }) as Sending
            }) as Send)
        })
    }

    fn reqwest(addr: &str) -> Connecting {
        let url: Arc<str> = format!("http://{addr}/").into();
        Box::pin(async move {
            let client = reqwest::Client::new();
            Ok(Arc::new(move || {
                let (client, url) = (client.clone(), Arc::clone(&url));
                Box::pin(async move {
                    let response = client.get(&*url).send().await.map_err(|error| error.to_string())?;
                    Ok(response.text().await.map_err(|error| error.to_string())?.len())
                }) as Sending
            }) as Send)
        })
    }

    fn reqwest_session(addr: &str) -> Connecting {
        let url: Arc<str> = format!("http://{addr}/").into();
        Box::pin(async move {
            let client = reqwest::Client::builder().cookie_store(true).timeout(Duration::from_secs(30)).build();
            let client = client.map_err(|error| error.to_string())?;
            Ok(Arc::new(move || {
                let (client, url) = (client.clone(), Arc::clone(&url));
                Box::pin(async move {
                    let response = client.get(&*url).send().await.map_err(|error| error.to_string())?;
                    Ok(response.text().await.map_err(|error| error.to_string())?.len())
                }) as Sending
            }) as Send)
        })
    }

    fn reqwest_json(addr: &str) -> Connecting {
        let url: Arc<str> = format!("http://{addr}/").into();
        Box::pin(async move {
            let client = reqwest::Client::new();
            Ok(Arc::new(move || {
                let (client, url) = (client.clone(), Arc::clone(&url));
                Box::pin(async move {
                    let request = client.post(&*url).json(&document());
                    let response = request.send().await.map_err(|error| error.to_string())?;
                    Ok(response.text().await.map_err(|error| error.to_string())?.len())
                }) as Sending
            }) as Send)
        })
    }

    fn ureq(addr: &str, requests: u64) -> Result<(), String> {
        let (agent, url) = (ureq::Agent::new_with_defaults(), format!("http://{addr}/"));
        for _ in 0..requests {
            let mut response = agent.get(&url).call().map_err(|error| error.to_string())?;
            check(response.body_mut().read_to_string().map_err(|error| error.to_string())?.len())?;
        }
        Ok(())
    }
}
