//! Follows the bytes of a client far enough to know how long each of its messages is going to be.
//!
//! Room for a message is made as soon as its header has said how long it is, so a header has to be
//! judged before anybody else reads it. The handshake before the first message is text, which ends
//! with a line `BEGIN` (D-Bus specification, "Authentication Protocol").

use thiserror::Error;

/// The fixed part of every header: two lengths are in it.
const HEADER: usize = 16;
/// More than any client has to say before its first message.
const LONGEST_HANDSHAKE: usize = 4096;

/// Why a client is not listened to any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Misframed {
    #[error("a message of {length} bytes is more than the {at_most} that are taken")]
    TooLong { length: usize, at_most: usize },
    #[error("a message in neither byte order")]
    ByteOrder,
    #[error("the handshake is none")]
    Handshake,
}

/// Where in its talk a client is.
#[derive(Debug)]
pub(super) struct Framing {
    at_most: usize,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// The line that is being said, and how much was said before.
    Handshake { line: Vec<u8>, said: usize },
    /// So much of a header.
    Header { bytes: [u8; HEADER], have: usize },
    /// So much of a message is left.
    Message { left: usize },
}

impl Framing {
    /// A client that has said nothing yet, and whose messages may be so long.
    pub(super) const fn new(at_most: usize) -> Self {
        Self { at_most, phase: Phase::Handshake { line: Vec::new(), said: 0 } }
    }

    /// Hears what the client has said next.
    pub(super) fn hear(&mut self, mut said: &[u8]) -> Result<(), Misframed> {
        while let Some(byte) = said.first().copied() {
            match &mut self.phase {
                Phase::Handshake { line, said: before } => {
                    said = &said[1..];
                    *before += 1;
                    line.push(byte);
                    if *before > LONGEST_HANDSHAKE || byte == b'\n' && !line.ends_with(b"\r\n") {
                        return Err(Misframed::Handshake);
                    }
                    if byte == b'\n' {
                        if line == b"BEGIN\r\n" || line == b"\0BEGIN\r\n" {
                            self.phase = Phase::Header { bytes: [0; HEADER], have: 0 };
                        } else {
                            line.clear();
                        }
                    }
                }
                Phase::Header { bytes, have } => {
                    bytes[*have] = byte;
                    *have += 1;
                    said = &said[1..];
                    if *have == HEADER {
                        let length = length(bytes).ok_or(Misframed::ByteOrder)?;
                        if length > self.at_most {
                            return Err(Misframed::TooLong { length, at_most: self.at_most });
                        }
                        self.next_message(length - HEADER);
                    }
                }
                Phase::Message { left } => {
                    let heard = said.len().min(*left);
                    said = &said[heard..];
                    let left = *left - heard;
                    self.next_message(left);
                }
            }
        }
        Ok(())
    }

    fn next_message(&mut self, left: usize) {
        self.phase = match left {
            0 => Phase::Header { bytes: [0; HEADER], have: 0 },
            left => Phase::Message { left },
        };
    }
}

/// The length of a whole message by the fixed part of its header: byte order at 0, length of the
/// body at 4, of the array of header fields at 12; the fields are padded to eight bytes (D-Bus
/// specification, "Message Format"). `None` if there is no byte order.
fn length(header: &[u8; HEADER]) -> Option<usize> {
    let number = |at: usize| {
        let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
        match header[0] {
            b'l' => Some(u32::from_le_bytes(bytes)),
            b'B' => Some(u32::from_be_bytes(bytes)),
            _ => None,
        }
    };
    let (body, fields) = (u64::from(number(4)?), u64::from(number(12)?));
    let length = 16 + fields.next_multiple_of(8) + body;
    Some(usize::try_from(length).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HANDSHAKE: &[u8] = b"\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";

    fn message(fields: u32, body: u32) -> Vec<u8> {
        let mut bytes = vec![b'l', 1, 0, 1];
        bytes.extend(body.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(fields.to_le_bytes());
        let rest = fields.next_multiple_of(8) + body;
        // Whatever is in a message is not looked at, also if it reads like a handshake.
        bytes.extend(b"BEGIN\r\n".iter().cycle().take(usize::try_from(rest).unwrap()));
        bytes
    }

    proptest! {
        #[test]
        fn however_it_is_cut_it_is_followed(
            lengths in prop::collection::vec((0_u32..40, 0_u32..200), 1..6),
            cut in 1_usize..50,
        ) {
            let mut all = HANDSHAKE.to_vec();
            for (fields, body) in lengths {
                all.extend(message(fields, body));
            }
            all.extend(message(0, 1_000_000));
            let mut framing = Framing::new(1000);
            let heard: Result<Vec<()>, Misframed> = all.chunks(cut).map(|part| framing.hear(part)).collect();
            prop_assert_eq!(heard, Err(Misframed::TooLong { length: 1_000_016, at_most: 1000 }));
        }

        #[test]
        fn noise_is_survived(noise in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = Framing::new(1000).hear(&noise);
            let mut framing = Framing::new(1000);
            framing.hear(HANDSHAKE).unwrap();
            let _ = framing.hear(&noise);
        }
    }

    /// However the bytes are cut, what is heard is the same, and a message that is too long is never
    /// taken.
    #[test]
    fn fuzz_framing() {
        const AT_MOST: usize = 1000;
        let heard = |bytes: &[u8], cut: usize| {
            let mut framing = Framing::new(AT_MOST);
            let heard = bytes.chunks(cut).try_for_each(|part| framing.hear(part));
            (heard, framing)
        };
        let seeds = [[HANDSHAKE, &message(40, 200)].concat(), message(8, 4), HANDSHAKE.to_vec()];
        bij_fuzz::Target::new("framing", env!("CARGO_MANIFEST_DIR"))
            .also(seeds)
            .tokens(&["BEGIN\r\n", "AUTH EXTERNAL 30\r\n", "l\x01\0\x01", "B\x01\0\x01", "\r\n"])
            .run(|bytes| {
                let (whole, framing) = heard(bytes, usize::MAX);
                if let Phase::Message { left } = framing.phase {
                    assert!(left <= AT_MOST, "{left} bytes are still to come");
                }
                for cut in [1, 7, 16] {
                    assert_eq!(heard(bytes, cut).0, whole);
                }
            });
    }

    #[test]
    fn the_longest_lengths_do_not_wrap() {
        for order in [b'l', b'B'] {
            let mut framing = Framing::new(usize::MAX - 1);
            framing.hear(HANDSHAKE).unwrap();
            let mut header = [0xff; HEADER];
            header[0] = order;
            // 16 + 2^32 + 2^32 - 1: still a number.
            assert_eq!(framing.hear(&header), Ok(()));
        }
    }

    #[test]
    fn a_line_that_ends_oddly_is_no_handshake() {
        for bad in [&b"\n"[..], b"\0AUTH\n", b"\0AUTH\r\n\n"] {
            assert_eq!(Framing::new(9).hear(bad), Err(Misframed::Handshake));
        }
        assert_eq!(Framing::new(9).hear(&[b'x'; 5000]), Err(Misframed::Handshake));
        let mut framing = Framing::new(9);
        framing.hear(HANDSHAKE).unwrap();
        assert_eq!(framing.hear(&[b'x'; HEADER]), Err(Misframed::ByteOrder));
    }
}
