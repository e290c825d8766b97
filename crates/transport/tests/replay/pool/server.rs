//! The scripted servers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;

use super::super::count;
use super::super::peer::Socket;
use super::world::{ServerConn, World};
use roundtrip_golden::known_keys;

pub(super) async fn accept(world: Arc<World>, host: usize, listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let socket = Socket::new(stream);
        let number = world.change(|state| {
            let conn = ServerConn { socket: Some(Arc::clone(&socket)), script: None, ended: false };
            state.conns[host].push(conn);
            state.changes += 1;
            state.conns[host].len()
        });
        let (watched, noting) = (Arc::downgrade(&socket), Arc::clone(&world));
        let script = world.spawn(serve(Arc::clone(&world), host, number, socket));
        world.change(|state| state.conns[host][number - 1].script = Some(script));
        world.spawn(async move {
            // Held only while it is waited for, so that a reset can close the socket.
            while watched.upgrade().is_some_and(|socket| !socket.has_ended()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            noting.change(|state| {
                state.conns[host][number - 1].ended = true;
                state.changes += 1;
            });
        });
    }
}

/// Answers the requests of one connection as their scripts say.
pub(super) async fn serve(world: Arc<World>, host: usize, number: usize, socket: Arc<Socket>) {
    let mut nth = 0;
    while let Some(head) = socket.head().await {
        nth += 1;
        let id = head.path.trim_start_matches('/').to_owned();
        let reply = world.change(|state| {
            state.changes += 1;
            let reply = state.replies[&id].clone();
            let req = state.request(&id);
            assert_eq!(req.host, host, "a request went to another host");
            req.attempts += 1;
            (req.server_conn, req.nth) = (number, nth);
            reply
        });
        let early = reply["early"] == true;
        if !early && socket.body(&head).await.is_none() {
            return;
        }
        world.change(|state| state.request(&id).seen = true);
        if answer(&world, &id, &reply, head.method == "HEAD", &socket).await.is_err() {
            return;
        }
        match reply["after"].as_str() {
            Some("fin") => socket.fin(),
            Some("rst") => {
                world.change(|state| {
                    state.conns[host][number - 1].socket = None;
                    state.conns[host][number - 1].ended = true;
                });
                socket.prepare_reset();
                return;
            }
            _ => {}
        }
        if early && socket.body(&head).await.is_none() {
            return;
        }
    }
}

/// Writes one reply. An error ends the connection's script.
pub(super) async fn answer(world: &World, id: &str, reply: &Value, to_head: bool, socket: &Socket) -> io::Result<()> {
    known_keys(reply, &["status", "framing", "body", "first", "gate", "fail", "early", "connection", "proto", "after"]);
    let gate = async |name: &str| {
        if reply["gate"] == name {
            let gate = (id.to_owned(), name.to_owned());
            world.until(|state| state.open_gates.contains(&gate)).await;
        }
    };
    let cut = || {
        socket.fin();
        Err(io::ErrorKind::BrokenPipe.into())
    };
    let (status, length) = (count(&reply["status"]), count(&reply["body"]));
    let framing = reply["framing"].as_str().unwrap();
    gate("head").await;
    if reply["fail"] == "before_head" {
        return cut();
    }
    let mut head = format!("HTTP/{} {status} Status\r\n", reply["proto"].as_str().unwrap_or("1.1"));
    match framing {
        "length" => head += &format!("Content-Length: {length}\r\n"),
        "chunked" => head += "Transfer-Encoding: chunked\r\n",
        "until_close" | "none" => {}
        other => panic!("unknown framing {other}"),
    }
    if let Some(connection) = reply["connection"].as_str() {
        head += &format!("Connection: {connection}\r\n");
    }
    head += "\r\n";
    if reply["fail"] == "mid_head" {
        socket.write(&head.as_bytes()[..head.len() / 2]).await?;
        return cut();
    }
    socket.write(head.as_bytes()).await?;
    if to_head || framing == "none" || status == 204 || status == 304 {
        return Ok(());
    }
    world.until(|state| state.requests.get(id).is_none_or(|req| req.outcome.is_some())).await;
    let first = reply["first"].as_u64().map_or(0, |first| usize::try_from(first).unwrap()).min(length);
    socket.write(&piece(framing, first)).await?;
    if reply["fail"] == "mid_body" {
        return cut();
    }
    gate("body").await;
    socket.write(&piece(framing, length - first)).await?;
    match framing {
        "chunked" => socket.write(b"0\r\n\r\n").await?,
        "until_close" => socket.fin(),
        _ => {}
    }
    Ok(())
}

/// So many bytes of a body, on the wire.
pub(super) fn piece(framing: &str, length: usize) -> Bytes {
    let data = vec![b'd'; length];
    if framing != "chunked" || length == 0 {
        return data.into();
    }
    let mut wire = format!("{length:x}\r\n").into_bytes();
    wire.extend_from_slice(&data);
    wire.extend_from_slice(b"\r\n");
    wire.into()
}
