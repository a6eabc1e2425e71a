//! Inflates what a client compressed, before socketioxide's WebSocket sees it: the other half of
//! [`deflate`](super::deflate).

use std::{cell::RefCell, io};

use bytes::BufMut;
use flate2::{Decompress, FlushDecompress, Status};

use super::{
    deflate::{RSV1, TAIL},
    frame::put_head,
};

const FIN: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const CONTINUATION: u8 = 0;
const CONTROL: u8 = 0x08;
const MASKED: u8 = 0x80;
/// A frame's head at most: two bytes, eight of length, four of mask.
const MAX_HEAD: usize = 14;

thread_local! {
    // Some ten KiB each, so that there is one per thread and not per connection.
    static INFLATE: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// Inflates a message of at most `limit` bytes.
pub(super) fn inflate(data: &[u8], limit: usize) -> io::Result<Vec<u8>> {
    INFLATE.with_borrow_mut(|inflate| {
        inflate.reset(false);
        let mut out = Vec::with_capacity((data.len() * 3).min(limit) + 64);
        for mut input in [data, &TAIL[..]] {
            loop {
                if out.len() == out.capacity() {
                    out.reserve(out.capacity());
                }
                let before = inflate.total_in();
                let status = inflate
                    .decompress_vec(input, &mut out, FlushDecompress::Sync)
                    .map_err(|_| bad("a compressed message is damaged"))?;
                let taken = inflate.total_in() - before;
                input = input.get(taken as usize..).unwrap_or_default();
                if out.len() > limit {
                    return Err(bad("a compressed message is too large"));
                }
                if status == Status::StreamEnd {
                    // A final block is allowed; nothing may follow it but the tail.
                    return Ok(out);
                }
                if input.is_empty() && out.len() < out.capacity() {
                    break;
                }
            }
        }
        Ok(out)
    })
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Turns a client's frames into the same frames without compression.
#[derive(Debug)]
pub struct Inflater {
    /// Bytes of a message at most.
    limit: usize,
    head: [u8; MAX_HEAD],
    have: usize,
    payload: Payload,
    /// The compressed message whose frames are coming in: its opcode and what there is of it.
    message: Option<(u8, Vec<u8>)>,
}

/// What happens to the frame whose head is complete.
#[derive(Debug, Clone, Copy)]
enum Payload {
    /// There is no such frame.
    None,
    /// So many bytes are passed on.
    Pass(u64),
    /// So many bytes belong to the compressed message.
    Gather {
        left: u64,
        mask: [u8; 4],
        at: usize,
        last: bool,
    },
}

impl Inflater {
    /// For messages of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            head: [0; MAX_HEAD],
            have: 0,
            payload: Payload::None,
            message: None,
        }
    }

    /// Takes bytes in and appends what they turn into. An error ends the connection.
    pub fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        while !input.is_empty() {
            match &mut self.payload {
                Payload::None => {
                    self.head[self.have] = input[0];
                    self.have += 1;
                    input = &input[1..];
                    if self.have >= 2 && self.have == head_len(self.head[1]) {
                        self.begin(out)?;
                    }
                }
                Payload::Pass(left) => {
                    let n = usize::try_from(*left).map_or(input.len(), |l| l.min(input.len()));
                    out.extend_from_slice(&input[..n]);
                    input = &input[n..];
                    *left -= n as u64;
                    if *left == 0 {
                        self.payload = Payload::None;
                    }
                }
                Payload::Gather { left, mask, at, .. } => {
                    let n = usize::try_from(*left).map_or(input.len(), |l| l.min(input.len()));
                    let Some((_, data)) = &mut self.message else {
                        return Err(bad("a frame belongs to no message"));
                    };
                    for byte in &input[..n] {
                        data.push(byte ^ mask[*at % 4]);
                        *at += 1;
                    }
                    input = &input[n..];
                    *left -= n as u64;
                    if *left == 0 {
                        self.gathered(out)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A frame's head is complete.
    fn begin(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let head = &self.head[..std::mem::take(&mut self.have)];
        let (flags, len) = (head[0], payload_len(head));
        let is_data = flags & CONTROL == 0;
        let starts = is_data && flags & RSV1 != 0 && flags & OPCODE != CONTINUATION;
        let goes_on = is_data && flags & OPCODE == CONTINUATION && self.message.is_some();
        if !starts && !goes_on {
            // Anything wrong with it is for the WebSocket to find.
            out.extend_from_slice(head);
            if len > 0 {
                self.payload = Payload::Pass(len);
            }
            return Ok(());
        }
        if starts && self.message.is_some() {
            return Err(bad("a message began inside another"));
        }
        let Some(&mask) = head.last_chunk().filter(|_| head[1] & MASKED != 0) else {
            return Err(bad("a client's frame is not masked"));
        };
        let (_, data) = self
            .message
            .get_or_insert_with(|| (flags & OPCODE, Vec::new()));
        if len.saturating_add(data.len() as u64) > self.limit as u64 {
            return Err(bad("a compressed message is too large"));
        }
        self.payload = Payload::Gather {
            left: len,
            mask,
            at: 0,
            last: flags & FIN != 0,
        };
        if len == 0 {
            self.gathered(out)?;
        }
        Ok(())
    }

    /// A frame of the compressed message is complete.
    fn gathered(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let payload = std::mem::replace(&mut self.payload, Payload::None);
        if !matches!(payload, Payload::Gather { last: true, .. }) {
            return Ok(());
        }
        let Some((opcode, data)) = self.message.take() else {
            return Ok(());
        };
        let text = inflate(&data, self.limit)?;
        let start = out.len();
        put_head(out, FIN | opcode, text.len());
        // Masked by zeros, as the WebSocket insists on a mask.
        out[start + 1] |= MASKED;
        out.put_bytes(0, 4);
        out.extend_from_slice(&text);
        Ok(())
    }
}

/// The length of a frame's head by its second byte.
fn head_len(second: u8) -> usize {
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & MASKED != 0 { 4 } else { 0 };
    2 + length + mask
}

pub(super) fn payload_len(head: &[u8]) -> u64 {
    let bytes = match head[1] & 0x7f {
        126 => &head[2..4],
        127 => &head[2..10],
        short => return short.into(),
    };
    bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

#[cfg(test)]
mod tests {
    use tungstenite::{
        Message, WebSocket,
        protocol::{Role, WebSocketConfig},
    };

    use flate2::{Compress, Compression, FlushCompress};

    use super::*;
    use crate::socket::frame::TEXT;

    const LIMIT: usize = 1 << 20;

    /// A client that said something once and listens to nothing.
    struct Client(io::Cursor<Vec<u8>>);

    impl io::Read for Client {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0.read(buf)
        }
    }

    impl io::Write for Client {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A frame as a client sends it.
    fn client_frame(flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        put_head(&mut frame, flags, payload.len());
        frame[1] |= MASKED;
        let mask = [1, 2, 3, 4];
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        frame
    }

    fn deflated(text: &str) -> Vec<u8> {
        let mut deflate = Compress::new(Compression::best(), false);
        let mut data = Vec::with_capacity(text.len() + 64);
        deflate
            .compress_vec(text.as_bytes(), &mut data, FlushCompress::Sync)
            .unwrap();
        data.strip_suffix(&TAIL).unwrap().to_vec()
    }

    /// What a WebSocket makes of these bytes, inflated in pieces of `piece` bytes.
    fn heard(bytes: &[u8], piece: usize) -> io::Result<Vec<String>> {
        let mut inflater = Inflater::new(LIMIT);
        let mut plain = Vec::new();
        for piece in bytes.chunks(piece) {
            inflater.push(piece, &mut plain)?;
        }
        let config = WebSocketConfig::default().max_message_size(Some(LIMIT));
        let stream = Client(io::Cursor::new(plain));
        let mut socket = WebSocket::from_raw_socket(stream, Role::Server, Some(config));
        let mut texts = Vec::new();
        while let Ok(message) = socket.read() {
            if let Message::Text(text) = message {
                texts.push(text.to_string());
            }
        }
        Ok(texts)
    }

    #[test]
    fn compressed_and_plain_messages_come_through_in_order() {
        let long = "a long story ".repeat(20_000);
        let story = deflated(&long);
        let (front, back) = story.split_at(story.len() / 2);
        let bytes = [
            client_frame(TEXT, b"plain"),
            client_frame(TEXT | RSV1, &deflated("compressed")),
            client_frame(1 | RSV1, front),
            client_frame(FIN | 9, b"ping"),
            client_frame(CONTINUATION, b""),
            client_frame(FIN | CONTINUATION, back),
            client_frame(1, b"in "),
            client_frame(FIN | CONTINUATION, b"pieces"),
            client_frame(TEXT | RSV1, &deflated("")),
            client_frame(TEXT, "x".repeat(70_000).as_bytes()),
        ]
        .concat();
        let wanted = [
            "plain",
            "compressed",
            &long,
            "in pieces",
            "",
            &"x".repeat(70_000),
        ];
        for piece in [1, 2, 3, 7, 256, 100_000] {
            assert!(heard(&bytes, piece).unwrap() == wanted, "pieces of {piece}");
        }
    }

    #[test]
    fn bombs_damage_and_missing_masks_end_the_connection() {
        let bomb = client_frame(TEXT | RSV1, &deflated(&"0".repeat(LIMIT + 1)));
        assert!(bomb.len() < 5_000);
        let mut unmasked = client_frame(TEXT | RSV1, &deflated("x"));
        unmasked[1] &= !MASKED;
        let begun = client_frame(1 | RSV1, &deflated("x"));
        for wrong in [
            bomb,
            client_frame(TEXT | RSV1, b"\xff\xff\xff\xff\xff"),
            client_frame(TEXT | RSV1, &vec![0; LIMIT + 1]),
            unmasked,
            [begun.clone(), begun].concat(),
        ] {
            let error = heard(&wrong, 64).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        let fits = client_frame(TEXT | RSV1, &deflated(&"0".repeat(LIMIT)));
        assert_eq!(heard(&fits, 64).unwrap()[0].len(), LIMIT);
    }
}
