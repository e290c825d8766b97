//! A WebSocket that says everything back: `cargo run -p roundtrip-server --example websocket_echo`, on port 12303.
//!
//! It stops on Ctrl-C or SIGTERM: each client is said goodbye to.

use std::time::Duration;

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, StatusCode};
use roundtrip_server::{ResponseController, Server, Upgraded, upgrade};
use roundtrip_types::{Body, IntoResponse, Request, Response};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::new(echo);
    let listener = server.listen(std::env::args().nth(1).unwrap_or("127.0.0.1:12303".into())).await?;
    eprintln!("listening on ws://{}/", listener.local_addr()?);
    let serving = tokio::spawn(server.serve(listener));
    server.shutdown_on_signal(Duration::from_secs(10)).await?;
    serving.await??;
    Ok(())
}

/// Answers the handshake (RFC 6455, 4.2) and leaves the connection to a task.
pub(crate) async fn echo(mut req: Request) -> Response {
    let Some(key) = req.headers().get(SEC_WEBSOCKET_KEY).cloned() else {
        return (StatusCode::UPGRADE_REQUIRED, [("upgrade", "websocket")], "this is a WebSocket\n").into_response();
    };
    let Ok(accept) = HeaderValue::try_from(derive_accept_key(key.as_bytes())) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let (upgrading, control) = (upgrade(&mut req), ResponseController::current());
    tokio::spawn(async move {
        if let (Ok(stream), Some(control)) = (upgrading.await, control) {
            let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
            // A client that is gone needs no goodbye.
            let _ = say_back(socket, &control).await;
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let fields = response.headers_mut();
    fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
    fields.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

async fn say_back(
    mut socket: WebSocketStream<Upgraded>,
    control: &ResponseController,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    loop {
        let message = tokio::select! {
            message = futures_util::StreamExt::next(&mut socket) => message,
            () = control.stopping() => return socket.close(None).await,
        };
        match message {
            Some(message) => {
                let message = message?;
                if message.is_text() || message.is_binary() {
                    futures_util::SinkExt::send(&mut socket, message).await?;
                }
            }
            None => return Ok(()),
        }
    }
}
