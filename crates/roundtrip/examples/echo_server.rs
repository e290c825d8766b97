//! A server that says what it was asked, for suites and clients to be pointed at:
//! `cargo run --example echo_server -- --addr 127.0.0.1:12304`.
//!
//! Any method and path is answered with 200 and a JSON account of the request, after its body has been read. It stops gracefully
//! on Ctrl-C or SIGTERM: requests in progress are finished, for ten seconds at
//! most or until a second signal.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HOST};
use lexopt::{Arg, Parser, ValueExt};
use roundtrip::prelude::*;
use roundtrip::{ListenOptions, Listener, Server, ServerConfig};
use roundtrip_server::Tls;
use serde_json::json;

const HELP: &str = "\
echo_server: answers any request with 200 and a JSON account of it: method, target, host, version, fields, body_length

Usage: echo_server [--addr HOST:PORT] [--unix PATH] [--tls-cert FILE --tls-key FILE] [--h2c] [--per-core]
                   [--systemd]
  --addr HOST:PORT   where to listen (default 127.0.0.1:12304, unless --unix or --systemd is given)
  --unix PATH        listen on a unix socket, too if --addr is given
  --tls-cert FILE    speak TLS, with the certificate and those behind it in this PEM file
  --tls-key FILE     and the private key in this one
  --h2c              take HTTP/2 on plain connections too, by prior knowledge; over TLS it is always offered
  --per-core         a thread, a runtime and a socket for each core
  --systemd          listen on the sockets that systemd passes (LISTEN_FDS)";

#[derive(Default)]
struct Options {
    addr: Option<String>,
    unix: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    h2c: bool,
    per_core: bool,
    systemd: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Some(options) = options()? else {
        eprintln!("{HELP}");
        return Ok(());
    };
    let tls = match (&options.cert, &options.key) {
        (Some(cert), Some(key)) => Some(Tls::from_pem_files(cert, key)?),
        (None, None) => None,
        _ => return Err("--tls-cert and --tls-key go together".into()),
    };
    let server = Server::with_config(account, ServerConfig { h2c: options.h2c, ..ServerConfig::default() });
    // Before anybody is told that it is there.
    let stopping = server.shutdown_on_signal(Duration::from_secs(10));
    let mut serving = Vec::new();
    for mut listener in listeners(&options).await? {
        let scheme = if tls.is_some() { "https" } else { "http" };
        match listener.local_addr().tcp() {
            Some(addr) => eprintln!("listening on {scheme}://{addr}"),
            None => eprintln!("listening on {scheme}+unix:{listener}"),
        }
        if let Some(tls) = &tls {
            listener = listener.with_tls(tls.clone());
        }
        serving.push(if options.per_core {
            tokio::spawn(server.serve_per_core(listener))
        } else {
            tokio::spawn(server.serve(listener))
        });
    }

    let report = stopping.await?;
    for one in serving {
        one.await??;
    }
    eprintln!("stopped: {} connection(s) finished, {} cut; {:?}", report.finished, report.cut, server.stats());
    Ok(())
}

/// The options; `None` if help is asked for.
fn options() -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options::default();
    let mut args = Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("addr") => options.addr = Some(args.value()?.parse()?),
            Arg::Long("unix") => options.unix = Some(args.value()?.into()),
            Arg::Long("tls-cert") => options.cert = Some(args.value()?.into()),
            Arg::Long("tls-key") => options.key = Some(args.value()?.into()),
            Arg::Long("h2c") => options.h2c = true,
            Arg::Long("per-core") => options.per_core = true,
            Arg::Long("systemd") => options.systemd = true,
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}

async fn listeners(options: &Options) -> Result<Vec<Listener>, Box<dyn Error>> {
    let mut listeners = Vec::new();
    if options.systemd {
        listeners = Listener::from_systemd()?;
        if listeners.is_empty() {
            return Err("systemd has passed no socket: LISTEN_FDS and LISTEN_PID say so".into());
        }
    }
    if let Some(path) = &options.unix {
        listeners.push(unix(path)?);
    }
    if options.addr.is_some() || listeners.is_empty() {
        let sockets = if options.per_core { std::thread::available_parallelism()?.get() } else { 1 };
        let addr = options.addr.as_deref().unwrap_or("127.0.0.1:12304");
        listeners.push(Listener::bind_with(addr, &ListenOptions { sockets, ..ListenOptions::default() }).await?);
    }
    Ok(listeners)
}

#[cfg(unix)]
fn unix(path: &PathBuf) -> Result<Listener, Box<dyn Error>> {
    Ok(Listener::unix(path)?)
}

#[cfg(not(unix))]
fn unix(_: &PathBuf) -> Result<Listener, Box<dyn Error>> {
    Err("this system has no unix sockets".into())
}

/// What was asked, once all of it is here.
async fn account(req: Request) -> Response {
    let (head, mut body) = req.into_parts();
    let mut length: u64 = 0;
    while let Some(data) = body.chunk().await {
        match data {
            Ok(data) => length += data.len() as u64,
            Err(error) => return roundtrip::error(StatusCode::BAD_REQUEST, error.to_string()),
        }
    }
    // HTTP/2 has no request line: its parts make the URI absolute.
    let target = match head.uri.path_and_query() {
        Some(path) if head.version >= http::Version::HTTP_2 => path.to_string(),
        _ => head.uri.to_string(),
    };
    let field = head.headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    let host = head.uri.authority().map(ToString::to_string).or(field);
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let fields: Vec<_> = head.headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
    let account = json!({
        "method": head.method.as_str(),
        "target": target,
        "host": host,
        "version": format!("{:?}", head.version),
        "fields": fields,
        "body_length": length,
    });
    ([(CONTENT_TYPE.as_str(), "application/json")], format!("{account}\n")).into_response()
}
