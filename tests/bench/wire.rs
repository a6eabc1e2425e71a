//! The little of WebSocket (RFC 6455) and of Socket.IO (protocol 5 on Engine.IO 4) that a client
//! needs. Written out so that one process can be thousands of clients for little CPU: the load
//! generator shares the machine with the server it measures.

use bytes::{Buf, Bytes, BytesMut};

use crate::Outcome;

/// Frames larger than this are refused: nothing in the bench is.
const MAX_FRAME: usize = 16 << 20;

/// A frame from the server.
pub enum Frame {
    /// One Engine.IO packet.
    Text(Bytes),
    /// A WebSocket ping with its payload, to be echoed.
    Ping(Bytes),
    /// The server closes.
    Close,
    /// Nothing that the bench looks at.
    Other,
}

/// Takes the next whole frame from `buffer`, or `None` until more is read.
pub fn take_frame(buffer: &mut BytesMut) -> Outcome<Option<Frame>> {
    let [first, second, ..] = buffer[..] else {
        return Ok(None);
    };
    if first & 0x80 == 0 {
        return Err("the server fragments messages, which the bench does not read".into());
    }
    if second & 0x80 != 0 {
        return Err("the server masks frames".into());
    }
    let (head, length) = match second {
        126 if buffer.len() >= 4 => (4, usize::from(u16::from_be_bytes([buffer[2], buffer[3]]))),
        127 if buffer.len() >= 10 => {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&buffer[2..10]);
            (10, usize::try_from(u64::from_be_bytes(bytes))?)
        }
        126 | 127 => return Ok(None),
        length => (2, usize::from(length)),
    };
    if length > MAX_FRAME {
        return Err(format!("a frame of {length} bytes").into());
    }
    if buffer.len() < head + length {
        return Ok(None);
    }
    buffer.advance(head);
    let payload = buffer.split_to(length).freeze();
    Ok(Some(match first & 0x0f {
        1 => Frame::Text(payload),
        8 => Frame::Close,
        9 => Frame::Ping(payload),
        _ => Frame::Other,
    }))
}

/// A masked text frame, as clients send them.
pub fn text_frame(payload: &str) -> Vec<u8> {
    frame(1, payload.as_bytes())
}

/// A masked pong frame.
pub fn pong_frame(payload: &[u8]) -> Vec<u8> {
    frame(10, payload)
}

fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 14);
    out.push(0x80 | opcode);
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask: [u8; 4] = rand::random();
    out.extend_from_slice(&mask);
    out.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    out
}

/// An Engine.IO packet that carries a packet of the main namespace.
#[derive(Debug, PartialEq)]
pub enum Packet<'a> {
    /// `0{...}`: the session is open.
    Open,
    /// `2`: answer `3`.
    Ping,
    /// `40{...}`: the namespace is joined.
    Connected,
    /// `44{...}`: the namespace is refused; the reason as JSON.
    Refused(&'a str),
    /// `41`: the server ends the namespace.
    Disconnected,
    /// `42["name",...]`: the name, and the first argument as JSON (empty if there is none).
    Event(&'a str, &'a str),
    /// `43<id>[...]`: the id, and the first argument as JSON.
    Ack(u64, &'a str),
    /// Anything else.
    Other,
}

/// Reads a packet. Events' names must not contain an escaped quote: those of the bench do not.
pub fn parse(text: &str) -> Packet<'_> {
    match text.as_bytes() {
        [b'0', ..] => Packet::Open,
        b"2" => Packet::Ping,
        [b'4', b'0', ..] => Packet::Connected,
        [b'4', b'1', ..] => Packet::Disconnected,
        [b'4', b'4', ..] => Packet::Refused(&text[2..]),
        [b'4', b'2', b'[', b'"', ..] => parse_event(&text[4..]).unwrap_or(Packet::Other),
        [b'4', b'3', ..] => parse_ack(&text[2..]).unwrap_or(Packet::Other),
        _ => Packet::Other,
    }
}

fn parse_event(rest: &str) -> Option<Packet<'_>> {
    let (name, rest) = rest.split_once('"')?;
    let body = rest.strip_suffix(']')?;
    Some(Packet::Event(name, body.strip_prefix(',').unwrap_or("")))
}

fn parse_ack(rest: &str) -> Option<Packet<'_>> {
    let (id, body) = rest.split_once('[')?;
    Some(Packet::Ack(id.parse().ok()?, body.strip_suffix(']')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read() {
        assert_eq!(parse("0{\"sid\":\"x\"}"), Packet::Open);
        assert_eq!(parse("2"), Packet::Ping);
        assert_eq!(parse("40{\"sid\":\"x\"}"), Packet::Connected);
        assert_eq!(
            parse("44{\"message\":\"no\"}"),
            Packet::Refused("{\"message\":\"no\"}")
        );
        assert_eq!(
            parse("42[\"a\",{\"b\":[1]}]"),
            Packet::Event("a", "{\"b\":[1]}")
        );
        assert_eq!(parse("42[\"a\"]"), Packet::Event("a", ""));
        assert_eq!(
            parse("4312[{\"ok\":true}]"),
            Packet::Ack(12, "{\"ok\":true}")
        );
        assert_eq!(parse("6"), Packet::Other);
    }

    #[test]
    fn frames_are_taken_whole_or_not_at_all() {
        for length in [0usize, 1, 125, 126, 300, 70_000] {
            let mut whole = vec![0x81];
            match length {
                0..=125 => whole.push(length as u8),
                126..=0xffff => {
                    whole.push(126);
                    whole.extend((length as u16).to_be_bytes());
                }
                _ => {
                    whole.push(127);
                    whole.extend((length as u64).to_be_bytes());
                }
            }
            whole.resize(whole.len() + length, b'x');
            let mut short = BytesMut::from(&whole[..whole.len() - 1]);
            assert!(matches!(take_frame(&mut short), Ok(None)));
            whole.push(0x89);
            let mut buffer = BytesMut::from(&whole[..]);
            let Ok(Some(Frame::Text(payload))) = take_frame(&mut buffer) else {
                panic!("no frame of {length}");
            };
            assert_eq!((payload.len(), buffer.len()), (length, 1));
        }
    }

    #[test]
    fn sent_frames_unmask_to_the_payload() {
        for length in [5usize, 200, 70_000] {
            let payload = "y".repeat(length);
            let frame = text_frame(&payload);
            let body = &frame[frame.len() - length..];
            let mask = &frame[frame.len() - length - 4..frame.len() - length];
            let plain: Vec<u8> = body
                .iter()
                .zip(mask.iter().cycle())
                .map(|(b, m)| b ^ m)
                .collect();
            assert_eq!(plain, payload.as_bytes());
        }
    }
}
