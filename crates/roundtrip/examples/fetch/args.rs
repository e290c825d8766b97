//! The command line.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use roundtrip::Protocols;
use roundtrip::http::Method;

pub(crate) const HELP: &str = "\
fetch: sends a request and prints status, header fields and body

Usage: fetch [OPTIONS] URL
The request
  -X, --request METHOD     the method (default GET, HEAD with -I, or POST with a body)
  -H, --header 'NAME: V'   a header field; may be repeated
  -I, --head               ask for the head only
  -u, --user NAME:PASSWORD credentials
  -d, --data TEXT          the body; @FILE takes a file's content, @- standard input's
      --json TEXT          the body as JSON; @FILE and @- as above
      --form NAME=VALUE    a value of a form; may be repeated
  -F, --file NAME=@FILE    a file of a form, streamed; may be repeated, and mixed with --form
      --cookies FILE       read cookies from FILE, and save them there
What comes back
  -L, --location           follow redirects
  -f, --fail               a status of 400 or above is a failure
  -b, --body-only          print the body only
  -o, --output FILE        write the body to FILE, with a progress bar; print the head
  -v, --verbose            say on standard error what is sent and what came back, and where the time went
The way there
      --proxy URL          a proxy: http://, https://, socks5://, socks5h:// (default: those of the environment)
      --no-proxy           none at all
      --cacert FILE        trust the certificates in FILE (PEM), too
  -k, --insecure           trust any certificate: anybody on the way can be the server
      --unix PATH          connect to the Unix socket PATH, whatever the host
      --http2              HTTP/2 only: by agreement over TLS, unasked without
      --http1.1            HTTP/1.1 only
Patience
      --timeout SECONDS    most time for everything
      --connect-timeout S  most time for finding and reaching the server
      --retry N            repeat what failed for a moment, up to N times
      --max-size BYTES     most bytes of the body
  -h, --help               print this

Exit codes, curl's where it has one:
   0  there was a response, whatever its status     23  the output could not be written
   2  the arguments are wrong                       26  a file to be sent could not be read
   3  the URL or the request is wrong               28  the time was over
   6  the host name does not resolve                35  the connection could not be secured
   7  no connection could be made                   47  there were too many redirects, or one that leads nowhere
   8  the answer is not HTTP as it should be        52  the server closed without an answer
  18  the body ended too early                      56  the connection broke, or something else failed
  22  the status was 400 or above, with --fail      60  the server's certificate is not trusted
  97  the proxy refused or failed                   63  the response is too large";

/// What is wanted.
#[derive(Debug, Default)]
pub(crate) struct Args {
    pub(crate) method: Option<Method>,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) user: Option<(String, String)>,
    pub(crate) body: Option<Content>,
    pub(crate) cookies: Option<PathBuf>,
    pub(crate) follow: bool,
    pub(crate) fail: bool,
    pub(crate) body_only: bool,
    pub(crate) output: Option<PathBuf>,
    pub(crate) verbose: bool,
    pub(crate) proxy: Option<String>,
    pub(crate) no_proxy: bool,
    pub(crate) cacert: Option<PathBuf>,
    pub(crate) insecure: bool,
    pub(crate) unix: Option<PathBuf>,
    pub(crate) protocols: Protocols,
    pub(crate) timeout: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) retries: u32,
    pub(crate) max_size: Option<usize>,
    pub(crate) url: String,
}

/// What is sent.
#[derive(Debug)]
pub(crate) enum Content {
    Bytes(Vec<u8>),
    Json(Vec<u8>),
    Form(Vec<(String, String)>),
    /// Values, then files.
    Files(Vec<(String, String)>, Vec<(String, PathBuf)>),
}

type Parsed<T> = Result<T, Box<dyn Error>>;

