//! What must hold for every input, whoever makes it: property tests, the committed corpus, and the fuzz targets all end here.

use bytes::BytesMut;
use http::{HeaderMap, Method};
use roundtrip_h1::{
    Decoded, Decoder, DecoderLimits, FieldError, Framing, HeadError, Leniency, Limits, RequestParser, ResponseParser,
    keep_alive, request_framing, response_framing,
};

/// What one input of a fuzz target has to hold. The first bytes choose how the rest is cut and read.
pub(crate) fn target(name: &str, input: &[u8]) {
    let (setup, rest) = input.split_at(input.len().min(3));
    let [flags, a, b] = [0, 1, 2].map(|i| setup.get(i).copied().unwrap_or(0));
    // Cuts within the first few hundred bytes, where the structure is.
    let cuts = [usize::from(a), usize::from(b)];
    let leniency = Leniency {
        bare_lf: flags & 1 != 0,
        obs_fold: flags & 2 != 0,
        space_before_colon: flags & 4 != 0,
        space_after_chunk_size: flags & 8 != 0,
        unencoded_target: flags & 16 != 0,
        any_target: flags & 32 != 0,
    };
    let method = [Method::GET, Method::HEAD, Method::CONNECT, Method::POST][usize::from(flags >> 6)].clone();
    match name {
        "response_head" => {
            pieces_do_not_matter(&Role::Client(Method::HEAD), leniency, rest, &cuts);
        }
        "request_head" => pieces_do_not_matter(&Role::Server, leniency, rest, &cuts),
        "chunked" => chunked(rest, &cuts),
        "response_stream" => pieces_do_not_matter(&Role::Client(method), leniency, rest, &cuts),
        // The target itself compares with hyper, which is not known here; its inputs are streams like others, behind one byte.
        "hyper_differential" => {
            let method = if flags & 1 == 0 { Method::GET } else { Method::HEAD };
            pieces_do_not_matter(&Role::Client(method), Leniency::STRICT, input.get(1..).unwrap_or_default(), &cuts);
        }
        "httparse_differential" => {
            response_head_against_httparse(rest);
            request_head_against_httparse(rest);
        }
        other => panic!("no fuzz target is called {other}"),
    }
}

/// What a reader of a stream is told, in order. Data is joined, since how it is cut is up to the pieces it comes in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Head(String),
    Data(Vec<u8>),
    Trailers(String),
    End,
    /// What was wrong, without the excerpt, which shows as much as had come.
    Failed(String),
}

/// The events of a stream of messages, and what is left over when more bytes are needed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Transcript {
    pub(crate) events: Vec<Event>,
    pub(crate) rest: Vec<u8>,
}

impl Transcript {
    fn push(&mut self, event: Event) {
        match (self.events.last_mut(), event) {
            (Some(Event::Data(data)), Event::Data(more)) => data.extend(more),
            (_, event) => self.events.push(event),
        }
    }
}

/// How to read a stream: as a client whose requests all had this method, or as a server.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    Client(Method),
    Server,
}

enum Parser {
    Response(ResponseParser, Method),
    Request(RequestParser),
}

const LIMITS: Limits = Limits { max_head_bytes: 4096, max_fields: 40 };
const BODY_LIMITS: DecoderLimits =
    DecoderLimits { max_chunk_line: 200, max_chunk_excess: 1000, max_trailer_bytes: 1000, max_trailer_fields: 10 };

/// Reads the pieces as one stream, message after message, until an error or until nothing is left.
pub(crate) fn read<'a>(role: &Role, leniency: Leniency, pieces: impl IntoIterator<Item = &'a [u8]>) -> Transcript {
    let mut parser = match role {
        Role::Client(method) => Parser::Response(ResponseParser::new(LIMITS).with_leniency(leniency), method.clone()),
        Role::Server => Parser::Request(RequestParser::new(LIMITS).with_leniency(leniency)),
    };
    let mut body: Option<Decoder> = None;
    let mut transcript = Transcript::default();
    let mut buf = BytesMut::new();
    for piece in pieces {
        buf.extend_from_slice(piece);
        loop {
            let before = buf.len();
            let step = step(&mut parser, &mut body, &mut buf, leniency);
            assert!(buf.len() <= before, "nothing puts bytes back");
            match step {
                Ok(Some(event)) => transcript.push(event),
                Ok(None) => break,
                Err(error) => {
                    transcript.push(Event::Failed(error));
                    return transcript;
                }
            }
        }
    }
    transcript.rest = buf.to_vec();
    transcript
}

