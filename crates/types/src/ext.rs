//! Methods that Go's requests and responses have and the `http` crate's lack. Import the traits (or a prelude) to use them.

use std::borrow::Cow;
use std::future::Future;

use bytes::Bytes;

use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE};

use crate::charset::{Charset, decode};
use crate::{BasicAuth, Body, Cookie, Form, PathValues, Request, Response, Result};

/// What Go's requests know about themselves: `PathValue`, `SetPathValue`, `Pattern`, `Cookies`, `BasicAuth`, `ParseForm`.
pub trait RequestExt {
    /// The value of the pattern's wildcard `name`, percent-decoded; empty if there is none, as in Go.
    ///
    /// Invalid UTF-8 is replaced by U+FFFD; [`PathValues::value_bytes`] has the bytes and tells an empty value from none.
    fn path_value(&self, name: &str) -> Cow<'_, str>;

    /// Sets a path value, for handlers that route by themselves.
    fn set_path_value(&mut self, name: &str, value: &str);

    /// The pattern that matched, as it was registered, for example `GET /users/{id}`; empty if no router has matched.
    fn pattern(&self) -> &str;

    /// The cookies that came with the request, see [`Cookie::of_request`].
    fn cookies(&self) -> Vec<Cookie>;

    /// User name and password, if the first `Authorization` field is of the scheme Basic and well-formed.
    fn basic_auth(&self) -> Option<BasicAuth>;

    /// The form: the query's values, and the body's if it is one. Go's `ParseForm`.
    ///
    /// The body is read, and replaced by an empty one, for POST, PUT and PATCH with the `Content-Type`
    /// `application/x-www-form-urlencoded`. What is not understood is left out; [`Form::fault`] says so.
    ///
    /// # Errors
    /// Those of the body; one of more than 10 MiB is [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge), as in Go.
    ///
    /// # Cancel safety
    /// Dropping the future loses what has been read of the body.
    fn form(&mut self) -> impl Future<Output = Result<Form>> + Send;
}

/// As much as Go's `ParseForm` reads of a body.
const MAX_FORM: usize = 10 << 20;

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

    fn cookies(&self) -> Vec<Cookie> {
        Cookie::of_request(self.headers())
    }

    fn basic_auth(&self) -> Option<BasicAuth> {
        BasicAuth::parse(self.headers().get(AUTHORIZATION)?.as_bytes())
    }

    async fn form(&mut self) -> Result<Form> {
        let is_form = self.headers().get(CONTENT_TYPE).is_some_and(|value| Form::is_form(value.as_bytes()));
        let has_form = is_form && Form::reads_body(self.method());
        let body =
            if has_form { std::mem::take(self.body_mut()).limited(MAX_FORM).bytes().await? } else { Bytes::new() };
        let content_type = self.headers().get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        Ok(Form::parse(self.method(), self.uri().query().unwrap_or("").as_bytes(), content_type, Some(&body)))
    }
}

/// Reading the body of a request or a response as a whole.
///
/// Each method reads to the end of the body, which on the client is what gives the connection back to the pool. None has a size
/// limit of its own: put [`Body::limited`] around a body that a stranger sends.
pub trait MessageExt: Sized {
    /// The fields and the body: what the other methods read.
    #[doc(hidden)]
    fn into_fields_and_body(self) -> (HeaderMap, Body);

    /// The whole body.
    ///
    /// # Errors
    /// Those of the body, for example that the peer closed the connection before its end.
    ///
    /// # Cancel safety
    /// Dropping the future drops the body: what was read is lost, and on the client the connection is closed.
    fn bytes(self) -> impl Future<Output = Result<Bytes>> + Send {
        self.into_fields_and_body().1.bytes()
    }

    /// The whole body as text, in the charset that `Content-Type` names; UTF-8 if it names none that is known.
    ///
    /// Charsets and their names are those of the [Encoding Standard](https://encoding.spec.whatwg.org), so that `iso-8859-1`
    /// is read as `windows-1252`.
    ///
    /// # Errors
    /// Those of [`bytes`](Self::bytes), and [`ErrorKind::Decode`](crate::ErrorKind::Decode) if the bytes are not text in that
    /// charset, for UTF-8 with the position of the first one that is not.
    ///
    /// # Cancel safety
    /// As [`bytes`](Self::bytes).
    fn text(self) -> impl Future<Output = Result<String>> + Send {
        let (fields, body) = self.into_fields_and_body();
        let charset = Charset::of(&fields);
        async move { decode(body.bytes().await?, charset) }
    }

    /// The whole body parsed as JSON.
    ///
    /// # Errors
    /// Those of [`bytes`](Self::bytes), and [`ErrorKind::Decode`](crate::ErrorKind::Decode) with line and column.
    ///
    /// # Cancel safety
    /// As [`bytes`](Self::bytes).
    #[cfg(feature = "json")]
    fn json<T: serde::de::DeserializeOwned>(self) -> impl Future<Output = Result<T>> + Send {
        self.into_fields_and_body().1.json()
    }
}

impl MessageExt for Request {
    fn into_fields_and_body(self) -> (HeaderMap, Body) {
        let (parts, body) = self.into_parts();
        (parts.headers, body)
    }
}

impl MessageExt for Response {
    fn into_fields_and_body(self) -> (HeaderMap, Body) {
        let (parts, body) = self.into_parts();
        (parts.headers, body)
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

    #[tokio::test]
    async fn cookies_credentials_and_forms_are_read_from_the_request() {
        let mut req = http::Request::post("/submit?a=q&b=%zz")
            .header("cookie", "sid=1; theme=dark")
            .header("cookie", "bad name=x; n=2")
            .header("authorization", "Basic YW5uOnMzY3JldA==")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .body(Body::from("a=b+c"))
            .unwrap();
        let names: Vec<_> = req.cookies().into_iter().map(|cookie| cookie.name).collect();
        assert_eq!(names, ["sid", "theme", "n"]);
        assert_eq!(req.basic_auth(), Some(BasicAuth::new("ann", "s3cret")));
        let form = req.form().await.unwrap();
        assert_eq!((form.all.encode().as_str(), form.body.encode().as_str()), ("a=b+c&a=q", "a=b+c"));
        assert_eq!(form.fault, Some(crate::FormFault::BadEscape));

        let mut json =
            http::Request::post("/").header("content-type", "application/json").body(Body::from("{}")).unwrap();
        assert!(json.form().await.unwrap().all.is_empty());
        assert_eq!(json.text().await.unwrap(), "{}", "a body that is no form is left alone");
    }
}
