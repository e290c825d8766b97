//! URLs as people and servers write them, made into what can be sent.
//!
//! [`http::Uri`] is strict: it has no fragment, no character that is not ASCII in a host, no space. Go's `net/url` takes all of
//! these, and so do `Location` fields in the wild. What the strict parser takes as it is takes its way; the rest is read here.

use std::borrow::Cow;
use std::fmt;

use http::{HeaderValue, Uri};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use roundtrip_types::BasicAuth;

/// Why a text is no URL, or none that can be requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UrlFault {
    /// A control character.
    Control,
    /// Nothing stands before the first colon.
    NoScheme,
    /// The first segment of a relative path has a colon, as in `1:2`.
    ColonInFirstSegment,
    /// A `%` without two hexadecimal digits.
    BadEscape,
    /// A character that user name and password cannot have.
    BadUserInfo,
    /// A character that a host cannot have, or a bracket without its partner.
    BadHost,
    /// Something else than digits after the host's colon.
    BadPort,
    /// It is only a part of a URL: nothing says where it belongs.
    Relative,
    /// It has no host although its scheme needs one.
    NoHost,
    /// Its scheme has no hosts.
    Scheme(String),
    /// What the strict parser says.
    Uri(String),
}

impl fmt::Display for UrlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlFault::Control => "it has a control character",
            UrlFault::NoScheme => "there is no scheme before the colon",
            UrlFault::ColonInFirstSegment => "there is a colon in the first segment of its path",
            UrlFault::BadEscape => "it has a '%' without two hexadecimal digits",
            UrlFault::BadUserInfo => "its user name or password has a character that must be percent-encoded",
            UrlFault::BadHost => "its host has a character that no host can have",
            UrlFault::BadPort => "its port is not a number",
            UrlFault::Relative => "it has no scheme: write http://host/path",
            UrlFault::NoHost => "it has no host",
            UrlFault::Scheme(scheme) => return write!(f, "unsupported scheme {scheme:?}"),
            UrlFault::Uri(reason) => reason,
        })
    }
}

/// A URL or a part of one, as RFC 3986, section 4.1, has it. Path and query are escaped where they have to be, and only there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// In lower case.
    scheme: Option<String>,
    authority: Option<Authority>,
    path: String,
    query: Option<String>,
    /// Something like `mailto:a@b`: what follows the scheme is no path.
    opaque: bool,
}

/// Who and where.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Authority {
    credentials: Option<BasicAuth>,
    /// With the port, if there is one; a name is ASCII.
    host: String,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Without user information.
    pub(crate) uri: Uri,
    /// The user information, decoded.
    pub(crate) credentials: Option<BasicAuth>,
}

impl Reference {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, UrlFault> {
        if text.iter().any(u8::is_ascii_control) {
            return Err(UrlFault::Control);
        }
        let (rest, fragment) = cut(text, b'#');
        fragment.map_or(Ok(()), check_escapes)?;
        let (scheme, rest) = scheme(rest)?;
        let (rest, query) = cut(rest, b'?');
        let query = query.map(|query| escape(query, IN_QUERY));
        let mut reference = Reference { scheme, authority: None, path: String::new(), query, opaque: false };
        let mut path = rest;
        if !rest.starts_with(b"/") {
            if reference.scheme.is_some() {
                reference.opaque = true;
                return Ok(reference);
            }
            if cut(rest, b'/').0.contains(&b':') {
                return Err(UrlFault::ColonInFirstSegment);
            }
        } else if rest.starts_with(b"//") && (reference.scheme.is_some() || !rest.starts_with(b"///")) {
            let end = rest[2..].iter().position(|byte| *byte == b'/').map_or(rest.len(), |at| at + 2);
            reference.authority = Some(Authority::parse(&rest[2..end])?);
            path = &rest[end..];
        }
        check_escapes(path)?;
        reference.path = escape(path, IN_PATH);
        Ok(reference)
    }

    /// Whether it stands for a place of its own rather than one relative to where it was found.
    pub(crate) fn is_absolute(&self) -> bool {
        self.scheme.is_some()
    }

