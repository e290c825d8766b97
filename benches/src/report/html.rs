//! Text for HTML that is well-formed XML too, so that a test can read it strictly.

use std::fmt::Write as _;

use crate::report::figure::{Figure, NOTHING};

/// A space that does not break.
const TIED: char = '\u{a0}';

/// Text between tags or in an attribute. Control characters, which XML has no place for, become spaces.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            char if char.is_control() && char != '\n' && char != '\t' => out.push(' '),
            char => out.push(char),
        }
    }
    out
}

/// A unit as people write it.
pub(super) fn unit(unit: &str) -> String {
    match unit.strip_prefix("us") {
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => format!("µs{rest}"),
        _ => unit.replace("us/", "µs/"),
    }
}

/// A figure with its unit, tied together.
pub(super) fn with_unit(figure: &Figure) -> String {
    match figure.unit {
        "" => number(&figure.number),
        of => format!("{}{TIED}{}", number(&figure.number), unit(of)),
    }
}

/// A number as people write it: a minus sign and a dash that are wide enough.
pub(super) fn number(number: &str) -> String {
    if number == NOTHING { "–".into() } else { number.replacen('-', "−", usize::from(number.starts_with('-'))) }
}

/// A sentence made for the terminal, with the units of the page.
pub(super) fn sentence(text: &str) -> String {
    escaped(text).replace(" us ", &format!("{TIED}µs ")).replace(" ms ", &format!("{TIED}ms "))
}

/// A table: heads, and rows of cells that are HTML already. The first cell of a row is its head.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = String::from("<div class=\"scroll\"><table><thead><tr>");
    for head in heads {
        // Writing into a String cannot fail.
        let _ = write!(out, "<th scope=\"col\">{}</th>", escaped(head));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let _ = if at == 0 { write!(out, "<th scope=\"row\">{cell}</th>") } else { write!(out, "<td>{cell}</td>") };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    out
}

/// Something to fold out.
pub(super) fn details(summary: &str, inside: &str) -> String {
    format!("<details><summary>{}</summary>{inside}</details>\n", escaped(summary))
}
