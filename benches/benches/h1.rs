//! How long parsing and writing HTTP/1 takes. Each figure of a case contains that of `setup`, which fills the buffer.
//!
//! `cargo bench -p roundtrip-bench --bench h1`; a name behind `--` selects cases. Instructions and allocations of the same
//! cases: the example `h1_instructions`.

#[path = "../examples/h1_instructions/cases.rs"]
mod cases;
#[path = "../examples/h1_instructions/exchange.rs"]
mod exchange;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn h1(criterion: &mut Criterion) {
    for case in cases::all() {
        let mut group = criterion.benchmark_group(case.name);
        group.throughput(Throughput::Bytes(case.bytes as u64));
        for (way, mut turn) in case.ways {
            group.bench_function(way.name(), |bencher| bencher.iter(&mut turn));
        }
        group.finish();
    }
}

criterion_group!(benches, h1);
criterion_main!(benches);
