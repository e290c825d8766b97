//! The simulated distance by itself. Times have lower bounds, which hold on any machine, and generous upper ones.

use std::pin::Pin;

use super::*;

const FAR: Duration = Duration::from_millis(20);

async fn pair(round_trip: Duration) -> (Distant, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (Distant::new(socket, round_trip / 2), listener.accept().await.unwrap().0)
}

/// Bytes that tell if any is lost, doubled or moved.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect()
}

#[tokio::test]
async fn a_ping_pong_takes_the_round_trip() {
    for round_trip in [1, 5, 20].map(Duration::from_millis) {
        let mut took = measured(round_trip, 9).await.unwrap();
        took.sort();
        assert!(took[0] >= round_trip, "{round_trip:?}: {took:?}");
        // The machine may be busy; the middle one is rarely late by more than a third of a millisecond.
        assert!(took[4] < round_trip + Duration::from_millis(3), "{round_trip:?}: {took:?}");
    }
}

#[tokio::test]
async fn dialing_takes_one_round_trip() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(roundtrip_transport::Scheme::Http, "127.0.0.1", listener.local_addr().unwrap().port());
    let begun = Instant::now();
    Distance { round_trip: FAR }.dial(&target).await.unwrap();
    assert!(begun.elapsed() >= FAR, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_refused_connection_is_an_error_that_names_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let target = Target::new(roundtrip_transport::Scheme::Http, "127.0.0.1", port);
    let error = Distance { round_trip: FAR }.dial(&target).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("connect 127.0.0.1:{port}")), "{error}");
}

#[tokio::test]
async fn bytes_arrive_half_a_round_trip_later_and_in_order_both_ways() {
    let (mut near, mut far) = pair(FAR).await;
    let data = pattern(300_000);
    let begun = Instant::now();
    let (mut there, mut back) = (vec![0; data.len()], vec![0; data.len()]);
    // In pieces of all sizes, so that arrivals and reads do not fall together.
    let talk = async {
        let mut rest = &data[..];
        let mut size = 1;
        while !rest.is_empty() {
            let (piece, left) = rest.split_at(size.min(rest.len()));
            near.write_all(piece).await.unwrap();
            (rest, size) = (left, size * 3 % 7919);
        }
        near.flush().await.unwrap();
        near.read_exact(&mut back).await.unwrap();
    };
    let answer = async {
        far.read_exact(&mut there).await.unwrap();
        let one_way = begun.elapsed();
        far.write_all(&there).await.unwrap();
        one_way
    };
    let ((), one_way) = tokio::join!(talk, answer);
    assert!(one_way >= FAR / 2, "{one_way:?}");
    assert!(begun.elapsed() >= FAR, "{:?}", begun.elapsed());
    assert!(there == data && back == data, "a byte was lost, doubled or moved");
}

#[tokio::test]
async fn the_end_arrives_behind_the_last_byte() {
    let (mut near, mut far) = pair(FAR).await;
    far.write_all(b"bye").await.unwrap();
    drop(far);
    let begun = Instant::now();
    let mut got = Vec::new();
    near.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"bye");
    assert!(begun.elapsed() >= FAR / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn shutting_down_sends_what_is_under_way_first() {
    let (mut near, mut far) = pair(FAR).await;
    near.write_all(b"last words").await.unwrap();
    near.shutdown().await.unwrap();
    let mut got = Vec::new();
    far.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"last words");
}

#[tokio::test]
async fn dropping_loses_nothing() {
    let (mut near, mut far) = pair(FAR).await;
    near.write_all(b"last words").await.unwrap();
    drop(near);
    let mut got = Vec::new();
    far.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"last words");
}

#[tokio::test]
async fn another_task_may_write() {
    let (near, mut far) = pair(FAR).await;
    let (mut read, mut write) = tokio::io::split(near);
    // It waits before anything is written, and nobody polls the writing half afterwards.
    let reading = tokio::spawn(async move {
        let mut got = [0; 2];
        read.read_exact(&mut got).await.map(|_| got)
    });
    tokio::task::yield_now().await;
    write.write_all(b"hi").await.unwrap();
    let mut got = [0; 2];
    far.read_exact(&mut got).await.unwrap();
    far.write_all(&got).await.unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), *b"hi");
}

#[tokio::test]
async fn the_distance_does_not_limit_throughput() {
    let (mut near, mut far) = pair(FAR).await;
    let data = pattern(8 << 20);
    let begun = Instant::now();
    let send = async {
        near.write_all(&data).await.unwrap();
        Pin::new(&mut near).shutdown().await.unwrap();
    };
    let mut got = Vec::with_capacity(data.len());
    let (_, read) = tokio::join!(send, far.read_to_end(&mut got));
    read.unwrap();
    // With 64 KiB a round trip it would take 2.5 s.
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    assert!(got == data);
}
