//! What the comparison's program, the benchmarks and the tests of budgets share.

pub mod alloc;
pub mod clients;
pub mod cores;
pub mod model;
pub mod routers;
pub mod routes;
pub mod servers;
pub mod side_by_side;
pub mod stress;
pub mod watch;

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;
