//! Uploads and answers that overlap, bytes that nobody asked for, and runtimes that go away.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use roundtrip_transport::{RoundTripper, Transport};
use roundtrip_types::{Body, MessageExt};
use tokio::runtime::Builder;

use super::{Outcome, Report, ensure, peers};

/// A caller that writes a piece of its upload only when the one before has come back, `rounds` times: writing and reading must not wait
/// for each other.
///
/// # Errors
/// If a piece does not come back, or not in time.
pub fn echo_upload(rounds: usize) -> Outcome {
    let addr = peers::start(|mut stream| {
        let mut buf = Vec::new();
        if peers::read_head(&mut stream, &mut buf)?.is_none() {
            return Ok(());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        // Both sides are chunked, so the bytes go back as they came.
        stream.write_all(&buf)?;
        let mut piece = [0; 4096];
        loop {
            match stream.read(&mut piece)? {
                0 => return Ok(()),
                count => stream.write_all(&piece[..count])?,
            }
        }
    });
    let addr = addr.map_err(|error| error.to_string())?;
    current_thread()?.block_on(async {
        let (mut sender, body) = Body::channel(1);
        let req = http::Request::post(format!("http://{addr}/")).body(body).map_err(|error| error.to_string())?;
        let transport = Transport::new();
        let echoing = async {
            let mut response = transport.round_trip(req).await.map_err(|error| error.to_string())?;
            for round in 0..rounds {
                let piece = format!("piece {round}");
                sender.send(piece.clone()).await.map_err(|error| error.to_string())?;
                let back = response.body_mut().chunk().await.ok_or("the echo ended early")?;
                let back = back.map_err(|error| error.to_string())?;
                ensure(back == piece, || format!("{piece:?} came back as {back:?}"))?;
            }
            sender.finish();
            let rest = response.bytes().await.map_err(|error| error.to_string())?;
            ensure(rest.is_empty(), || format!("{rest:?} came behind the end"))
        };
        let done = tokio::time::timeout(Duration::from_secs(60), echoing).await;
        done.map_err(|_| "the upload and the answer wait for each other".to_owned())??;
        Ok(Report::default().with("pieces", rounds))
    })
}

/// A server that refuses an upload of 10 MB after its head and closes, `times` times.
///
/// # Errors
/// If the refusal does not reach the caller.
pub fn early_refusal(times: usize) -> Outcome {
    let addr = peers::start(|mut stream| {
        let mut buf = Vec::new();
        if peers::read_head(&mut stream, &mut buf)?.is_some() {
            stream.write_all(
                b"HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 8\r\n\r\ntoo much",
            )?;
        }
        // What was not read makes the system reset the connection.
        Ok(())
    });
    let addr = addr.map_err(|error| error.to_string())?;
    current_thread()?.block_on(async {
        let transport = Transport::new();
        for time in 0..times {
            let req = http::Request::put(format!("http://{addr}/")).body(Body::from(vec![b'x'; 10 << 20]));
            let req = req.map_err(|error| error.to_string())?;
            let response = transport.round_trip(req).await.map_err(|error| format!("time {time}: {error}"))?;
            ensure(response.status() == 413, || format!("time {time}: {}", response.status()))?;
            let text = response.text().await.map_err(|error| format!("time {time}: {error}"))?;
            ensure(text == "too much", || format!("time {time}: {text:?}"))?;
        }
        let idle = transport.stats().idle;
        ensure(idle == 0, || format!("{idle} such connections were kept"))?;
        Ok(Report::default().with("refused", times))
    })
}

/// A server that sends an answer too many behind each answer, `times` times, and a client that asks again once it has come.
///
/// # Errors
/// If one of them answers a request.
pub fn unsolicited(times: usize) -> Outcome {
    let (sent, came) = mpsc::channel();
    let addr = peers::start(move |mut stream| {
        let mut buf = Vec::new();
        while let Some(head) = peers::read_head(&mut stream, &mut buf)? {
            peers::answer(&mut stream, &peers::target(&head))?;
            // Alone, so that it comes when the connection may lie idle already.
            std::thread::sleep(Duration::from_micros(200));
            let answered = peers::answer(&mut stream, "not what was asked for");
            // Nobody listens any more at the end of the case.
            let _ = sent.send(());
            answered?;
        }
        Ok(())
    });
    let addr = addr.map_err(|error| error.to_string())?;
    current_thread()?.block_on(async {
        let transport = Transport::new();
        for number in 0..times {
            let req = http::Request::get(format!("http://{addr}/{number}")).body(Body::empty());
            let req = req.map_err(|error| error.to_string())?;
            let response = transport.round_trip(req).await.map_err(|error| error.to_string())?;
            let text = response.text().await.map_err(|error| error.to_string())?;
            ensure(text == format!("/{number}"), || format!("request {number} was answered {text:?}"))?;
            // It blocks the runtime, so that nothing but a look at the socket itself can see the bytes.
            came.recv().map_err(|error| error.to_string())?;
        }
        Ok(Report::default().with("requests", times).with("connections", transport.stats().created))
    })
}

/// A transport that is used from one runtime after the other, each dropped with connections idle in the pool.
///
/// # Errors
/// If a request fails.
pub fn two_runtimes(times: usize) -> Outcome {
    let addr = peers::start(|mut stream| {
        let mut buf = Vec::new();
        while let Some(head) = peers::read_head(&mut stream, &mut buf)? {
            peers::answer(&mut stream, &peers::target(&head))?;
        }
        Ok(())
    });
    let addr = addr.map_err(|error| error.to_string())?;
    let transport = Transport::new();
    let fetch = |number: usize| {
        let transport = transport.clone();
        async move {
            let req = http::Request::get(format!("http://{addr}/{number}")).body(Body::empty());
            let req = req.map_err(|error| error.to_string())?;
            let response = transport.round_trip(req).await.map_err(|error| error.to_string())?;
            let text = response.text().await.map_err(|error| error.to_string())?;
            ensure(text == format!("/{number}"), || format!("request {number} was answered {text:?}"))
        }
    };
    // It drives its connections also while nobody waits on it; connections of a runtime that stands still stand still with it.
    let lasting = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let lasting = lasting.map_err(|error| error.to_string())?;
    for time in 0..times {
        // The next one is opened by the runtime that is going to be dropped.
        transport.close_idle_connections();
        let passing = current_thread()?;
        passing.block_on(fetch(2 * time))?;
        ensure(transport.stats().idle >= 1, || "nothing lies idle".to_owned())?;
        drop(passing);
        lasting.block_on(fetch(2 * time + 1))?;
    }
    drop(lasting);
    let stats = transport.stats();
    ensure((stats.in_use, stats.waiting, stats.dialing) == (0, 0, 0), || format!("something is left: {stats:?}"))?;
    Ok(Report::default().with("runtimes", times + 1).with("connections", stats.created))
}

fn current_thread() -> Result<tokio::runtime::Runtime, String> {
    Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())
}
