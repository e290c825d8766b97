//! What a script does on the client's side, step by step.

use std::sync::Arc;
use std::time::Duration;

use roundtrip_transport::{RequestOptions, RoundTripper, Transport};
use roundtrip_types::{Body, BodySender};
use serde_json::Value;

use super::super::peer::Socket;
use super::super::{LIMIT, count, millis, slug, within};
use super::world::{DialState, Req, State, Told, World};
use roundtrip_golden::{base64, known_keys};

pub(super) async fn perform(step: &Value, transport: &Transport, world: &Arc<World>) -> Result<(), String> {
    let keys = [
        "do",
        "id",
        "host",
        "method",
        "reply",
        "body",
        "conn",
        "n",
        "gate",
        "dial",
        "result",
        "request_close",
        "data_b64",
        "ms",
        "authority",
    ];
    known_keys(step, &keys);
    let host = || count(&step["host"]);
    let id = || step["id"].as_str().expect("an id");
    let number = |key: &str| count(&step[key]);
    match step["do"].as_str().unwrap() {
        "start" => start(step, transport, world)?,
        "wait_head" => {
            world.wait(step, |state| state.requests[id()].outcome.is_some()).await?;
            if let Some(Err(_)) = world.look(|state| state.requests[id()].outcome) {
                return Err(format!("{step}: no head; {}", world.describe()));
            }
        }
        "wait_done" => world.wait(step, |state| state.requests[id()].outcome.is_some()).await?,
        "wait_seen" => world.wait(step, |state| state.requests[id()].seen).await?,
        "wait_queued" => {
            world.wait(step, |state| state.requests[id()].asked).await?;
            // One look around, so that whatever is at hand is taken.
            tokio::time::sleep(Duration::from_millis(2)).await;
            if world.look(|state| state.requests[id()].conn.is_some()) {
                return Err(format!("{step}: it was not queued; {}", world.describe()));
            }
        }
        "wait_back" => world.wait(step, |state| !state.is_held(id())).await?,
        "wait_closed" => {
            let (host, conn) = (host(), number("conn") - 1);
            world.wait(step, |state| state.conns[host].get(conn).is_some_and(|conn| conn.ended)).await?;
        }
        "wait_accepted" => {
            let (host, n) = (host(), number("n"));
            world.wait(step, |state| state.conns[host].len() >= n).await?;
        }
        "wait_open" => {
            let (host, n) = (host(), number("n"));
            world.wait(step, |state| state.open(host) == n).await?;
        }
        "wait_dial" => {
            let (host, dial) = (host(), number("dial"));
            world.wait(step, |state| state.dials[host].len() >= dial).await?;
        }
        "dial_release" => {
            let (host, dial, ok) = (host(), number("dial") - 1, step["result"] == "ok");
            world.change(|state| {
                let dial = &mut state.dials[host][dial];
                if *dial == DialState::Pending {
                    *dial = DialState::Released { ok };
                }
            });
            world.wait(step, |state| matches!(state.dials[host][dial], DialState::Done(_))).await?;
        }
        "release" => {
            let gate = (id().to_owned(), step["gate"].as_str().unwrap().to_owned());
            world.change(|state| state.open_gates.insert(gate));
        }
        "release_body" => {
            let upload = world.change(|state| state.request(id()).upload.take());
            let (mut sender, bytes) = upload.expect("a request with a gated body");
            // Nobody listens any more if the server has answered with a close.
            let _ = tokio::time::timeout(LIMIT, sender.send(vec![b'u'; bytes])).await;
            sender.finish();
        }
        "read" => read(step, world, None).await?,
        "read_n" => read(step, world, Some(number("n"))).await?,
        "close" => {
            let body = world.change(|state| {
                let req = state.request(id());
                if req.end.as_deref() != Some("eof") {
                    req.end = Some("closed".into());
                }
                req.left.clear();
                req.body.take()
            });
            drop(body);
        }
        "cancel" => cancel(id(), world).await,
        "close_idle" => transport.close_idle_connections(),
        "server_close" => world.look(|state| socket(state, host(), number("conn"))).fin(),
        "server_send" => {
            let socket = world.look(|state| socket(state, host(), number("conn")));
            // The client hangs up as soon as it sees it.
            let _ = socket.write(&base64(step["data_b64"].as_str().unwrap())).await;
        }
        "server_reset" => {
            world.change(|state| {
                let conn = &mut state.conns[host()][number("conn") - 1];
                conn.ended = true;
                if let Some(script) = conn.script.take() {
                    script.abort();
                }
                if let Some(socket) = conn.socket.take() {
                    socket.prepare_reset();
                }
                state.changes += 1;
            });
        }
        "settle" => tokio::time::sleep(Duration::from_millis(60)).await,
        "sleep" => tokio::time::sleep(millis(&step["ms"]).unwrap()).await,
        other => return Err(format!("unknown step {other}")),
    }
    Ok(())
}

pub(super) fn socket(state: &State, host: usize, conn: usize) -> Arc<Socket> {
    state.conns[host][conn - 1].socket.clone().expect("a connection that was not reset")
}

