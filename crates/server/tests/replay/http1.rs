//! A strict parser of what a server sent.

use std::collections::BTreeMap;

/// One response, as far as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) proto: String,
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, Vec<String>>,
    pub(crate) framing: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) complete: bool,
    pub(crate) trailers: BTreeMap<String, Vec<String>>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|values| values.first()).map_or("", String::as_str)
    }
}

/// All that a server sent on one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replies {
    pub(crate) interim: Vec<u16>,
    pub(crate) replies: Vec<Reply>,
    /// Bytes that are no response.
    pub(crate) junk: Vec<u8>,
}

impl Replies {
    /// Takes apart `bytes`. `is_bodyless` says which response, by its index, answers HEAD or opens a tunnel; `ended` whether the
    /// server has closed.
    pub(crate) fn parse(mut bytes: &[u8], is_bodyless: impl Fn(usize, u16) -> bool, ended: bool) -> Self {
        let mut all = Replies::default();
        while !bytes.is_empty() {
            let Some((mut reply, mut rest)) = head(bytes) else {
                all.junk = bytes.to_vec();
                break;
            };
            if (100..200).contains(&reply.status) && reply.status != 101 {
                all.interim.push(reply.status);
                bytes = rest;
                continue;
            }
            let bodyless = is_bodyless(all.replies.len(), reply.status) || matches!(reply.status, 101 | 204 | 304);
            if bodyless {
                (reply.framing, reply.complete) = ("none", true);
            } else if reply.header("transfer-encoding").eq_ignore_ascii_case("chunked") {
                reply.framing = "chunked";
                rest = chunked(&mut reply, rest);
            } else if let Ok(length) = reply.header("content-length").parse::<usize>() {
                reply.framing = "length";
                reply.complete = rest.len() >= length;
                let (body, behind) = rest.split_at(length.min(rest.len()));
                reply.body = body.to_vec();
                rest = behind;
            } else {
                (reply.framing, reply.complete) = ("until_close", ended);
                reply.body = rest.to_vec();
                rest = &[];
            }
            let complete = reply.complete;
            all.replies.push(reply);
            if !complete {
                break;
            }
            bytes = rest;
        }
        all
    }
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    Some((&bytes[..end], &bytes[end + 2..]))
}

fn head(bytes: &[u8]) -> Option<(Reply, &[u8])> {
    let (first, mut rest) = line(bytes)?;
    let first = roundtrip_golden::latin1(first);
    let mut words = first.splitn(3, ' ');
    let mut reply = Reply { proto: words.next()?.to_owned(), ..Reply::default() };
    if !reply.proto.starts_with("HTTP/1.") {
        return None;
    }
    reply.status = words.next()?.parse().ok()?;
    rest = fields(rest, &mut reply.headers)?;
    Some((reply, rest))
}

fn fields<'a>(mut rest: &'a [u8], into: &mut BTreeMap<String, Vec<String>>) -> Option<&'a [u8]> {
    loop {
        let (one, behind) = line(rest)?;
        rest = behind;
        if one.is_empty() {
            return Some(rest);
        }
        let one = roundtrip_golden::latin1(one);
        let (name, value) = one.split_once(':')?;
        into.entry(name.to_lowercase()).or_default().push(value.trim().to_owned());
    }
}

fn chunked<'a>(reply: &mut Reply, mut rest: &'a [u8]) -> &'a [u8] {
    loop {
        let Some((size, behind)) = line(rest) else { return rest };
        let Ok(size) = usize::from_str_radix(&roundtrip_golden::latin1(size), 16) else { return rest };
        if size == 0 {
            let Some(behind) = fields(behind, &mut reply.trailers) else { return rest };
            reply.complete = true;
            return behind;
        }
        reply.body.extend_from_slice(&behind[..size.min(behind.len())]);
        if behind.len() < size + 2 || &behind[size..size + 2] != b"\r\n" {
            return rest;
        }
        rest = &behind[size + 2..];
    }
}
