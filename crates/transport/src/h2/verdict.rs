//! What h2 says to the peer and not to us: that a response went beyond its window.
//!
//! h2 resets a stream that is sent more than its flow-control window allows, and reads and forgets what still comes for it. A peer that goes
//! on would keep us reading for as long as it likes, whether or not anybody reads that response. So the frames that go out are looked at
//! for that reset, and the connection ends (RFC 9113, section 6.9, allows either).

/// Looks at bytes that go out.
#[derive(Debug)]
pub(super) struct Verdict {
    /// The head of the frame, and the code of a reset, as far as they went out.
    head: [u8; HEAD + CODE],
    have: usize,
    /// Bytes up to the next frame.
    left: usize,
    overrun: bool,
}

const HEAD: usize = 9;
const CODE: usize = 4;
/// What a client says before its first frame (RFC 9113, section 3.4).
const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
const RST_STREAM: u8 = 3;

impl Verdict {
    pub(super) fn new() -> Self {
        Verdict { head: [0; HEAD + CODE], have: 0, left: PREFACE, overrun: false }
    }

    /// Whether a stream was reset because more came than its window allows. We reset none for that reason ourselves.
    pub(super) fn is_overrun(&self) -> bool {
        self.overrun
    }

    pub(super) fn look(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let count = bytes.len().min(self.left);
                self.left -= count;
                bytes = &bytes[count..];
                continue;
            }
            let is_reset = self.have >= HEAD && self.head[3] == RST_STREAM;
            let wanted = if is_reset { HEAD + CODE } else { HEAD };
            let count = bytes.len().min(wanted - self.have);
            self.head[self.have..self.have + count].copy_from_slice(&bytes[..count]);
            self.have += count;
            bytes = &bytes[count..];
            if self.have == HEAD + CODE {
                self.overrun |= self.head[HEAD..] == u32::from(h2::Reason::FLOW_CONTROL_ERROR).to_be_bytes();
                self.have = 0;
            } else if self.have == HEAD && self.head[3] != RST_STREAM {
                let [a, b, c, ..] = self.head;
                self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.have = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn an_overrun_is_seen_however_it_is_cut_and_nothing_else_is_one() {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let before = [preface, frame(4, &[3; 12]), frame(1, &[3; 40]), frame(0, &[3; 100]), frame(0, &[])].concat();
        for (last, want) in [
            (frame(RST_STREAM, &[0, 0, 0, 3]), true),
            (frame(RST_STREAM, &[0, 0, 0, 8]), false),
            (frame(RST_STREAM, &[0, 0, 0, 3])[..HEAD + CODE - 1].to_vec(), false),
            (frame(6, &[0, 0, 0, 3, 0, 0, 0, 3]), false),
            (frame(8, &[0, 0, 0, 3]), false),
            ([frame(RST_STREAM, &[0, 0, 0, 3]), frame(RST_STREAM, &[0, 0, 0, 8]), frame(0, b"x")].concat(), true),
        ] {
            let bytes = [&before[..], &last].concat();
            for size in 1..=bytes.len() {
                let mut verdict = Verdict::new();
                bytes.chunks(size).for_each(|piece| verdict.look(piece));
                assert_eq!(verdict.is_overrun(), want, "{last:?} in pieces of {size}");
            }
        }
    }
}
