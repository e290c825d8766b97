//! Go's `net/http` as a client.

/// The program: an `http.Client` with a transport that keeps as many idle connections as there are goroutines (two by default) and
/// is otherwise as it comes.
pub const SOURCE: &str = include_str!("../../go/client/main.go");
