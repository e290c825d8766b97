//! What the comparison's program, the benchmarks and the tests of budgets share.

pub mod alloc;
pub mod args;
pub mod budget;
pub mod callgrind;
pub mod clients;
pub mod closing;
pub mod cores;
pub mod cpu;
pub mod growth;
pub mod identity;
pub mod in_memory;
pub mod interrupt;
pub mod latency;
pub mod machine;
pub mod model;
pub mod progress;
pub mod reach;
pub mod report;
pub mod routers;
pub mod routes;
pub mod scenarios;
pub mod servers;
pub mod side_by_side;
pub mod stress;
pub mod watch;

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;
