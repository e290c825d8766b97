//! A small server to try things against: `cargo run --example hello_server -- --addr 127.0.0.1:12302`.
//!
//! It stops gracefully on Ctrl-C or SIGTERM: requests in progress are finished, for ten seconds at
//! most or until a second signal.

use std::error::Error;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use roundtrip::prelude::*;
use roundtrip::{Exchange, Observed, ServeMux, Server, ServerConfig};

const HELP: &str = "\
hello_server: a small server to try things against

  /                  Hello I am server 3
  GET /users/{id}    the path value
  /echo              the request's body, as it comes
  GET /count/{n}     n lines, streamed
  GET /slow/{ms}     an answer after that many milliseconds

Usage: hello_server [--addr HOST:PORT] [--no-keep-alives] [--access-log]
  --addr HOST:PORT   where to listen (default 127.0.0.1:12302)
  --no-keep-alives   close each connection after its response
  --access-log       a line on standard error for each request";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut addr = "127.0.0.1:12302".to_owned();
    let mut config = ServerConfig::default();
    let mut access_log = false;
    let mut args = Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("addr") => addr = args.value()?.parse()?,
            Arg::Long("no-keep-alives") => config.keep_alives = false,
            Arg::Long("access-log") => access_log = true,
            Arg::Long("help") | Arg::Short('h') => {
                eprintln!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }

    let mux = ServeMux::new();
    mux.handle("/{$}", |_req| async { "Hello I am server 3" });
    mux.handle("GET /users/{id}", |req: Request| async move { format!("user {}\n", req.path_value("id")) });
    mux.handle("/echo", |req: Request| async move { req.into_body() });
    mux.handle("GET /count/{n}", count);
    mux.handle("GET /slow/{ms}", slow);

    let handler = if access_log { Observed::new(mux, log).boxed() } else { mux.boxed() };
    let server = Server::with_config(handler, config);
    // Before anybody is told that it is there.
    let stopping = server.shutdown_on_signal(Duration::from_secs(10));
    let listener = server.listen(addr).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    let serving = tokio::spawn(server.serve(listener));

    let report = stopping.await?;
    eprintln!("stopped: {} connection(s) finished, {} cut; {:?}", report.finished, report.cut, server.stats());
    serving.await??;
    Ok(())
}

/// Who asked for what, and what came of it.
fn log(exchange: &Exchange) {
    eprintln!("{exchange}");
}

/// A response that is made while it is sent. A slow reader slows the loop, because the channel holds eight lines only.
async fn count(req: Request) -> Result<Body, (http::StatusCode, String)> {
    let n: u64 = number(&req, "n")?;
    let (mut lines, body) = Body::channel(8);
    tokio::spawn(async move {
        for line in 1..=n {
            // The client has gone: there is nobody to count for.
            lines.send(format!("{line}\n")).await?;
        }
        lines.finish();
        Ok::<_, roundtrip::SendError>(())
    });
    Ok(body)
}

async fn slow(req: Request) -> Result<String, (http::StatusCode, String)> {
    let ms = number(&req, "ms")?;
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Ok(format!("waited {ms} ms\n"))
}

fn number(req: &Request, name: &str) -> Result<u64, (http::StatusCode, String)> {
    let value = req.path_value(name);
    value.parse().map_err(|error| (http::StatusCode::BAD_REQUEST, format!("{name} {value:?}: {error}\n")))
}