/// Reads the arguments; `None` if only help is wanted.
pub(crate) fn parse() -> Parsed<Option<Args>> {
    let mut args = Args::default();
    let (mut values, mut files, mut head) = (Vec::new(), Vec::new(), false);
    let mut given = Parser::from_env();
    while let Some(arg) = given.next()? {
        match arg {
            Arg::Short('X') | Arg::Long("request") => {
                let method: String = given.value()?.parse()?;
                args.method = Some(method.parse().map_err(|_| format!("{method:?} is not a method"))?);
            }
            Arg::Short('H') | Arg::Long("header") => {
                let field = text(&mut given)?;
                let (name, value) = cut(&field, ':').ok_or_else(|| format!("header {field:?}: write NAME: VALUE"))?;
                args.fields.push((name, value.trim().to_owned()));
            }
            Arg::Short('I') | Arg::Long("head") => head = true,
            Arg::Short('u') | Arg::Long("user") => {
                // Not repeated in an error: it has a password.
                args.user = Some(cut(&text(&mut given)?, ':').ok_or("--user: write NAME:PASSWORD")?);
            }
            Arg::Short('d') | Arg::Long("data") => args.body = Some(Content::Bytes(data(&text(&mut given)?)?)),
            Arg::Long("json") => args.body = Some(Content::Json(data(&text(&mut given)?)?)),
            Arg::Long("form") => {
                let value = text(&mut given)?;
                values.push(cut(&value, '=').ok_or_else(|| format!("--form {value:?}: write NAME=VALUE"))?);
            }
            Arg::Short('F') | Arg::Long("file") => {
                let file = text(&mut given)?;
                let (name, path) = file.split_once("=@").ok_or_else(|| format!("--file {file:?}: write NAME=@FILE"))?;
                files.push((name.to_owned(), path.into()));
            }
            Arg::Long("cookies") => args.cookies = Some(given.value()?.into()),
            Arg::Short('L') | Arg::Long("location") => args.follow = true,
            Arg::Short('f') | Arg::Long("fail") => args.fail = true,
            Arg::Short('b') | Arg::Long("body-only") => args.body_only = true,
            Arg::Short('o') | Arg::Long("output") => args.output = Some(given.value()?.into()),
            Arg::Short('v') | Arg::Long("verbose") => args.verbose = true,
            Arg::Long("proxy") => args.proxy = Some(text(&mut given)?),
            Arg::Long("no-proxy") => args.no_proxy = true,
            Arg::Long("cacert") => args.cacert = Some(given.value()?.into()),
            Arg::Short('k') | Arg::Long("insecure") => args.insecure = true,
            Arg::Long("unix") => args.unix = Some(given.value()?.into()),
            Arg::Long("http2") => args.protocols = Protocols::Http2,
            Arg::Long("http1.1") => args.protocols = Protocols::Http1,
            Arg::Long("timeout") => args.timeout = Some(seconds(&mut given, "--timeout")?),
            Arg::Long("connect-timeout") => {
                args.connect_timeout = Some(seconds(&mut given, "--connect-timeout")?);
            }
            Arg::Long("retry") => args.retries = given.value()?.parse()?,
            Arg::Long("max-size") => args.max_size = Some(given.value()?.parse()?),
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Value(url) if args.url.is_empty() => args.url = url.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    if args.url.is_empty() {
        return Err("no URL is given".into());
    }
    if !files.is_empty() {
        args.body = Some(Content::Files(values, files));
    } else if !values.is_empty() {
        args.body = Some(Content::Form(values));
    }
    if head {
        args.method.get_or_insert(Method::HEAD);
    }
    Ok(Some(args))
}

fn text(given: &mut Parser) -> Parsed<String> {
    Ok(given.value()?.parse()?)
}

fn seconds(given: &mut Parser, option: &str) -> Parsed<Duration> {
    let seconds: f64 = given.value()?.parse()?;
    Ok(Duration::try_from_secs_f64(seconds).map_err(|_| format!("{option} {seconds}: no time"))?)
}

fn cut(text: &str, at: char) -> Option<(String, String)> {
    text.split_once(at).map(|(before, after)| (before.to_owned(), after.to_owned()))
}

/// The text, or what `@FILE` and `@-` stand for.
fn data(text: &str) -> Parsed<Vec<u8>> {
    match text.strip_prefix('@') {
        None => Ok(text.as_bytes().to_vec()),
        Some("-") => {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes)?;
            Ok(bytes)
        }
        Some(path) => std::fs::read(path).map_err(|error| format!("cannot read {path}: {error}").into()),
    }
}
