//! HTTP Basic authentication (RFC 7617).

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use http::HeaderValue;

/// User name and password of an `Authorization: Basic` field: Go's `Request.BasicAuth` and `SetBasicAuth`.
///
/// **Shape**: any bytes, mostly UTF-8; the user name has no colon when it was read from a field. `Debug` hides the password.
///
/// ```
/// use roundtrip_types::BasicAuth;
///
/// let auth = BasicAuth::new("ann", "s3cret");
/// assert_eq!(auth.to_header_value(), "Basic YW5uOnMzY3JldA==");
/// assert_eq!(BasicAuth::parse(b"basic YW5uOnMzY3JldA=="), Some(auth));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct BasicAuth {
    username: Vec<u8>,
    password: Vec<u8>,
}

/// Go's decoder does not look at the unused bits of the last digit, so neither do we.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

impl BasicAuth {
    /// These credentials.
    #[must_use]
    pub fn new(username: impl Into<Vec<u8>>, password: impl Into<Vec<u8>>) -> Self {
        BasicAuth { username: username.into(), password: password.into() }
    }

    /// Reads an `Authorization` field's value; `None` if it is of another scheme, not base64, or without a colon.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (scheme, digits) = value.split_at_checked("Basic ".len())?;
        let decoded = BASE64.decode(digits).ok().filter(|_| scheme.eq_ignore_ascii_case(b"Basic "))?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        Some(BasicAuth::new(&decoded[..colon], &decoded[colon + 1..]))
    }

    /// The user name; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn username(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.username)
    }

    /// The password; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn password(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.password)
    }

    /// The user name as it was sent.
    #[must_use]
    pub fn username_bytes(&self) -> &[u8] {
        &self.username
    }

    /// The password as it was sent.
    #[must_use]
    pub fn password_bytes(&self) -> &[u8] {
        &self.password
    }

    /// The field's value, marked sensitive so that a `Debug` of the fields hides it.
    ///
    /// # Panics
    /// Never: base64 is visible ASCII.
    #[must_use]
    pub fn to_header_value(&self) -> HeaderValue {
        let mut text = String::from("Basic ");
        BASE64.encode_string([&self.username, &b":"[..], &self.password].concat(), &mut text);
        let mut value = HeaderValue::try_from(text).expect("base64 is visible ASCII");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicAuth").field("username", &self.username()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_password() {
        let auth = BasicAuth::new("ann", "s3cret");
        assert_eq!(format!("{auth:?} {:?}", auth.to_header_value()), "BasicAuth { username: \"ann\", .. } Sensitive");
    }
}
