//! Parses the bytes of a client far enough to know the length of each message.
//!
//! zbus allocates memory for a message as soon as it has read the length in its header, so that length must be checked
//! before. The handshake before the first message is text, which ends with a line `BEGIN` (D-Bus specification,
//! "Authentication Protocol").

use thiserror::Error;

/// Length of the fixed part of every header, which contains two lengths.
const HEADER: usize = 16;
/// Length of the longest handshake that is accepted.
const MAX_HANDSHAKE: usize = 4096;

/// Why the connection of a client is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum FramingError {
    #[error("a message of {length} bytes is longer than the {at_most} that are allowed")]
    TooLong { length: usize, at_most: usize },
    #[error("a message without a valid byte order")]
    ByteOrder,
    #[error("the handshake is invalid")]
    Handshake,
}

/// The position of a client in the protocol.
#[derive(Debug)]
pub(super) struct Framing {
    at_most: usize,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// The current line, and the length of the handshake so far.
    Handshake { line: Vec<u8>, len: usize },
    /// The received part of a header.
    Header { bytes: [u8; HEADER], have: usize },
    /// Length of the rest of a message.
    Message { left: usize },
}

impl Framing {
    /// Returns the state of a new client, whose messages may have up to `at_most` bytes.
    pub(super) const fn new(at_most: usize) -> Self {
        Self { at_most, phase: Phase::Handshake { line: Vec::new(), len: 0 } }
    }

    /// Processes the next bytes of the client.
    pub(super) fn feed(&mut self, mut input: &[u8]) -> Result<(), FramingError> {
        while let Some(byte) = input.first().copied() {
            match &mut self.phase {
                Phase::Handshake { line, len } => {
                    input = &input[1..];
                    *len += 1;
                    line.push(byte);
                    if *len > MAX_HANDSHAKE || byte == b'\n' && !line.ends_with(b"\r\n") {
                        return Err(FramingError::Handshake);
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
                    input = &input[1..];
                    if *have == HEADER {
                        let length = length(bytes).ok_or(FramingError::ByteOrder)?;
                        if length > self.at_most {
                            return Err(FramingError::TooLong { length, at_most: self.at_most });
                        }
                        self.next_message(length - HEADER);
                    }
                }
                Phase::Message { left } => {
                    let fed = input.len().min(*left);
                    input = &input[fed..];
                    let left = *left - fed;
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

/// Returns the length of a whole message from the fixed part of its header: byte order at 0, length of the body at 4, of
/// the array of header fields at 12; the fields are padded to eight bytes (D-Bus specification, "Message Format"). `None`
/// if the byte order is invalid.
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
        // The content of a message is ignored, even if it resembles a handshake.
        bytes.extend(b"BEGIN\r\n".iter().cycle().take(usize::try_from(rest).unwrap()));
        bytes
    }

    proptest! {
        #[test]
        fn messages_are_followed_however_the_bytes_are_split(
            lengths in prop::collection::vec((0_u32..40, 0_u32..200), 1..6),
            cut in 1_usize..50,
        ) {
            let mut all = HANDSHAKE.to_vec();
            for (fields, body) in lengths {
                all.extend(message(fields, body));
            }
            all.extend(message(0, 1_000_000));
            let mut framing = Framing::new(1000);
            let fed: Result<Vec<()>, FramingError> = all.chunks(cut).map(|part| framing.feed(part)).collect();
            prop_assert_eq!(fed, Err(FramingError::TooLong { length: 1_000_016, at_most: 1000 }));
        }

        #[test]
        fn noise_is_survived(noise in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = Framing::new(1000).feed(&noise);
            let mut framing = Framing::new(1000);
            framing.feed(HANDSHAKE).unwrap();
            let _ = framing.feed(&noise);
        }
    }

    /// However the bytes are split, the result is the same, and a message that is too long is never accepted.
    #[test]
    fn fuzz_framing() {
        const MAX_LEN: usize = 1000;
        let fed = |bytes: &[u8], cut: usize| {
            let mut framing = Framing::new(MAX_LEN);
            let fed = bytes.chunks(cut).try_for_each(|part| framing.feed(part));
            (fed, framing)
        };
        let seeds = [[HANDSHAKE, &message(40, 200)].concat(), message(8, 4), HANDSHAKE.to_vec()];
        bij_fuzz::FuzzTarget::new("framing", env!("CARGO_MANIFEST_DIR"))
            .also(seeds)
            .tokens(&["BEGIN\r\n", "AUTH EXTERNAL 30\r\n", "l\x01\0\x01", "B\x01\0\x01", "\r\n"])
            .run(|bytes| {
                let (whole, framing) = fed(bytes, usize::MAX);
                if let Phase::Message { left } = framing.phase {
                    assert!(left <= MAX_LEN, "{left} bytes are still to come");
                }
                for cut in [1, 7, 16] {
                    assert_eq!(fed(bytes, cut).0, whole);
                }
            });
    }

    #[test]
    fn the_longest_lengths_do_not_wrap() {
        for order in [b'l', b'B'] {
            let mut framing = Framing::new(usize::MAX - 1);
            framing.feed(HANDSHAKE).unwrap();
            let mut header = [0xff; HEADER];
            header[0] = order;
            // 16 + 2^32 + 2^32 - 1: still a number.
            assert_eq!(framing.feed(&header), Ok(()));
        }
    }

    #[test]
    fn a_line_with_an_invalid_end_is_no_handshake() {
        for bad in [&b"\n"[..], b"\0AUTH\n", b"\0AUTH\r\n\n"] {
            assert_eq!(Framing::new(9).feed(bad), Err(FramingError::Handshake));
        }
        assert_eq!(Framing::new(9).feed(&[b'x'; 5000]), Err(FramingError::Handshake));
        let mut framing = Framing::new(9);
        framing.feed(HANDSHAKE).unwrap();
        assert_eq!(framing.feed(&[b'x'; HEADER]), Err(FramingError::ByteOrder));
    }
}
