//! What reaching a server costs: large bodies both ways, cold bursts, HTTP/2, TLS handshakes. The example `reach_cost` runs them at length.

pub mod bulk;
pub mod burst;
pub mod http2;
mod tls;
