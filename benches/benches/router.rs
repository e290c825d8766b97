//! Routers side by side, in time: the 130 routes of the GitHub API that matchit's public benchmark uses, in order and shuffled;
//! what does not match; a thousand overlapping routes; and what freezing costs.
//!
//! Every router gets the same paths. Ours also looks at the method. `cargo bench -p roundtrip-bench --bench router`; the
//! benchmark `instructions` counts the same sets without noise.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use roundtrip_bench::routers::Set;

fn lookups(criterion: &mut Criterion) {
    for set in Set::all() {
        let mut group = criterion.benchmark_group(set.name);
        group.throughput(Throughput::Elements(set.paths.len() as u64));
        for (name, contestant) in set.contestants() {
            group.bench_function(name, |bencher| bencher.iter(|| contestant.run(set.reading, &set.paths)));
        }
        group.finish();
    }
}

fn freezing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("e registration and freeze");
    for set in Set::all().iter().filter(|set| set.name.starts_with(['a', 'd'])) {
        let routes = set.routes.len();
        eprintln!("{routes} routes freeze to {} bytes", set.router().freeze().table_bytes());
        group.throughput(Throughput::Elements(routes as u64));
        group.bench_function(format!("{routes} routes"), |bencher| bencher.iter(|| set.router().freeze()));
        group.bench_function(format!("{routes} routes one by one"), |bencher| {
            bencher.iter(|| set.router_one_by_one().freeze());
        });
    }
    group.finish();
}

criterion_group!(benches, lookups, freezing);
criterion_main!(benches);
