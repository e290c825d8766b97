//! What is sent again.

use http::Method;
use roundtrip_transport::{RequestOptions, Retry, Transport};
use roundtrip_types::{Body, ErrorKind, Request};

use super::peer::Peer;
use super::rig::{all, fetch, run};

/// Has a request carried by a connection that was used before, and that breaks under it. Returns how often the server got it.
async fn lost_at_reuse(
    peer: &Peer,
    transport: &Transport,
    request: Request,
) -> (Result<String, roundtrip_types::Error>, usize) {
    let (first, ()) =
        tokio::join!(fetch(transport, peer.get("/first")), async { peer.next().await.answer(200, "").await });
    first.unwrap();
    let mut times = 0;
    let result = {
        let mut sending = Box::pin(fetch(transport, request));
        loop {
            tokio::select! {
                biased;
                result = &mut sending => break result,
                mut exchange = peer.next() => {
                    times += 1;
                    let body = exchange.body().await;
                    if times == 1 {
                        exchange.hang_up();
                    } else {
                        exchange.answer(200, body).await;
                    }
                }
            }
        }
    };
    (result, times)
}

fn with_field(mut request: Request, name: &'static str) -> Request {
    request.headers_mut().insert(name, "1".parse().unwrap());
    request
}

fn retrying(mut request: Request, retry: Retry) -> Request {
    request.extensions_mut().insert(RequestOptions { retry, ..RequestOptions::default() });
    request
}

#[test]
fn a_request_lost_with_a_reused_connection_is_sent_again_if_that_is_safe() {
    run(all(), async |rig| {
        let peer = rig.peer().await;
        let streamed = || {
            let (mut sender, body) = Body::channel(1);
            sender.try_send("body").unwrap();
            sender.finish();
            body
        };
        let request =
            |method: &str, body: Body| peer.request(Method::from_bytes(method.as_bytes()).unwrap(), "/", body);
        for (what, request, again) in [
            ("GET", request("GET", Body::empty()), true),
            ("HEAD", request("HEAD", Body::empty()), true),
            ("OPTIONS", request("OPTIONS", Body::empty()), true),
            ("TRACE", request("TRACE", Body::empty()), true),
            ("DELETE", request("DELETE", Body::empty()), false),
            ("PUT", request("PUT", "body".into()), false),
            ("POST", request("POST", "body".into()), false),
            ("POST with a key", with_field(request("POST", "body".into()), "idempotency-key"), true),
            ("PUT with a key", with_field(request("PUT", "body".into()), "x-idempotency-key"), true),
            ("POST with a key, body gone", with_field(request("POST", streamed()), "idempotency-key"), false),
            (
                "POST with a key, body made anew",
                with_field(request("POST", Body::replayable(|| "body".into())), "idempotency-key"),
                true,
            ),
            ("GET, never", retrying(request("GET", Body::empty()), Retry::Never), false),
            ("POST, always", retrying(request("POST", "body".into()), Retry::Always), true),
        ] {
            let transport = rig.transport();
            let sent_body = if request.body().is_empty() || request.method() == Method::HEAD { "" } else { "body" };
            let (result, times) = lost_at_reuse(&peer, &transport, request).await;
            assert_eq!((times, transport.stats().retried), if again { (2, 1) } else { (1, 0) }, "{what}");
            match result {
                Ok(body) => {
                    assert!(again, "{what}");
                    assert_eq!(body, sent_body, "{what}");
                }
                Err(error) => {
                    assert!(!again, "{what}: {error}");
                    assert_eq!((error.kind(), error.was_sent()), (ErrorKind::ConnectionLost, true), "{what}: {error}");
                    assert!(error.to_string().contains("reused "), "{what}: {error}");
                }
            }
            assert_eq!(transport.stats().in_use, 0, "{what}");
        }
    });
}

#[test]
fn a_request_that_has_an_answer_is_never_sent_again() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let (first, ()) =
            tokio::join!(fetch(&transport, peer.get("/")), async { peer.next().await.answer(200, "").await });
        first.unwrap();
        let (result, ()) = tokio::join!(fetch(&transport, peer.get("/")), async {
            let mut exchange = peer.next().await;
            exchange.interim(103, &[]).await;
            // It must have come before the connection breaks.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            exchange.hang_up();
        });
        let error = result.unwrap_err();
        assert_eq!((error.kind(), transport.stats().retried), (ErrorKind::ConnectionLost, 0), "{error}");
    });
}
