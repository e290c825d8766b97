//! The yardsticks: a loop around a socket, and hyper's own connection.

use super::{check, drive, said};

async fn connect(addr: &str) -> Result<tokio::net::TcpStream, String> {
    let stream = tokio::net::TcpStream::connect(addr).await.map_err(said)?;
    stream.set_nodelay(true).map_err(said)?;
    Ok(stream)
}

/// A loop around a socket: what the runtime and the system cost. A connection for each task.
pub(super) async fn socket(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    drive(requests, tasks, |requests| {
        let addr = addr.clone();
        async move {
            let mut stream = connect(&addr).await?;
            let request = format!("GET / HTTP/1.1\r\nhost: {addr}\r\n\r\n");
            let mut buf = [0; 4096];
            for _ in 0..requests {
                stream.write_all(request.as_bytes()).await.map_err(said)?;
                let count = stream.read(&mut buf).await.map_err(said)?;
                let end = buf[..count].windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(count);
                check(buf[..count].get(end + 4..).unwrap_or_default())?;
            }
            Ok(())
        }
    })
    .await
}

/// hyper's connection, driven by a task as its documentation shows. A connection for each task.
pub(super) async fn hyper(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
    use http_body_util::BodyExt as _;

    drive(requests, tasks, |requests| {
        let addr = addr.clone();
        async move {
            let io = hyper_util::rt::TokioIo::new(connect(&addr).await?);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(said)?;
            tokio::spawn(connection);
            for _ in 0..requests {
                let request = http::Request::get("/").header("host", &addr);
                let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).map_err(said)?;
                sender.ready().await.map_err(said)?;
                let response = sender.send_request(request).await.map_err(said)?;
                check(&response.into_body().collect().await.map_err(said)?.to_bytes())?;
            }
            Ok(())
        }
    })
    .await
}
