//! How long header fields take: a whole exchange over a connection in memory, with few fields and with many, in the response and in the
//! request. What a field costs is the slope. Parsing by itself is in the bench `h1`. `cargo bench -p roundtrip-bench --bench headers`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue};
use roundtrip_bench::in_memory::InMemory;
use roundtrip_transport::{ConnectConfig, Dialer, RoundTripper, Transport, TransportConfig};
use roundtrip_types::{Body, MessageExt};

const FIELDS: [usize; 4] = [0, 10, 30, 100];

fn headers(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let mut group = criterion.benchmark_group("fields");
    for (side, fields) in FIELDS.into_iter().flat_map(|fields| [("response", fields), ("request", fields)]) {
        let (received, sent) = if side == "response" { (fields, 0) } else { (0, fields) };
        let mut answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n".to_owned();
        for number in 0..received {
            let _ = write!(answer, "x-field-{number}: a value of some length\r\n");
        }
        answer.push_str("\r\nok");
        let transport = Transport::with_config(TransportConfig {
            connect: ConnectConfig {
                dial: Dialer::Custom(Arc::new(InMemory::answering(answer))),
                ..ConnectConfig::default()
            },
            ..TransportConfig::default()
        });
        let own: HeaderMap = (0..sent)
            .map(|number| {
                let name = HeaderName::try_from(format!("x-field-{number}")).expect("a token");
                (name, HeaderValue::from_static("a value of some length"))
            })
            .collect();
        group.bench_function(BenchmarkId::new(side, fields), |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let mut request = http::Request::get("http://host.test/").body(Body::empty()).expect("a URI");
                    request.headers_mut().clone_from(&own);
                    let response = transport.round_trip(request).await.expect("memory answers");
                    assert!(response.headers().len() > received);
                    assert_eq!(black_box(response.bytes().await.expect("memory answers")).len(), 2);
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, headers);
criterion_main!(benches);
