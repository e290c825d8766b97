//! A small curl: `cargo run --example fetch -- http://127.0.0.1:12302/`. `--help` lists options and exit codes.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use roundtrip::http::Method;
use roundtrip::transport::ProxyConfig;
use roundtrip::{Client, ClientConfig, Error, ErrorKind, Phase, Transport, TransportConfig};

const HELP: &str = "\
fetch: sends a request and prints status, header fields and body

Usage: fetch [OPTIONS] URL
  -X, --request METHOD     the method (default GET, or POST with a body)
  -H, --header 'NAME: V'   a header field; may be repeated
  -d, --data TEXT          the body; @FILE takes a file's content, @- standard input's
  -b, --body-only          print the body only
  -v, --verbose            say on standard error what is sent, and over which connections
      --timeout SECONDS    most time for everything
  -h, --help               print this

Exit codes, curl's where it has one:
   0  there was a response, whatever its status     23  the output could not be written
   2  the arguments are wrong                       28  the time was over
   3  the URL or the request is wrong               52  the server closed without an answer
   6  the host name does not resolve                56  the connection broke, or something else failed
   7  no connection could be made                   63  the response's head is too large
   8  the answer is not HTTP as it should be
  18  the body ended too early";

struct Args {
    method: Option<Method>,
    fields: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    body_only: bool,
    verbose: bool,
    timeout: Option<Duration>,
    url: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = match parse() {
        Ok(Some(args)) => args,
        Ok(None) => {
            eprintln!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("fetch: {error}; see --help");
            return ExitCode::from(2);
        }
    };
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("fetch: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

struct Failure {
    message: String,
    code: u8,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match (error.kind(), error.phase()) {
            (ErrorKind::Request | ErrorKind::Body, _) => 3,
            (ErrorKind::Connect, Some(Phase::Dns)) => 6,
            (ErrorKind::Connect, _) => 7,
            (ErrorKind::Protocol, _) => 8,
            (ErrorKind::ConnectionLost, Some(Phase::Body)) => 18,
            (ErrorKind::ConnectionLost, Some(Phase::Wait)) => 52,
            (ErrorKind::Timeout, _) => 28,
            (ErrorKind::TooLarge, _) => 63,
            _ => 56,
        };
        Failure { message: error.to_string(), code }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure { message: format!("cannot write the output: {error}"), code: 23 }
    }
}

async fn run(args: Args) -> Result<(), Failure> {
    // As curl does, and Go's default client.
    let config = TransportConfig { proxy: ProxyConfig::from_env(), ..TransportConfig::default() };
    let client = Client::with_config(
        Transport::with_config(config),
        ClientConfig { timeout: args.timeout, ..ClientConfig::default() },
    );
    let default_method = if args.body.is_some() { Method::POST } else { Method::GET };
    let mut builder = client.request(args.method.unwrap_or(default_method), &args.url);
    for (name, value) in &args.fields {
        builder = builder.header(name.as_str(), value.as_str());
    }
    if let Some(body) = args.body {
        builder = builder.body(body);
    }
    let request = builder.build()?;
    if args.verbose {
        eprintln!("> {} {}", request.method(), request.uri());
        request.headers().iter().for_each(|(name, value)| eprintln!("> {name}: {}", value.as_bytes().escape_ascii()));
    }

    let mut response = client.execute(request).await?;
    let mut out = std::io::stdout().lock();
    if args.verbose {
        eprintln!("< {:?} {}; {:?}", response.version(), response.status(), client.transport().stats());
    }
    if !args.body_only {
        writeln!(out, "{:?} {}", response.version(), response.status())?;
        for (name, value) in response.headers() {
            writeln!(out, "{name}: {}", value.as_bytes().escape_ascii())?;
        }
        writeln!(out)?;
    }
    while let Some(data) = response.body_mut().chunk().await {
        out.write_all(&data?)?;
        out.flush()?;
    }
    if args.verbose {
        eprintln!("* done; {:?}", client.transport().stats());
    }
    Ok(())
}

fn parse() -> Result<Option<Args>, Box<dyn std::error::Error>> {
    let mut args = Args {
        method: None,
        fields: Vec::new(),
        body: None,
        body_only: false,
        verbose: false,
        timeout: None,
        url: String::new(),
    };
    let mut given = Parser::from_env();
    while let Some(arg) = given.next()? {
        match arg {
            Arg::Short('X') | Arg::Long("request") => {
                let method: String = given.value()?.parse()?;
                args.method = Some(method.parse().map_err(|_| format!("{method:?} is not a method"))?);
            }
            Arg::Short('H') | Arg::Long("header") => {
                let field: String = given.value()?.parse()?;
                let (name, value) =
                    field.split_once(':').ok_or_else(|| format!("header {field:?}: write NAME: VALUE"))?;
                args.fields.push((name.to_owned(), value.trim().to_owned()));
            }
            Arg::Short('d') | Arg::Long("data") => args.body = Some(data(&given.value()?.parse::<String>()?)?),
            Arg::Short('b') | Arg::Long("body-only") => args.body_only = true,
            Arg::Short('v') | Arg::Long("verbose") => args.verbose = true,
            Arg::Long("timeout") => {
                let seconds: f64 = given.value()?.parse()?;
                args.timeout =
                    Some(Duration::try_from_secs_f64(seconds).map_err(|_| format!("--timeout {seconds}: no time"))?);
            }
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Value(url) if args.url.is_empty() => args.url = url.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    if args.url.is_empty() { Err("no URL given".into()) } else { Ok(Some(args)) }
}

fn data(text: &str) -> Result<Vec<u8>, String> {
    match text.strip_prefix('@') {
        None => Ok(text.as_bytes().to_vec()),
        Some("-") => {
            let mut all = Vec::new();
            let read = std::io::Read::read_to_end(&mut std::io::stdin(), &mut all);
            read.map(|_| all).map_err(|error| format!("standard input: {error}"))
        }
        Some(file) => std::fs::read(file).map_err(|error| format!("{file}: {error}")),
    }
}