fn step(
    parser: &mut Parser,
    body: &mut Option<Decoder>,
    buf: &mut BytesMut,
    leniency: Leniency,
) -> Result<Option<Event>, String> {
    if let Some(decoder) = body {
        let done = decoder.is_done();
        let event = decoder.decode(buf).map_err(|e| kind(&e));
        match &event {
            Ok(Decoded::End) => *body = None,
            Ok(Decoded::Data(data)) => {
                assert!(!data.is_empty() && !done, "data is never empty and never behind the end")
            }
            Err(error) => assert_eq!(&decoder.decode(buf).map_err(|e| kind(&e)).unwrap_err(), error, "an error stays"),
            _ => {}
        }
        return Ok(match event? {
            Decoded::Data(data) => Some(Event::Data(data.to_vec())),
            Decoded::Trailers(fields) => Some(Event::Trailers(format!("{fields:?}"))),
            Decoded::End => Some(Event::End),
            Decoded::NeedMore => {
                assert!(!done);
                None
            }
        });
    }
    let before = buf.len();
    let (framing, text) = match parser {
        Parser::Response(parser, method) => {
            let Some(head) = parser.parse(buf).map_err(|e| kind(&e))? else { return Ok(None) };
            assert_eq!(head.head_bytes, before - buf.len(), "a head takes its own bytes");
            let framing = response_framing(method, &head).map_err(|e| kind(&e))?;
            assert!(framing != Framing::UntilClose || !is_framed(&head.headers), "the fields are not overlooked");
            let keep = keep_alive(head.version, &head.headers, framing);
            assert_eq!(head.keep_alive(framing), keep);
            (framing, format!("{:?} {} {:?} {:?} {keep}", head.version, head.status, head.reason, head.headers))
        }
        Parser::Request(parser) => {
            let Some(head) = parser.parse(buf).map_err(|e| kind(&e))? else { return Ok(None) };
            assert_eq!(head.head_bytes, before - buf.len(), "a head takes its own bytes");
            let framing = request_framing(&head).map_err(|e| kind(&e))?;
            assert!(framing != Framing::None || !is_framed(&head.headers), "the fields are not overlooked");
            let keep = keep_alive(head.version, &head.headers, framing);
            assert_eq!(head.keep_alive(framing), keep);
            (framing, format!("{} {} {:?} {:?} {keep}", head.method, head.target, head.version, head.headers))
        }
    };
    *body = Some(Decoder::new(framing, BODY_LIMITS).with_leniency(leniency));
    Ok(Some(Event::Head(format!("{text} {framing:?}"))))
}

fn is_framed(headers: &HeaderMap) -> bool {
    headers.contains_key("content-length") || headers.contains_key("transfer-encoding")
}

