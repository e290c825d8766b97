//! Handlers around handlers that need a clock: a time limit, and a watch over each exchange.

mod exchange;
mod observe;
mod timeout;
#[cfg(feature = "tracing")]
mod trace;

pub use exchange::{Exchange, Outcome};
pub use observe::{Observe, Observed};
pub use timeout::TimeoutHandler;
#[cfg(feature = "tracing")]
pub use trace::Traced;
