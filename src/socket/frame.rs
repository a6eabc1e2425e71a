//! A packet for a Socket.IO connection, encoded at most once for all who get it: as text for
//! those that poll, as a whole WebSocket frame for the others.

use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};
use socketioxide_core::Str;

use super::deflate;
use crate::chat::RawEvent;

/// Final fragment of a text message (RFC 6455, section 5.2).
pub const TEXT: u8 = 0x81;
/// Final fragment of a binary message.
const BINARY: u8 = 0x82;
/// Engine.IO message, Socket.IO event: <https://socket.io/docs/v4/socket-io-protocol/>.
const EVENT: &str = "42";
/// Engine.IO message, Socket.IO event with binary attachments, which follow as messages of their
/// own.
const BINARY_EVENT: &str = "45";
/// Engine.IO message, Socket.IO ack.
const ACK: &str = "43";

/// An event or an ack in the root namespace.
pub struct Packet {
    /// The id of an ack.
    ack: Option<i64>,
    /// `["name", ...]`, or an ack's arguments.
    data: Str,
    /// An event's binary data.
    attachments: Arc<[Bytes]>,
    /// Whether compressing is allowed.
    compress: bool,
    plain: OnceLock<Bytes>,
    /// `None` inside where compressing does not pay.
    compressed: OnceLock<Option<Bytes>>,
}

impl Packet {
    /// An event: `data` is the JSON array text `["name", ...]`.
    pub fn event(data: impl Into<Str>) -> Self {
        Self::new(None, data.into())
    }

    /// An event of a backend's own.
    pub fn raw(event: &RawEvent, compress: bool) -> Self {
        Self {
            attachments: event.attachments.clone(),
            compress,
            ..Self::event(event.data.to_string())
        }
    }

    /// An ack: `args` is the JSON array text of its arguments.
    pub fn ack(id: i64, args: impl Into<Str>) -> Self {
        Self::new(Some(id), args.into())
    }

    fn new(ack: Option<i64>, data: Str) -> Self {
        Self {
            ack,
            data,
            attachments: Arc::default(),
            compress: true,
            plain: OnceLock::new(),
            compressed: OnceLock::new(),
        }
    }

    /// The id, if it is an ack.
    pub fn ack_id(&self) -> Option<i64> {
        self.ack
    }

    /// The JSON text.
    pub fn data(&self) -> &Str {
        &self.data
    }

    /// The binary data.
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// The WebSocket frame, compressed if the text has that many bytes at least. Frames of binary
    /// data follow in the same bytes, so that nothing comes in between.
    pub fn frame(&self, compress_from: usize) -> &Bytes {
        let compressed = (self.compress && self.data.len() >= compress_from).then(|| {
            let frame = || self.with_text(deflate::text_frame);
            self.compressed
                .get_or_init(|| frame().map(|text| self.followed(text)))
        });
        match compressed {
            Some(Some(frame)) => frame,
            _ => self
                .plain
                .get_or_init(|| self.followed(self.with_text(text_frame))),
        }
    }

    /// The text's frame and those of the binary data.
    fn followed(&self, text: Bytes) -> Bytes {
        if self.attachments.is_empty() {
            return text;
        }
        let len: usize = self.attachments.iter().map(|a| a.len() + 10).sum();
        let mut frames = BytesMut::with_capacity(text.len() + len);
        frames.put_slice(&text);
        for attachment in self.attachments.iter() {
            put_head(&mut frames, BINARY, attachment.len());
            frames.put_slice(attachment);
        }
        frames.freeze()
    }

    fn with_text<T>(&self, of: impl FnOnce(&[&str]) -> T) -> T {
        match self.ack {
            None if !self.attachments.is_empty() => {
                let count = self.attachments.len().to_string();
                of(&[BINARY_EVENT, &count, "-", &self.data])
            }
            None => of(&[EVENT, &self.data]),
            Some(id) => of(&[ACK, &id.to_string(), &self.data]),
        }
    }
}

/// A text frame as a server sends it, without a mask.
fn text_frame(parts: &[&str]) -> Bytes {
    let len: usize = parts.iter().map(|p| p.len()).sum();
    let mut frame = BytesMut::with_capacity(len + 10);
    put_head(&mut frame, TEXT, len);
    for part in parts {
        frame.put_slice(part.as_bytes());
    }
    frame.freeze()
}

/// The head of an unmasked frame (RFC 6455, section 5.2).
pub fn put_head(frame: &mut impl BufMut, flags: u8, len: usize) {
    frame.put_u8(flags);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short @ ..126), _) => frame.put_u8(short),
        (_, Ok(medium)) => {
            frame.put_u8(126);
            frame.put_u16(medium);
        }
        _ => {
            frame.put_u8(127);
            frame.put_u64(len as u64);
        }
    }
}