/// The variant of an error and its numbers, without quoted text.
fn kind(error: &(impl std::fmt::Debug + std::fmt::Display)) -> String {
    assert!(error.to_string().len() < 600, "messages are bounded: {error}");
    assert!(error.to_string().chars().all(|c| c.is_ascii_graphic() || c == ' '), "messages are escaped: {error}");
    let text = format!("{error:?}").replace(r"\\", "").replace(r#"\""#, "");
    text.split('"').step_by(2).map(|part| part.trim_start_matches("...")).collect()
}

/// Cutting a stream into pieces, in any way, changes nothing; and what is told early is never taken back.
pub(crate) fn pieces_do_not_matter(role: &Role, leniency: Leniency, input: &[u8], cuts: &[usize]) {
    let whole = read(role, leniency, [input]);
    let mut pieces = Vec::new();
    let mut rest = input;
    for cut in cuts {
        let (piece, behind) = rest.split_at(cut % (rest.len() + 1));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    assert_eq!(read(role, leniency, pieces), whole, "cut at {cuts:?}");
    if input.len() <= 512 {
        assert_eq!(read(role, leniency, input.chunks(1)), whole, "byte by byte");
    }
    let prefix = &input[..cuts.first().map_or(0, |cut| cut % (input.len() + 1))];
    let early = read(role, leniency, [prefix]);
    assert!(is_beginning(&early.events, &whole.events), "{:?} is taken back by {:?}", early.events, whole.events);
    // What is left over is the end of the input.
    assert!(whole.events.iter().any(|e| matches!(e, Event::Failed(_))) || input.ends_with(&whole.rest));
}

fn is_beginning(early: &[Event], whole: &[Event]) -> bool {
    early.iter().enumerate().all(|(i, event)| match (event, whole.get(i)) {
        (Event::Data(part), Some(Event::Data(all))) => all.starts_with(part),
        (event, Some(other)) => event == other,
        (_, None) => false,
    })
}

/// A chunked body alone.
pub(crate) fn chunked(input: &[u8], cuts: &[usize]) {
    let message = [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", input].concat();
    for leniency in
        [Leniency::STRICT, Leniency { space_after_chunk_size: true, obs_fold: true, bare_lf: true, ..Leniency::STRICT }]
    {
        pieces_do_not_matter(&Role::Client(Method::GET), leniency, &message, cuts);
    }
    // No more data than input, and none of the framing fields among the trailers.
    let mut decoder = Decoder::new(Framing::Chunked, BODY_LIMITS);
    let mut buf = BytesMut::from(input);
    let mut len = 0;
    loop {
        match decoder.decode(&mut buf) {
            Ok(Decoded::Data(data)) => len += data.len(),
            Ok(Decoded::Trailers(fields)) => {
                assert!(!fields.contains_key("content-length") && !fields.contains_key("transfer-encoding"));
            }
            Ok(Decoded::End) => break,
            Ok(Decoded::NeedMore) => {
                assert!(decoder.eof().is_err(), "a chunked body never ends by closing");
                break;
            }
            Err(_) => break,
        }
    }
    assert!(len <= input.len());
}

/// A head that this crate takes, `httparse` takes too, and reads the same; where only `httparse` takes it, the reason is one of
/// those listed here.
pub(crate) fn response_head_against_httparse(input: &[u8]) {
    let ours = ResponseParser::new(LIMITS).with_leniency(Leniency::STRICT).parse(&mut BytesMut::from(input));
    let mut space = [httparse::EMPTY_HEADER; 64];
    let mut theirs = httparse::Response::new(&mut space);
    let verdict = theirs.parse(input);
    match (ours, verdict) {
        (Ok(Some(head)), Ok(httparse::Status::Complete(len))) => {
            assert_eq!(head.head_bytes, len);
            assert_eq!(Some(head.status.as_u16()), theirs.code);
            assert_eq!(head.version == http::Version::HTTP_11, theirs.version == Some(1));
            assert_same_fields(&head.headers, theirs.headers);
        }
        // httparse knows two versions.
        (Ok(Some(_)), Err(httparse::Error::Version)) => assert!(matches!(input[7], b'2'..=b'9')),
        (Ok(Some(head)), other) => panic!("we take {head:?}, httparse says {other:?}"),
        (Ok(None), Ok(httparse::Status::Complete(_))) => panic!("httparse is done, we want more"),
        (Err(error), Ok(httparse::Status::Complete(_))) => match error {
            HeadError::Field(FieldError::BareLf(_)) | HeadError::TooLarge { .. } | HeadError::TooManyFields { .. } => {}
            // Empty lines before a response, and status codes below 100.
            HeadError::NotHttp(_) => assert!(matches!(input[0], b'\r' | b'\n')),
            HeadError::StatusLine(_) => assert!(theirs.code < Some(100)),
            other => panic!("httparse takes what we refuse: {other}"),
        },
        (Ok(None) | Err(_), _) => {}
    }
}

/// As [`response_head_against_httparse`], for requests.
pub(crate) fn request_head_against_httparse(input: &[u8]) {
    let leniency = Leniency { unencoded_target: true, ..Leniency::STRICT };
    let ours = RequestParser::new(LIMITS).with_leniency(leniency).parse(&mut BytesMut::from(input));
    let mut space = [httparse::EMPTY_HEADER; 64];
    let mut theirs = httparse::Request::new(&mut space);
    let verdict = theirs.parse(input);
    match (ours, verdict) {
        (Ok(Some(head)), Ok(httparse::Status::Complete(len))) => {
            assert_eq!(head.head_bytes, len);
            assert_eq!(Some(head.method.as_str()), theirs.method);
            assert_eq!(head.version == http::Version::HTTP_11, theirs.version == Some(1));
            assert_same_fields(&head.headers, theirs.headers);
            let target = theirs.path.expect("a complete request has a target");
            assert!(head.target == target, "{} is not {target}", head.target);
        }
        (Ok(Some(_)), Err(httparse::Error::Version)) => {}
        (Ok(Some(head)), other) => panic!("we take {head:?}, httparse says {other:?}"),
        (Ok(None), Ok(httparse::Status::Complete(_))) => panic!("httparse is done, we want more"),
        (Err(error), Ok(httparse::Status::Complete(_))) => match error {
            HeadError::Field(FieldError::BareLf(_)) | HeadError::TooLarge { .. } | HeadError::TooManyFields { .. } => {}
            // What httparse leaves to others.
            HeadError::Target(_) | HeadError::MissingHost | HeadError::RepeatedHost(_) | HeadError::Host(_) => {}
            // We look at the first bytes of a method before its line is there.
            HeadError::Method(_) if input.starts_with(b"\n") => {}
            other => panic!("httparse takes what we refuse: {other}"),
        },
        (Ok(None) | Err(_), _) => {}
    }
}

fn assert_same_fields(ours: &HeaderMap, theirs: &[httparse::Header<'_>]) {
    assert_eq!(ours.len(), theirs.len());
    for name in ours.keys() {
        let same_name = theirs.iter().filter(|field| field.name.eq_ignore_ascii_case(name.as_str()));
        let values: Vec<&[u8]> = same_name.map(|field| field.value).collect();
        assert_eq!(ours.get_all(name).iter().map(|value| value.as_bytes()).collect::<Vec<_>>(), values, "{name}");
    }
}
