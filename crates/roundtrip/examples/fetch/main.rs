//! A small curl: `cargo run --example fetch -- http://127.0.0.1:12302/`. `--help` lists options and exit codes.

mod args;
mod failure;
mod report;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use args::{Args, Content};
use failure::Failure;
use indicatif::{ProgressBar, ProgressStyle};
use roundtrip::http::{HeaderValue, Method};
use roundtrip::multipart::Form;
use roundtrip::prelude::*;
use roundtrip::{
    Certificate, Client, ClientConfig, Dialer, MemoryJar, Proxy, ProxyConfig, RedirectPolicy, RequestBuilder,
    RetryConfig, RetryLayer, Transport, TransportConfig,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = match args::parse() {
        Ok(Some(args)) => args,
        Ok(None) => {
            eprintln!("{}", args::HELP);
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

async fn run(args: Args) -> Result<(), Failure> {
    let jar = MemoryJar::new();
    if let Some(path) = &args.cookies {
        load_cookies(&jar, path)?;
    }
    let config = ClientConfig {
        timeout: args.timeout,
        max_body: args.max_size,
        redirects: if args.follow { RedirectPolicy::default() } else { RedirectPolicy::none() },
        jar: args.cookies.is_some().then(|| Arc::new(jar.clone()) as _),
        ..ClientConfig::default()
    };
    let transport = Transport::with_config(transport_config(&args)?);
    let client = Client::with_config(transport.clone(), config);
    let response = if args.retries > 0 {
        let config = RetryConfig { max_attempts: args.retries.saturating_add(1), ..RetryConfig::default() };
        send(&client.layer(RetryLayer::new(config)), &args).await?
    } else {
        send(&client, &args).await?
    };
    if args.verbose {
        report::head(&response);
    }
    let timings = response.timings().cloned();
    print(response, &args).await?;
    if let Some(timings) = timings {
        report::times(&timings);
    }
    if let Some(path) = &args.cookies {
        std::fs::write(path, jar.to_json(false))?;
    }
    Ok(())
}

/// How the server is reached.
fn transport_config(args: &Args) -> Result<TransportConfig, Failure> {
    let mut config = TransportConfig { proxy: ProxyConfig::from_env(), ..TransportConfig::default() };
    if let Some(proxy) = &args.proxy {
        config.proxy = ProxyConfig::fixed(Proxy::new(proxy)?);
    }
    if args.no_proxy {
        config.proxy = ProxyConfig::none();
    }
    if let Some(path) = &args.cacert {
        let pem = std::fs::read(path);
        let pem =
            pem.map_err(|error| Failure { message: format!("cannot read {}: {error}", path.display()), code: 26 })?;
        config.connect.tls.extra_roots = Certificate::from_pem(&pem)?;
    }
    config.connect.tls.danger.accept_invalid_certificates = args.insecure;
    if let Some(path) = &args.unix {
        config.connect.dial = Dialer::Unix(path.clone());
    }
    config.protocols = args.protocols;
    if let Some(limit) = args.connect_timeout {
        config.connect_timeout = Some(limit);
    }
    Ok(config)
}

/// Builds the request, says what it is if that is wanted, and sends it.
async fn send<T: RoundTripper>(client: &Client<T>, args: &Args) -> Result<Response, Failure> {
    let default_method = if args.body.is_some() { Method::POST } else { Method::GET };
    let mut builder = client.request(args.method.clone().unwrap_or(default_method), &args.url);
    if let Some((user, password)) = &args.user {
        builder = builder.basic_auth(user, password);
    }
    builder = with_content(builder, args);
    for (name, value) in &args.fields {
        builder = builder.header(name.as_str(), value.as_str());
    }
    if args.fail {
        builder = builder.error_for_status();
    }
    if args.verbose {
        builder = builder.timings().inspect(|request| {
            eprintln!("> {} {}", request.method(), request.uri());
            report::fields('>', request.headers());
        });
    }
    Ok(builder.await?)
}

fn with_content<T: RoundTripper>(builder: RequestBuilder<T>, args: &Args) -> RequestBuilder<T> {
    match &args.body {
        None => builder,
        Some(Content::Bytes(bytes)) => builder.body(bytes.clone()),
        Some(Content::Json(text)) => {
            let json = HeaderValue::from_static("application/json");
            builder.header("content-type", json.clone()).header("accept", json).body(text.clone())
        }
        Some(Content::Form(values)) => builder.form(values.iter().map(|(name, value)| (name, value))),
        Some(Content::Files(values, files)) => {
            let form = values.iter().fold(Form::new(), |form, (name, value)| form.text(name, value));
            builder.multipart(files.iter().fold(form, |form, (name, path)| form.file(name, path)))
        }
    }
}

/// Prints head and body, or what of them is wanted.
async fn print(response: Response, args: &Args) -> Result<(), Failure> {
    if !args.body_only {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{:?} {}", response.version(), response.status())?;
        for (name, value) in response.headers() {
            writeln!(out, "{name}: {}", value.as_bytes().escape_ascii())?;
        }
        writeln!(out)?;
    }
    if let Some(path) = &args.output {
        return save(response, path).await;
    }
    let mut response = response;
    let mut out = std::io::stdout().lock();
    while let Some(data) = response.body_mut().chunk().await {
        out.write_all(&data?)?;
        out.flush()?;
    }
    Ok(())
}

/// Writes the body to a file behind a progress bar, which shows on terminals only.
async fn save(response: Response, path: &Path) -> Result<(), Failure> {
    let style = |template: &str| ProgressStyle::with_template(template).expect("a template that is right");
    let bar = match response.body().content_length() {
        Some(length) => ProgressBar::new(length)
            .with_style(style("{bar:40} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left")),
        None => ProgressBar::new_spinner().with_style(style("{spinner} {bytes} {binary_bytes_per_sec}")),
    };
    let written = response.copy_to_file(path, |progress| bar.set_position(progress.bytes)).await;
    bar.finish_and_clear();
    match written {
        Ok(bytes) => {
            eprintln!("{}: {bytes} bytes", path.display());
            Ok(())
        }
        Err(error) => {
            let is_ours = error.cause().is_some_and(|cause| cause.is::<std::io::Error>())
                && error.kind() == roundtrip::ErrorKind::Other;
            let failure = Failure::from(error);
            Err(if is_ours { Failure { code: 23, ..failure } } else { failure })
        }
    }
}

/// A file that is not there yet is an empty jar.
fn load_cookies(jar: &MemoryJar, path: &Path) -> Result<(), Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(jar.load_json(&text)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure { message: format!("cannot read {}: {error}", path.display()), code: 26 }),
    }
}
