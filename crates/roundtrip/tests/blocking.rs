//! The client without async.

#![cfg(feature = "blocking")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::io::Read;
use std::sync::mpsc;

use roundtrip::prelude::*;
use roundtrip::{ErrorKind, Server, blocking};

/// A server on a thread and a runtime of its own, for as long as the process lives.
fn serve() -> String {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::new(|req: Request| async move {
                let method = req.method().clone();
                let body = req.text().await.unwrap();
                format!("{method} {body}")
            });
            let listener = server.listen("127.0.0.1:0").await.unwrap();
            tell.send(format!("http://{}/", listener.local_addr().unwrap())).unwrap();
            server.serve(listener).await.unwrap();
        });
    });
    told.recv().unwrap()
}

#[test]
fn requests_without_async() {
    let url = serve();
    assert_eq!(blocking::get(&url).send().unwrap().text().unwrap(), "GET ");
    let client = blocking::Client::new();
    let posted = client.post(&url).body("data").send().unwrap();
    assert_eq!((posted.status().as_u16(), posted.headers()["content-length"].to_str().unwrap()), (200, "9"));
    let mut response = posted.error_for_status().unwrap();
    let mut begin = [0; 4];
    response.read_exact(&mut begin).unwrap();
    assert_eq!((&begin, response.bytes().unwrap().as_ref()), (b"POST", &b" data"[..]));
    let mut half = client.post(&url).body("é").send().unwrap();
    half.read_exact(&mut begin).unwrap();
    assert_eq!(half.text().unwrap(), " é");
    let mut all = Vec::new();
    let mut told = 0;
    let copied =
        client.put(&url).body("x").send().unwrap().copy_to(&mut all, |progress| told = progress.bytes).unwrap();
    assert_eq!((copied, told, all), (5, 5, b"PUT x".to_vec()));
    let mut text = String::new();
    client.get(&url).send().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "GET ");
    let stats = client.as_async().transport().stats();
    assert_eq!((stats.created, stats.in_use), (1, 0));
    let threads: Vec<_> = (0..4)
        .map(|n| {
            std::thread::spawn({
                let (client, url) = (client.clone(), url.clone());
                move || client.post(url).body(n.to_string()).send().unwrap().text().unwrap()
            })
        })
        .collect();
    for (n, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().unwrap(), format!("POST {n}"));
    }
    let request = client.delete(&url).build().unwrap();
    assert_eq!(client.execute(request).unwrap().text().unwrap(), "DELETE ");
}

#[test]
fn async_code_gets_an_error_and_no_panic() {
    let url = serve();
    let client = blocking::Client::new();
    for threads in [0, 1] {
        let mut builder = match threads {
            0 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        let runtime = builder.enable_all().build().unwrap();
        let response = client.get(&url).send().unwrap();
        let (error, read) = runtime.block_on(async {
            let error = client.get(&url).send().unwrap_err();
            let read = response.text().unwrap_err();
            drop(blocking::Client::new());
            (error, read)
        });
        assert_eq!(error.kind(), ErrorKind::Other);
        assert!(error.to_string().starts_with("the blocking client was called from async code"), "{error}");
        assert_eq!(read.to_string(), error.to_string());
    }
}
