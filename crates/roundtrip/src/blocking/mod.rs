//! The client without async (feature `blocking`): for scripts, tests and threads.
//!
//! Calls wait until they are done. The work itself is that of [`roundtrip::Client`](crate::Client), on a runtime of one thread that
//! the process shares and that is made at the first call.
//!
//! A call from async code would hold up everything else on its thread, so it returns an error that says so: await
//! [`roundtrip::Client`](crate::Client) there.
//!
//! ```
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let url = format!("http://{}/", listener.local_addr()?);
//! # std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let (mut stream, _) = listener.accept().unwrap();
//! #     stream.read(&mut [0; 1000]).unwrap();
//! #     stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").unwrap();
//! # });
//! let text = roundtrip::blocking::get(&url).header("accept", "text/plain").send()?.text()?;
//! assert_eq!(text, "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod request;
mod response;

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::OnceLock;

use http::Method;
use roundtrip_client::{Client as AsyncClient, ClientConfig, IntoUrl};
use roundtrip_transport::Transport;
use roundtrip_types::{Error, ErrorKind, Request, Result, RoundTripper};
use tokio::runtime::{Builder, Handle, Runtime};

pub use request::RequestBuilder;
pub use response::Response;

/// Sends requests and waits for the answers. See the [module](self).
///
/// **Shape**: cheap to clone; clones share the connections. Usable from any number of threads.
pub struct Client<T = Transport> {
    client: AsyncClient<T>,
}

impl Client {
    /// A client with a transport of its own and the default settings.
    #[must_use]
    pub fn new() -> Self {
        Client::from(AsyncClient::new())
    }
}

impl Default for Client {
    fn default() -> Self {
        Client::new()
    }
}

impl<T: RoundTripper> Client<T> {
    /// A client over `transport`, with settings of your own.
    #[must_use]
    pub fn with_config(transport: T, config: ClientConfig) -> Self {
        Client::from(AsyncClient::with_config(transport, config))
    }

    /// The client that does the work.
    #[must_use]
    pub fn as_async(&self) -> &AsyncClient<T> {
        &self.client
    }

    /// Starts a GET.
    pub fn get(&self, url: impl IntoUrl) -> RequestBuilder<T> {
        self.request(Method::GET, url)
    }

    /// Starts a HEAD.
    pub fn head(&self, url: impl IntoUrl) -> RequestBuilder<T> {
        self.request(Method::HEAD, url)
    }

    /// Starts a POST.
    pub fn post(&self, url: impl IntoUrl) -> RequestBuilder<T> {
        self.request(Method::POST, url)
    }

    /// Starts a PUT.
    pub fn put(&self, url: impl IntoUrl) -> RequestBuilder<T> {
        self.request(Method::PUT, url)
    }

    /// Starts a PATCH.
    pub fn patch(&self, url: impl IntoUrl) -> RequestBuilder<T> {
        self.request(Method::PATCH, url)
    }

    /// Starts a DELETE.
    pub fn delete(&self, url: impl IntoUrl) -> RequestBuilder<T> {
        self.request(Method::DELETE, url)
    }

    /// Starts a request of any method. Nothing is sent before [`send`](RequestBuilder::send); a bad URL is reported then.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder<T> {
        RequestBuilder::new(self.client.request(method, url))
    }

    /// Sends a request that is already built.
    ///
    /// # Errors
    /// Those of [`roundtrip::Client::execute`](crate::Client::execute), and that this is async code.
    pub fn execute(&self, req: Request) -> Result<Response> {
        wait(self.client.execute(req))?.map(Response::new)
    }
}

impl<T> From<AsyncClient<T>> for Client<T> {
    fn from(client: AsyncClient<T>) -> Self {
        Client { client }
    }
}

impl<T> Clone for Client<T> {
    fn clone(&self) -> Self {
        Client { client: self.client.clone() }
    }
}

impl<T: fmt::Debug> fmt::Debug for Client<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("blocking::Client").field(&self.client).finish()
    }
}

/// Starts a GET with the [`default_client`](crate::default_client).
pub fn get(url: impl IntoUrl) -> RequestBuilder<Transport> {
    RequestBuilder::new(crate::get(url))
}

/// Starts a HEAD with the [`default_client`](crate::default_client).
pub fn head(url: impl IntoUrl) -> RequestBuilder<Transport> {
    RequestBuilder::new(crate::head(url))
}

/// Starts a POST with the [`default_client`](crate::default_client).
pub fn post(url: impl IntoUrl) -> RequestBuilder<Transport> {
    RequestBuilder::new(crate::post(url))
}

/// Starts a PUT with the [`default_client`](crate::default_client).
pub fn put(url: impl IntoUrl) -> RequestBuilder<Transport> {
    RequestBuilder::new(crate::put(url))
}

/// Starts a PATCH with the [`default_client`](crate::default_client).
pub fn patch(url: impl IntoUrl) -> RequestBuilder<Transport> {
    RequestBuilder::new(crate::patch(url))
}

/// Starts a DELETE with the [`default_client`](crate::default_client).
pub fn delete(url: impl IntoUrl) -> RequestBuilder<Transport> {
    RequestBuilder::new(crate::delete(url))
}

/// Waits for `work` on the shared runtime.
fn wait<F: Future>(work: F) -> Result<F::Output> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    if Handle::try_current().is_ok() {
        let message = "the blocking client was called from async code, which it would hold up: await roundtrip::Client \
            there, or call it from a thread of std::thread";
        return Err(Error::new(ErrorKind::Other, message));
    }
    let build = || Builder::new_multi_thread().worker_threads(1).thread_name("roundtrip-blocking").enable_all().build();
    match RUNTIME.get_or_init(build) {
        Ok(runtime) => Ok(runtime.block_on(work)),
        Err(error) => Err(Error::new(ErrorKind::Other, "cannot start a runtime").with_cause(error.to_string())),
    }
}
