//! A burst of requests to a host that is slow to accept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use roundtrip_transport::{
    ConnectConfig, Connection, Dial, DialFuture, Dialer, Error, RoundTripper, Target, Transport, TransportConfig,
};
use roundtrip_types::{Body, ErrorKind, MessageExt, Phase};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

use super::{Outcome, Report, ensure, peers};

/// Sends `requests` at once to a host to which a connection takes 50 ms.
///
/// # Errors
/// If a request failed, or more connections were being opened at once than the limit allows.
pub fn burst(requests: usize) -> Outcome {
    let addr = peers::start(|mut stream| {
        let mut buf = Vec::new();
        while let Some(head) = peers::read_head(&mut stream, &mut buf)? {
            peers::answer(&mut stream, &peers::target(&head))?;
        }
        Ok(())
    });
    let addr = addr.map_err(|error| error.to_string())?;
    let slow = Arc::new(Slow::default());
    let config = TransportConfig {
        connect: ConnectConfig { dial: Dialer::Custom(Arc::clone(&slow) as Arc<dyn Dial>), ..ConnectConfig::default() },
        ..TransportConfig::default()
    };
    let limit = config.max_dials_per_host.unwrap_or(usize::MAX);
    let transport = Transport::with_config(config);
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let sending = (0..requests).map(|number| {
            let transport = transport.clone();
            tokio::spawn(async move {
                let req = http::Request::get(format!("http://{addr}/{number}")).body(Body::empty());
                let req = req.map_err(|error| error.to_string())?;
                let response = transport.round_trip(req).await.map_err(|error| error.to_string())?;
                let text = response.text().await.map_err(|error| error.to_string())?;
                ensure(text == format!("/{number}"), || format!("request {number} was answered {text:?}"))
            })
        });
        for sent in sending.collect::<Vec<_>>() {
            sent.await.map_err(|error| error.to_string())??;
        }
        let most = slow.most.load(Ordering::SeqCst);
        ensure(most <= limit, || format!("{most} dials at once, where {limit} are allowed"))?;
        Ok(Report::default()
            .with("requests", requests)
            .with("most dials at once", most)
            .with("dials", slow.all.load(Ordering::SeqCst)))
    })
}

#[derive(Debug, Default)]
struct Slow {
    now: AtomicUsize,
    most: AtomicUsize,
    all: AtomicUsize,
}

impl Dial for Slow {
    fn dial<'a>(&'a self, target: &'a Target) -> DialFuture<'a> {
        Box::pin(async move {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            self.all.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            let stream = TcpStream::connect((target.host(), target.port())).await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            stream
                .map(Connection::new)
                .map_err(|cause| Error::new(ErrorKind::Connect, "connect").with_phase(Phase::Connect).with_cause(cause))
        })
    }
}
