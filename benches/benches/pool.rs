//! How long the pool takes: a whole exchange over connections in memory, of which checkout and return are a part that grows if
//! anything does. `cargo bench -p roundtrip-bench --bench pool`.
//!
//! - `found`: the connection lies idle in the pool; each host in turn.
//! - `evicted`: the pool keeps half of the hosts' connections, so each exchange closes the oldest and opens its own.
//! - `none`: no connection is kept, which is what the others are to be compared with.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use roundtrip_bench::in_memory::InMemory;
use roundtrip_transport::{ConnectConfig, Dialer, RoundTripper, Transport, TransportConfig};
use roundtrip_types::{Body, MessageExt};

fn pool(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let mut group = criterion.benchmark_group("exchange");
    for (name, hosts, kept) in [
        ("found", 1, 1),
        ("found", 100, 100),
        ("found", 10_000, 10_000),
        ("evicted", 100, 50),
        ("evicted", 10_000, 5_000),
        ("none", 1, 0),
    ] {
        let transport = Transport::with_config(TransportConfig {
            max_idle_conns: kept,
            max_idle_conns_per_host: kept,
            connect: ConnectConfig { dial: Dialer::Custom(Arc::new(InMemory::greeting())), ..ConnectConfig::default() },
            ..TransportConfig::default()
        });
        let uris: Vec<http::Uri> =
            (0..hosts).map(|host| format!("http://host-{host}.test/").parse().expect("a name makes a URI")).collect();
        runtime.block_on(async {
            for uri in &uris {
                fetch(&transport, uri).await;
            }
        });
        let mut around = uris.iter().cycle();
        group.bench_function(BenchmarkId::new(name, hosts), |bencher| {
            bencher.iter(|| runtime.block_on(fetch(&transport, around.next().expect("there are hosts"))));
        });
    }
    group.finish();
}

async fn fetch(transport: &Transport, uri: &http::Uri) {
    let request = http::Request::get(uri.clone()).body(Body::empty()).expect("a URI makes a request");
    let response = transport.round_trip(request).await.expect("memory answers");
    assert_eq!(black_box(response.bytes().await.expect("memory answers")).len(), 19);
}

criterion_group!(benches, pool);
criterion_main!(benches);