pub(super) fn start(step: &Value, transport: &Transport, world: &Arc<World>) -> Result<(), String> {
    let id = step["id"].as_str().unwrap().to_owned();
    let host = count(&step["host"]);
    let authority = step["authority"].as_str().map_or_else(|| format!("h{host}.test"), str::to_owned);
    let (body, upload) = request_body(&step["body"]);
    let mut builder = http::Request::builder();
    builder = builder.method(step["method"].as_str().unwrap()).uri(format!("http://{authority}/{id}"));
    if step["request_close"] == true {
        builder = builder.header("connection", "close");
    }
    if upload.is_some() {
        builder = builder.header("content-length", count(&step["body"]["bytes"]));
    }
    let mut request = builder.body(body).map_err(|error| format!("{step}: {error}"))?;
    let told = Told { id: id.clone(), world: Arc::clone(world) };
    request.extensions_mut().insert(RequestOptions { events: Some(Arc::new(told)), ..RequestOptions::default() });
    world.change(|state| {
        let name = request.uri().host().unwrap().to_ascii_lowercase();
        state.names.insert(name, host);
        state.replies.insert(id.clone(), step["reply"].clone());
        state.requests.insert(id.clone(), Req { host, upload, ..Req::default() });
        state.order.push(id.clone());
    });
    let (transport, within) = (transport.clone(), Arc::clone(world));
    let of = id.clone();
    let call = world.spawn(async move {
        let answer = transport.round_trip(request).await;
        drop(transport);
        within.change(|state| {
            let req = state.request(&of);
            match answer {
                Ok(response) => {
                    req.outcome = Some(Ok(response.status().as_u16()));
                    req.body = Some(response.into_body());
                }
                Err(error) => {
                    req.outcome = Some(Err(slug(&error)));
                    req.error = error.to_string();
                }
            }
        });
    });
    world.change(|state| state.request(&id).call = Some(call));
    Ok(())
}

pub(super) fn request_body(given: &Value) -> (Body, Option<(BodySender, usize)>) {
    if given.is_null() {
        return (Body::empty(), None);
    }
    known_keys(given, &["bytes", "gated"]);
    let bytes = count(&given["bytes"]);
    if given["gated"] == true {
        let (sender, body) = Body::channel(1);
        return (body, Some((sender, bytes)));
    }
    (if bytes == 0 { Body::empty() } else { Body::from(vec![b'u'; bytes]) }, None)
}

/// Reads the body to its end, or `n` bytes of it.
pub(super) async fn read(step: &Value, world: &World, n: Option<usize>) -> Result<(), String> {
    let id = step["id"].as_str().unwrap();
    let (body, mut left, sent_body) = world.change(|state| {
        let req = state.request(id);
        req.touched = true;
        (req.body.take(), std::mem::take(&mut req.left), req.upload.is_none())
    });
    // It was cancelled: there is nothing left to read.
    let Some(mut body) = body else { return Ok(()) };
    let mut taken = 0;
    let end = loop {
        let wanted = n.map_or(usize::MAX, |n| n - taken);
        if wanted == 0 {
            break None;
        }
        if !left.is_empty() {
            let piece = left.split_to(wanted.min(left.len()));
            taken += piece.len();
            continue;
        }
        let frame = tokio::time::timeout(LIMIT, body.frame()).await;
        match frame.map_err(|_| format!("{step}: the body does not end; {}", world.describe()))? {
            None => break Some("eof".to_owned()),
            Some(Ok(frame)) => left.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Some(Err(error)) => break Some(format!("error:{}", slug(&error))),
        }
    };
    let back = world.change(|state| {
        let back = !state.is_held(id);
        let req = state.request(id);
        req.read += taken;
        req.left = left;
        if end.is_some() {
            req.end.clone_from(&end);
        } else {
            req.end = Some("partial".into());
        }
        req.body = Some(body);
        back
    });
    if end.as_deref() == Some("eof") && sent_body && !back {
        return Err(format!("{step}: the end was reported before the connection was back"));
    }
    Ok(())
}

/// Drops what there is of a request; behind its head also cuts its connection, as Go's cancellation does.
pub(super) async fn cancel(id: &str, world: &World) {
    let (wire, body, call) = world.change(|state| {
        let held = state.is_held(id);
        let own = state.requests[id].conn.as_ref().and_then(|conn| conn.3);
        let req = state.request(id);
        let call = req.call.take();
        if req.outcome.is_none() {
            req.outcome = Some(Err("canceled"));
            return (None, None, call);
        }
        if !held || req.body.is_none() {
            // Over already: nothing happens.
            return (None, None, None);
        }
        req.end = Some("closed".into());
        let body = req.body.take();
        (own.and_then(|own| state.wires.get(&own).cloned()), body, None)
    });
    if let Some(call) = call {
        call.abort();
        // The future is dropped when the task is next looked at.
        within(LIMIT, || call.is_finished()).await;
    }
    if let Some(wire) = wire {
        wire.cut();
    }
    drop(body);
}
