//! What follows from the figures, in sentences made of them.

use super::PUBLISHED;
use crate::model::{ClosingCount, ClosingTime};

/// Pool, server closes, no pool, new client, in this order.
type Ways = [f64; 4];

pub(super) fn of(counts: &[ClosingCount], times: &[ClosingTime]) -> Vec<String> {
    let count = |what: &str| counts.iter().find(|count| count.what == what).and_then(|count| ways(&count.figures));
    let time = |name: &str| times.iter().find(|time| time.name == name);
    let mut findings = Vec::new();
    if let Some([pool, closes, none, _]) = count("connections opened") {
        findings.push(format!(
            "The connection is not used again: {closes:.2} are opened for a request when the server closes, {none:.2} without a \
             pool, {pool:.3} with one."
        ));
    }
    if let Some([_, closes, none, new]) = count("TLS sessions resumed") {
        findings.push(format!(
            "The TLS session is: {} of handshakes are resumed when the server closes. That is no difference from going without a pool \
             ({}), since the transport remembers sessions either way; only a client made anew for each request has none ({}).",
            percent(closes),
            percent(none),
            percent(new)
        ));
    }
    if let Some([_, closes, none, new]) = count("names looked up") {
        findings.push(format!(
            "So is the name's address: {closes:.3} look-ups for a request when the server closes, {none:.3} without a pool, {new:.2} \
             with a new client. Go's transport looks up each time."
        ));
    }
    if let (Some(client), Some(server)) = (count("client's allocations, plain"), count("server's allocations, plain")) {
        findings.push(format!(
            "Memory is not, but for little: the client allocates {}, the server {} (pool, server closes, no pool, new client). Buffers \
             go with their connection; what a transport keeps besides it makes the difference to a new client.",
            row(client),
            row(server)
        ));
    }
    let (client, server) =
        (count("sockets left in TIME_WAIT, client's, plain"), count("sockets left in TIME_WAIT, server's, plain"));
    if let (Some(client), Some(server)) = (client, server) {
        findings.push(format!(
            "Closing first leaves a socket in TIME_WAIT for a minute, and with it a port. For each request it is on the client's side {:.2} \
             when the server closes and {:.2} without a pool, on the server's {:.2} and {:.2}.",
            client[1], client[2], server[1], server[2]
        ));
    }
    if let Some(near) = time("plain, loopback") {
        findings.push(format!(
            "On loopback a request takes {:.3} ms with a pool, {:.3} when the server closes and {:.3} without a pool: {}. The last two do \
             the same work, since either opens one connection for a request; who closes it is told by one header field.",
            near.milliseconds[0],
            near.milliseconds[1],
            near.milliseconds[2],
            ratio(&near.ratios)
        ));
    }
    for name in ["plain, 20 ms away", "TLS 1.3, 20 ms away", "TLS 1.3 with resumption, 20 ms away"] {
        findings.extend(time(name).map(|far| format!("{}: {}.", capital(name), ratio(&far.ratios))));
    }
    findings.push(published(times));
    findings
}

/// What the published times would take, if time were work and whole round trips.
fn published(times: &[ClosingTime]) -> String {
    let [pool, closes, none] = PUBLISHED;
    let fits: Vec<String> = (2..=4)
        .map(|trips| {
            let trip = (closes - pool) / f64::from(trips - 1);
            let work = pool - trip;
            let of_none = (none - work) / trip;
            if work < 0.0 {
                format!("{trips} trips of {trip:.1} ms cannot be, since a pooled request is shorter than one of them")
            } else {
                format!("{trips} trips of {trip:.1} ms and {work:.1} ms of work make {of_none:.1} trips without a pool")
            }
        })
        .collect();
    let nearest = times.iter().filter(|time| time.measured && time.ratios.len() >= 3).min_by(|a, b| {
        let apart = |time: &ClosingTime| (time.ratios[1] - closes / pool).abs() + (time.ratios[2] - none / pool).abs();
        apart(a).total_cmp(&apart(b))
    });
    let nearest = nearest
        .map_or_else(String::new, |time| format!(" The nearest here is {}: {}.", time.name, ratio(&time.ratios)));
    format!(
        "The write-up's {pool} : {closes} : {none} is {}. With one round trip for a pooled request and the same work for all, {}; a name, TCP, \
         TLS 1.2 and the request make 5. So its two ways of closing differ in more than who closes: without a pool something else must be made \
         anew each time or waited for, such as a client with its sessions and names, or a port.{nearest}",
        ratio(&[1.0, closes / pool, none / pool]),
        fits.join("; ")
    )
}

fn ways(figures: &[f64]) -> Option<Ways> {
    figures.try_into().ok()
}

fn row(figures: Ways) -> String {
    figures.map(|figure| format!("{figure:.1}")).join(", ")
}

/// The first three: pool, server closes, no pool.
fn ratio(ratios: &[f64]) -> String {
    ratios.iter().take(3).map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(" : ")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