    /// The place that it stands for when it is found at `base` (RFC 3986, section 5.2).
    pub(crate) fn resolve(self, base: &Target) -> Result<Target, UrlFault> {
        let base_scheme = base.uri.scheme_str().unwrap_or("http");
        if self.scheme.is_none() && self.authority.is_none() {
            // The query of the base goes with its path, but not with another one.
            let query = match self.query {
                Some(query) => Some(query),
                None if self.path.is_empty() => base.uri.query().map(str::to_owned),
                None => None,
            };
            let host = base.uri.authority().map_or("", |authority| authority.as_str());
            let path = resolve_path(base.uri.path(), &self.path);
            let uri = assemble(base_scheme, host, &path, query.as_deref())?;
            return Ok(Target { uri, credentials: base.credentials.clone() });
        }
        let scheme = self.scheme.as_deref().unwrap_or(base_scheme);
        match self.authority {
            Some(Authority { credentials, host }) if !host.is_empty() && !host.starts_with(':') => {
                let path = resolve_path(&self.path, "");
                Ok(Target { uri: assemble(scheme, &host, &path, self.query.as_deref())?, credentials })
            }
            _ if matches!(scheme, "http" | "https") => Err(UrlFault::NoHost),
            _ => Err(UrlFault::Scheme(scheme.to_owned())),
        }
    }
}

/// Reads a URL that a user has written and that the strict parser may refuse.
pub(crate) fn parse_leniently(text: &str) -> Result<Target, UrlFault> {
    let base = Target { uri: Uri::default(), credentials: None };
    let reference = match Reference::parse(text.as_bytes()) {
        // As in `127.0.0.1:8080`.
        Err(UrlFault::ColonInFirstSegment) => return Err(UrlFault::Relative),
        parsed => parsed?,
    };
    match reference.scheme {
        None => Err(UrlFault::Relative),
        // `localhost:8080` is a scheme and something opaque to the letter, and a host and a port to its author.
        Some(_)
            if reference.opaque
                && text.split_once(':').is_some_and(|(_, port)| port.starts_with(|c: char| c.is_ascii_digit())) =>
        {
            Err(UrlFault::Relative)
        }
        Some(_) => reference.resolve(&base),
    }
}

/// The `Host` field of a URL whose address has a zone: the zone means something on this machine only (RFC 6874, section 1).
pub(crate) fn host_without_zone(uri: &Uri) -> Option<HeaderValue> {
    let authority = uri.authority()?.as_str();
    let (address, rest) = authority.split_once('%')?;
    let (_, port) = rest.split_once(']')?;
    HeaderValue::try_from(format!("{address}]{port}")).ok()
}

/// Whether a path and query that the strict parser has taken can be sent as they are. It takes a few characters that have to be
/// escaped; all others that need it, it refuses.
pub(crate) fn needs_no_escape(target: &str) -> bool {
    let needs_escape = |byte| matches!(byte, b'"' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x7f..);
    !target.bytes().any(needs_escape)
}

/// Whether a URI has nothing but a host and a port where these stand: no user information, no zone.
pub(crate) fn is_host_alone(uri: &Uri) -> bool {
    // A loop of its own: authorities are short, and a search that looks for the fastest way takes 160 instructions.
    uri.authority().is_none_or(|authority| !authority.as_str().bytes().any(|byte| matches!(byte, b'@' | b'%')))
}

/// Takes the user information out of a URI: passwords have no place in what is logged, printed and handed around.
pub(crate) fn take_credentials(uri: &mut Uri) -> Option<BasicAuth> {
    let authority = uri.authority()?.as_str();
    let at = authority.rfind('@')?;
    let credentials = credentials(&authority[..at]);
    let host = authority[at + 1..].to_owned();
    let mut parts = std::mem::take(uri).into_parts();
    // What follows the '@' was a host before, and still is.
    parts.authority = host.parse().ok();
    *uri = Uri::from_parts(parts).unwrap_or_default();
    Some(credentials)
}

