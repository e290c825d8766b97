//! What the comparison's program, the benchmarks and the tests of budgets share.

pub mod alloc;
pub mod routes;

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;
