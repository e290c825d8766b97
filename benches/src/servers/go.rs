//! Go's `net/http` as a server.

/// The program: an `http.Server` with a `ServeMux`, as they come; without any time limit, therefore.
pub const SOURCE: &str = include_str!("../../go/server/main.go");