/// A text that may be a URL, without what may be a password before an `@`.
pub(crate) fn mask(text: &str) -> Cow<'_, str> {
    // The authority is looked for where there is one; elsewhere an '@' may be the end of a password too.
    let start = text.find("//").map_or(0, |at| at + 2);
    let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
    match text[start..end].rfind('@').or_else(|| text[start..].rfind('@').filter(|_| start == 0)) {
        Some(at) => Cow::Owned(format!("{}***{}", &text[..start], &text[start + at..])),
        None => Cow::Borrowed(text),
    }
}

/// Reads `user:password`. The password is empty if there is no colon, as in Go.
fn credentials(user_info: &str) -> BasicAuth {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let decode = |text| percent_decode_str(text).collect::<Vec<u8>>();
    BasicAuth::new(decode(user), decode(password))
}

impl Authority {
    fn parse(text: &[u8]) -> Result<Self, UrlFault> {
        let (user_info, host) = match text.iter().rposition(|byte| *byte == b'@') {
            Some(at) => (Some(&text[..at]), &text[at + 1..]),
            None => (None, text),
        };
        let host = host_and_port(host)?;
        let Some(user_info) = user_info else { return Ok(Authority { credentials: None, host }) };
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte);
        match std::str::from_utf8(user_info) {
            Ok(text) if user_info.iter().all(allowed) => {
                check_escapes(user_info)?;
                Ok(Authority { credentials: Some(credentials(text)), host })
            }
            _ => Err(UrlFault::BadUserInfo),
        }
    }
}

fn host_and_port(text: &[u8]) -> Result<String, UrlFault> {
    let is_port = |port: &[u8]| port.is_empty() || port[0] == b':' && port[1..].iter().all(u8::is_ascii_digit);
    let colon = match text.iter().rposition(|byte| *byte == b'[') {
        Some(0) => text.iter().rposition(|byte| *byte == b']').ok_or(UrlFault::BadHost)? + 1,
        Some(_) => return Err(UrlFault::BadHost),
        None => text.iter().rposition(|byte| *byte == b':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(colon);
    if !is_port(port) {
        return Err(UrlFault::BadPort);
    }
    let zone = host.windows(3).position(|bytes| bytes == b"%25").filter(|_| host.starts_with(b"["));
    if let Some(zone) = zone {
        // RFC 6874: the zone is kept as it is written.
        let (address, zone) = host.split_at(zone);
        check_escapes(zone)?;
        return Ok(format!(
            "{}{}{}",
            ascii_host(address)?,
            String::from_utf8_lossy(zone),
            String::from_utf8_lossy(port)
        ));
    }
    let host = ascii_host(host)?;
    Ok(format!("{host}{}", String::from_utf8_lossy(port)))
}

/// The host in ASCII: a name with other characters is mapped and encoded (UTS 46), as browsers do.
fn ascii_host(host: &[u8]) -> Result<Cow<'_, str>, UrlFault> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]".contains(byte);
    if host.iter().all(allowed) {
        // Allowed bytes are ASCII.
        return Ok(String::from_utf8_lossy(host));
    }
    check_escapes(host)?;
    // Only what is not ASCII may be escaped in a host (RFC 3986, section 3.2.2): `%2F` in one is an attack.
    let text = std::str::from_utf8(host).map_err(|_| UrlFault::BadHost)?;
    let is_ascii_escape = |(at, _): (usize, &str)| text.as_bytes()[at + 1] < b'8';
    if text.match_indices('%').any(is_ascii_escape) {
        return Err(UrlFault::BadHost);
    }
    let decoded: Vec<u8> = percent_decode_str(text).collect();
    if !decoded.iter().all(|byte| !byte.is_ascii() || allowed(byte)) {
        return Err(UrlFault::BadHost);
    }
    let name = idna::domain_to_ascii_cow(&decoded, idna::AsciiDenyList::EMPTY).map_err(|_| UrlFault::BadHost)?;
    Ok(Cow::Owned(name.into_owned()))
}

/// Reads `scheme:`. What does not look like one is part of what follows.
fn scheme(text: &[u8]) -> Result<(Option<String>, &[u8]), UrlFault> {
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err(UrlFault::NoScheme),
            b':' => return Ok((Some(String::from_utf8_lossy(&text[..at]).to_ascii_lowercase()), &text[at + 1..])),
            _ => break,
        }
    }
    Ok((None, text))
}

