//! Methods that Go's requests and responses have and the `http` crate's lack. Import the traits (or a prelude) to use them.

use std::borrow::Cow;
use std::future::Future;

use bytes::Bytes;

use crate::{Body, PathValues, Request, Response, Result};

/// What a router has found out about a request: Go's `PathValue`, `SetPathValue` and `Pattern`.
pub trait RequestExt {
    /// The value of the pattern's wildcard `name`, percent-decoded; empty if there is none, as in Go.
    ///
    /// Invalid UTF-8 is replaced by U+FFFD; [`PathValues::value_bytes`] has the bytes and tells an empty value from none.
    fn path_value(&self, name: &str) -> Cow<'_, str>;

    /// Sets a path value, for handlers that route by themselves.
    fn set_path_value(&mut self, name: &str, value: &str);

    /// The pattern that matched, as it was registered, for example `GET /users/{id}`; empty if no router has matched.
    fn pattern(&self) -> &str;
}

impl RequestExt for Request {
    fn path_value(&self, name: &str) -> Cow<'_, str> {
        self.extensions().get::<PathValues>().and_then(|values| values.value(name)).unwrap_or_default()
    }

    fn set_path_value(&mut self, name: &str, value: &str) {
        self.extensions_mut().get_or_insert_default::<PathValues>().set(name, value);
    }

    fn pattern(&self) -> &str {
        self.extensions().get::<PathValues>().map_or("", PathValues::pattern)
    }
}

/// Reading the body of a request or a response as a whole.
///
/// Each method reads to the end of the body, which on the client is what gives the connection back to the pool. None has a size
/// limit of its own: put [`Body::limited`] around a body that a stranger sends.
pub trait MessageExt: Sized {
    /// The body alone: what the other methods read.
    #[doc(hidden)]
    fn into_message_body(self) -> Body;

    /// The whole body.
    ///
    /// # Errors
    /// Those of the body, for example that the peer closed the connection before its end.
    ///
    /// # Cancel safety
    /// Dropping the future drops the body: what was read is lost, and on the client the connection is closed.
    fn bytes(self) -> impl Future<Output = Result<Bytes>> + Send {
        self.into_message_body().bytes()
    }

    /// The whole body as UTF-8 text.
    ///
    /// # Errors
    /// Those of [`bytes`](Self::bytes), and [`ErrorKind::Decode`](crate::ErrorKind::Decode) with the position of the first
    /// byte that is not UTF-8.
    fn text(self) -> impl Future<Output = Result<String>> + Send {
        self.into_message_body().text()
    }

    /// The whole body parsed as JSON.
    ///
    /// # Errors
    /// Those of [`bytes`](Self::bytes), and [`ErrorKind::Decode`](crate::ErrorKind::Decode) with line and column.
    #[cfg(feature = "json")]
    fn json<T: serde::de::DeserializeOwned>(self) -> impl Future<Output = Result<T>> + Send {
        self.into_message_body().json()
    }
}

impl MessageExt for Request {
    fn into_message_body(self) -> Body {
        self.into_body()
    }
}

impl MessageExt for Response {
    fn into_message_body(self) -> Body {
        self.into_body()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_values_can_be_set_without_a_router() {
        let mut req = Request::new(Body::empty());
        assert_eq!((req.path_value("id").as_ref(), req.pattern()), ("", ""));
        req.set_path_value("id", "7");
        assert_eq!(req.path_value("id"), "7");
    }
}
