//! What can be wrong with a field line.

use std::fmt;

use crate::excerpt::Excerpt;

/// Why a field line of a head or of a trailer section was refused.
///
/// **Shape**: each variant shows the offending line, cut to [`Excerpt::MAX`] bytes and escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldError {
    /// The line ends with LF alone (RFC 9112 section 2.2).
    BareLf(Excerpt),
    /// White space comes before the first field line (RFC 9112 section 2.2).
    LeadingSpace(Excerpt),
    /// The line begins with white space, and so continues the one before (RFC 9112 section 5.2).
    Folded(Excerpt),
    /// The line has no colon.
    NoColon(Excerpt),
    /// White space stands between the name and the colon (RFC 9112 section 5.1).
    SpaceBeforeColon(Excerpt),
    /// The name is empty, too long, or holds a byte that no token may hold (RFC 9110 section 5.1).
    Name(Excerpt),
    /// The value holds a control byte (RFC 9110 section 5.5).
    Value {
        /// The field's name as it came.
        name: Excerpt,
        /// The value, from its beginning.
        value: Excerpt,
    },
    /// There are more fields than a header map can hold.
    TooMany,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldError::BareLf(line) => write!(f, "line ended by LF without CR: {line}"),
            FieldError::LeadingSpace(line) => write!(f, "white space before the first field: {line}"),
            FieldError::Folded(line) => write!(f, "folded field line: {line}"),
            FieldError::NoColon(line) => write!(f, "field line without a colon: {line}"),
            FieldError::SpaceBeforeColon(line) => write!(f, "white space before the colon of a field: {line}"),
            FieldError::Name(line) => write!(f, "invalid field name: {line}"),
            FieldError::Value { name, value } => write!(f, "control byte in the value of field {name}: {value}"),
            FieldError::TooMany => f.write_str("more fields than a header map holds"),
        }
    }
}

impl std::error::Error for FieldError {}