/// A path relative to another, without `.` and `..` (RFC 3986, section 5.2.4).
fn resolve_path(base: &str, path: &str) -> String {
    let full = match path {
        "" => Cow::Borrowed(base),
        path if path.starts_with('/') => Cow::Borrowed(path),
        path => Cow::Owned(format!("{}{path}", &base[..base.rfind('/').map_or(0, |slash| slash + 1)])),
    };
    if full.is_empty() {
        return String::new();
    }
    let mut kept: Vec<&str> = Vec::new();
    let segments = full.strip_prefix('/').unwrap_or(&full).split('/');
    let mut ends_in_dots = false;
    for segment in segments {
        ends_in_dots = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    if ends_in_dots {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

fn assemble(scheme: &str, host: &str, path: &str, query: Option<&str>) -> Result<Uri, UrlFault> {
    let (mark, query) = query.map_or(("", ""), |query| ("?", query));
    let path = if path.is_empty() { "/" } else { path };
    Uri::try_from(format!("{scheme}://{host}{path}{mark}{query}")).map_err(|error| UrlFault::Uri(error.to_string()))
}

fn cut(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == at) {
        Some(found) => (&text[..found], Some(&text[found + 1..])),
        None => (text, None),
    }
}

fn check_escapes(text: &[u8]) -> Result<(), UrlFault> {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        match rest.get(at + 1..at + 3) {
            Some([first, second]) if first.is_ascii_hexdigit() && second.is_ascii_hexdigit() => rest = &rest[at + 3..],
            _ => return Err(UrlFault::BadEscape),
        }
    }
    Ok(())
}

/// What a path cannot have as it is; a `%` is part of an escape.
const IN_PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// What a query cannot have as it is. Braces, bars and backslashes are common in queries and harmless; Go sends them.
const IN_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

fn escape(text: &[u8], set: &'static AsciiSet) -> String {
    percent_encode(text, set).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resolved(base: &str, location: &str) -> Result<String, UrlFault> {
        let base = Target { uri: base.parse().unwrap(), credentials: None };
        Ok(Reference::parse(location.as_bytes())?.resolve(&base)?.uri.to_string())
    }

    #[test]
    fn the_examples_of_rfc_3986_section_5_4() {
        for (reference, want) in [
            ("g:h", Err(UrlFault::Scheme("g".into()))),
            ("g", Ok("http://a/b/c/g")),
            ("./g", Ok("http://a/b/c/g")),
            ("g/", Ok("http://a/b/c/g/")),
            ("/g", Ok("http://a/g")),
            ("//g", Ok("http://g/")),
            ("?y", Ok("http://a/b/c/d;p?y")),
            ("g?y", Ok("http://a/b/c/g?y")),
            ("#s", Ok("http://a/b/c/d;p?q")),
            ("g?y#s", Ok("http://a/b/c/g?y")),
            (";x", Ok("http://a/b/c/;x")),
            ("", Ok("http://a/b/c/d;p?q")),
            (".", Ok("http://a/b/c/")),
            ("./", Ok("http://a/b/c/")),
            ("..", Ok("http://a/b/")),
            ("../g", Ok("http://a/b/g")),
            ("../..", Ok("http://a/")),
            ("../../g", Ok("http://a/g")),
            ("../../../g", Ok("http://a/g")),
            ("/./g", Ok("http://a/g")),
            ("/../g", Ok("http://a/g")),
            ("g.", Ok("http://a/b/c/g.")),
            ("..g", Ok("http://a/b/c/..g")),
            ("./../g", Ok("http://a/b/g")),
            ("./g/.", Ok("http://a/b/c/g/")),
            ("g/./h", Ok("http://a/b/c/g/h")),
            ("g/../h", Ok("http://a/b/c/h")),
            ("g;x=1/../y", Ok("http://a/b/c/y")),
            ("g?y/../x", Ok("http://a/b/c/g?y/../x")),
        ] {
            let got = resolved("http://a/b/c/d;p?q", reference);
            assert_eq!(got, want.map(str::to_owned), "{reference}");
        }
    }

    #[test]
    fn hosts_in_other_scripts_are_mapped_and_encoded() {
        for host in ["bücher.test", "BÜCHER.test", "b%C3%BCcher.test", "bu\u{308}cher。test"] {
            assert_eq!(
                parse_leniently(&format!("http://{host}/ü?ü")).unwrap().uri,
                "http://xn--bcher-kva.test/%C3%BC?%C3%BC"
            );
        }
        for host in ["a%2Fb", "a b", "a<b", "%00.test", "[::1", "x[::1]"] {
            assert!(parse_leniently(&format!("http://{host}/")).is_err(), "{host}");
        }
        let zone = parse_leniently("http://[fe80::1%25eth0]:8080/").unwrap().uri;
        assert_eq!((zone.host(), zone.port_u16()), (Some("[fe80::1%25eth0]"), Some(8080)));
    }

    #[test]
    fn what_the_strict_parser_takes_needs_no_escape() {
        for byte in 0..=255_u8 {
            let text = format!("http://h/a{0}?b{0}", char::from(byte));
            let must = !matches!(byte, b'%' | b'#') && !byte.is_ascii_graphic() || b"\"<>\\^`{|}".contains(&byte);
            let target = text.parse::<Uri>().map(|uri| uri.path_and_query().unwrap().to_string());
            let strict = target.is_ok_and(|target| needs_no_escape(&target));
            assert!(!(must && strict), "{byte:#x}");
            assert!(must || strict, "{byte:#x}");
        }
    }

    #[test]
    fn credentials_are_taken_out() {
        let mut uri: Uri = "http://u%40x:p%3A@h.test:8080/p?q".parse().unwrap();
        assert_eq!(take_credentials(&mut uri), Some(BasicAuth::new("u@x", "p:")));
        assert_eq!(uri, "http://h.test:8080/p?q");
        assert_eq!(take_credentials(&mut uri), None);
        let target = parse_leniently("http://u:p@bücher.test/").unwrap();
        assert_eq!(
            (target.uri.host(), target.credentials),
            (Some("xn--bcher-kva.test"), Some(BasicAuth::new("u", "p")))
        );
    }

    /// Bytes in which separators are more common than by chance.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![any::<u8>(), prop::sample::select(&b":/?#[]@%.\\ \x7f"[..]), b'a'..=b'f', b'0'..=b'9'];
        (
            prop::sample::select(vec!["", "http://", "//", "http:", "http://[", "http://u:p@h"]),
            prop::collection::vec(byte, 0..60),
        )
            .prop_map(|(start, rest)| [start.as_bytes(), &rest].concat())
    }

    proptest! {
        #[test]
        fn any_location_leads_somewhere_or_is_refused(location in hostile(), again in hostile()) {
            let base = Target { uri: "http://a/b/c?d".parse().unwrap(), credentials: None };
            let Ok(target) = Reference::parse(&location).and_then(|reference| reference.resolve(&base)) else { return Ok(()) };
            prop_assert!(target.uri.scheme().is_some() && target.uri.host().is_some(), "{:?}", target);
            let shown = target.uri.to_string();
            prop_assert!(shown.is_ascii() && !shown.contains(' '), "{}", shown);
            prop_assert!(target.uri.authority().is_none_or(|authority| !authority.as_str().contains('@')), "{}", shown);
            prop_assert!(target.uri.path().starts_with('/'), "{}", shown);
            prop_assert!(!target.uri.path().split('/').any(|segment| segment == "." || segment == ".."), "{}", shown);
            // Where it leads is a place from which one can go on.
            let _ = Reference::parse(&again).and_then(|reference| reference.resolve(&target));
        }

        #[test]
        fn no_password_is_shown(user in "[a-z]{0,5}", rest in "[ -~&&[^@/?#]]{0,9}") {
            for url in [format!("http://{user}:s3cret@h{rest}"), format!("{user}:s3cret@{rest}"), format!("//{user}:s3cret@{rest}/@")] {
                prop_assert!(!mask(&url).contains("s3cret"), "{} {}", url, mask(&url));
            }
        }
    }
}