/// The payloads of the whole, unmasked frames in `bytes`, each with its first byte (flags and
/// opcode).
pub fn frames(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8], usize)> {
    std::iter::from_fn(move || {
        let (&flags, rest) = bytes.split_first()?;
        let (&short, rest) = rest.split_first()?;
        let (len, rest) = match short & 0x7f {
            126 => {
                let (len, rest) = rest.split_first_chunk()?;
                (usize::from(u16::from_be_bytes(*len)), rest)
            }
            127 => {
                let (len, rest) = rest.split_first_chunk()?;
                (usize::try_from(u64::from_be_bytes(*len)).ok()?, rest)
            }
            short => (usize::from(short), rest),
        };
        let (payload, rest) = rest.split_at_checked(len)?;
        let whole = bytes.len() - rest.len();
        bytes = rest;
        Some((flags, payload, whole))
    })
}

#[cfg(test)]
mod tests {
    use tungstenite::protocol::frame::{Frame, FrameHeader};

    use super::*;

    /// The frame as the WebSocket library reads it.
    fn read(bytes: &Bytes) -> Frame {
        let mut cursor = std::io::Cursor::new(bytes);
        let (header, len) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
        let start = cursor.position() as usize;
        assert_eq!(bytes.len() - start, len as usize, "nothing follows");
        Frame::from_payload(header, bytes.slice(start..))
    }

    #[test]
    fn frames_are_those_of_the_protocol() {
        for len in [0, 1, 122, 123, 124, 65_532, 65_533, 65_534, 200_000] {
            let data = format!("[{}]", "x".repeat(len));
            let frame = read(Packet::event(data.clone()).frame(usize::MAX));
            assert!(frame.header().is_final && frame.header().mask.is_none());
            assert_eq!(frame.to_text().unwrap(), format!("42{data}"));
            let frame = read(Packet::ack(17, data.clone()).frame(usize::MAX));
            assert_eq!(frame.to_text().unwrap(), format!("4317{data}"));
        }
    }

    #[test]
    fn binary_data_follows_in_frames_of_its_own() {
        let data = r#"["file",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
        let attachments = [Bytes::from_static(&[1, 2]), Bytes::from(vec![3; 70_000])];
        let event = RawEvent {
            data: data.into(),
            attachments: attachments.to_vec().into(),
        };
        let packet = Packet::raw(&event, true);
        let bytes = packet.frame(usize::MAX);
        let found: Vec<_> = frames(bytes)
            .map(|(flags, payload, _)| (flags, payload))
            .collect();
        assert_eq!(found[0], (TEXT, format!("452-{data}").as_bytes()));
        assert_eq!(found[1], (BINARY, &attachments[0][..]));
        assert_eq!(found[2], (BINARY, &attachments[1][..]));
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn what_may_not_be_compressed_is_not() {
        let event = RawEvent::text(format!("[\"{}\"]", "so long ".repeat(1000)));
        assert!(Packet::raw(&event, false).frame(0).len() > 8000);
        assert!(Packet::raw(&event, true).frame(0).len() < 200);
    }

    #[test]
    fn only_long_texts_are_compressed_and_only_where_it_pays() {
        let long = Packet::event(format!("[\"{}\"]", "so long ".repeat(1000)));
        assert!(long.frame(1024).len() < 200);
        assert!(long.frame(usize::MAX).len() > 8000);
        let short = Packet::event("[\"short\"]");
        assert_eq!(short.frame(1024), short.frame(usize::MAX));
        assert_eq!(short.frame(0), short.frame(usize::MAX), "would only grow");
    }

    #[test]
    fn frames_are_found_one_after_the_other() {
        let long = "y".repeat(70_000);
        let middle = "x".repeat(300);
        let packets = ["[]".to_owned(), middle, long, "[1]".to_owned()].map(Packet::event);
        let bytes: Vec<u8> = packets
            .iter()
            .flat_map(|p| p.frame(usize::MAX).to_vec())
            .collect();
        let found: Vec<_> = frames(&bytes).collect();
        assert_eq!(found.len(), 4);
        for (packet, (flags, payload, whole)) in packets.iter().zip(found) {
            assert_eq!(flags, TEXT);
            assert_eq!(payload, [b"42", packet.data().as_bytes()].concat());
            assert_eq!(whole, packet.frame(usize::MAX).len());
        }
        assert_eq!(frames(&bytes[..bytes.len() - 1]).count(), 3, "cut short");
    }
}
