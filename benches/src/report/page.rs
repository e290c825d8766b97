//! The page: one HTML file that needs nothing else.

mod sections;

use crate::model::{Phases, Results};
use crate::report::html::{escaped, sentence};
use crate::report::plots::Ink;
use crate::report::reading;

/// One phase of a request.
pub(super) struct Phase {
    pub(super) name: &'static str,
    pub(super) of: fn(&Phases) -> f64,
    pub(super) ink: Ink,
    /// Whether light letters are readable on it.
    pub(super) is_dark: bool,
    /// What happens in it.
    pub(super) explained: &'static str,
}

/// All phases in the order in which they happen.
pub(super) const PHASES: [Phase; 8] = [
    Phase {
        name: "queue",
        of: |phases| phases.queue,
        ink: Ink::QUEUE,
        is_dark: false,
        explained: "waiting for a connection",
    },
    Phase { name: "dns", of: |phases| phases.dns, ink: Ink::DNS, is_dark: false, explained: "resolving the name" },
    Phase {
        name: "connect",
        of: |phases| phases.connect,
        ink: Ink::CONNECT,
        is_dark: false,
        explained: "the TCP handshake",
    },
    Phase { name: "tls", of: |phases| phases.tls, ink: Ink::TLS, is_dark: true, explained: "the TLS handshake" },
    Phase {
        name: "write",
        of: |phases| phases.write,
        ink: Ink::WRITE,
        is_dark: false,
        explained: "sending the request",
    },
    Phase {
        name: "wait",
        of: |phases| phases.wait,
        ink: Ink::WAIT,
        is_dark: true,
        explained: "waiting for the answer",
    },
    Phase { name: "body", of: |phases| phases.body, ink: Ink::BODY, is_dark: true, explained: "reading the body" },
    Phase {
        name: "other",
        of: |phases| phases.other,
        ink: Ink::OTHER,
        is_dark: false,
        explained: "what none of them covers",
    },
];

const STYLE: &str = include_str!("style.css");

/// The run as one self-contained HTML page: no script, nothing loaded, readable on a phone, in the dark, on paper and aloud. It is
/// well-formed XML too.
#[must_use]
pub fn page(results: &Results) -> String {
    let headline = reading::headline(results);
    let mut body = String::new();
    if results.interrupted {
        body.push_str("<p class=\"warning\" role=\"status\"><strong>Interrupted.</strong> This run was stopped before all was measured. What follows is what it measured until then.</p>\n");
    }
    body.push_str(&format!(
        "<header>\n<p class=\"eyebrow\">roundtrip bench</p>\n<h1>{}</h1>\n",
        sentence(&headline.main)
    ));
    for detail in &headline.details {
        body.push_str(&format!("<p class=\"lead\">{}</p>\n", sentence(detail)));
    }
    body.push_str(&sections::context(results));
    body.push_str("</header>\n<main>\n");
    for section in [
        sections::tiles,
        sections::hero,
        sections::phases,
        sections::round_trips,
        sections::closing,
        sections::side_by_side,
        sections::growths,
        sections::budget,
        sections::scenarios,
        sections::absent,
        sections::reproduce,
    ] {
        body.push_str(&section(results));
    }
    body.push_str("</main>\n");
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>{} - roundtrip bench</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        escaped(&headline.main)
    )
}
