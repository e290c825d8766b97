//! Sockets that wait for stray packets after their connection has ended. The side that closes first keeps one for a minute.

/// How many there are of connections with a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Waiting {
    pub(super) client: f64,
    pub(super) server: f64,
}

/// Those of the server that listens on `port` of 127.0.0.1; `None` where the system does not list them as Linux does.
pub(super) fn of(port: u16) -> Option<Waiting> {
    std::fs::read_to_string("/proc/net/tcp").ok().map(|table| count(&table, port))
}

fn count(table: &str, port: u16) -> Waiting {
    let mut waiting = Waiting { client: 0.0, server: 0.0 };
    for line in table.lines().skip(1) {
        // Number, local address, remote address, state.
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (Some(local), Some(remote), Some(TIME_WAIT)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let is_servers = |address: &str| {
            address.rsplit_once(':').and_then(|(_, hex)| u16::from_str_radix(hex, 16).ok()) == Some(port)
        };
        if is_servers(local) {
            waiting.server += 1.0;
        } else if is_servers(remote) {
            waiting.client += 1.0;
        }
    }
    waiting
}

/// As Linux numbers it (include/net/tcp_states.h).
const TIME_WAIT: &str = "06";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_told_by_their_ports() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17 1
   1: 0100007F:1F90 0100007F:C000 06 00000000:00000000 03:000015E7 00000000     0        0 0 3
   2: 0100007F:C001 0100007F:1F90 06 00000000:00000000 03:000015E7 00000000     0        0 0 3
   3: 0100007F:C002 0100007F:1F90 06 00000000:00000000 03:000015E7 00000000     0        0 0 3
   4: 0100007F:C003 0100007F:1F90 01 00000000:00000000 03:000015E7 00000000     0        0 0 3
   5: 0100007F:C004 0100007F:1F91 06 00000000:00000000 03:000015E7 00000000     0        0 0 3
";
        assert_eq!(count(table, 0x1f90), Waiting { client: 2.0, server: 1.0 });
    }
}
