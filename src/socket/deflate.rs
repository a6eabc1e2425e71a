//! Compressed WebSocket messages: permessage-deflate (RFC 7692), which socketioxide lacks.
//!
//! Both sides are asked to begin each message anew (`no_context_takeover`). What goes out is then
//! compressed once for a whole room instead of once per connection, and a connection keeps no
//! window of 32 KiB. [`inflate`](super::inflate) is the other half.

use std::cell::RefCell;

use bytes::{BufMut, Bytes};
use flate2::{Compress, Compression, FlushCompress};
use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS};

use super::frame::{TEXT, put_head};

const EXTENSION: &str = "permessage-deflate";
const ACCEPTED: HeaderValue = HeaderValue::from_static(
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
);

/// Marks a compressed message (RFC 7692, section 6).
pub const RSV1: u8 = 0x40;
/// The end of a flushed deflate block, which is not sent (RFC 7692, section 7.2.1).
pub const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The answer to a client's offer to compress, if it is one that can be taken.
pub fn negotiate(request: &HeaderMap) -> Option<HeaderValue> {
    let offers = request.get_all(SEC_WEBSOCKET_EXTENSIONS);
    let takes = |offer: &str| {
        let mut parts = offer.split(';').map(str::trim);
        parts.next() == Some(EXTENSION)
            && parts.all(|parameter| {
                let name = parameter.split('=').next().unwrap_or_default().trim();
                // A smaller window of ours cannot be promised; what else there is, is a hint or a
                // promise of the client's own.
                [
                    "server_no_context_takeover",
                    "client_no_context_takeover",
                    "client_max_window_bits",
                ]
                .contains(&name)
            })
    };
    offers
        .iter()
        .filter_map(|offer| offer.to_str().ok())
        .flat_map(|offers| offers.split(','))
        .any(takes)
        .then_some(ACCEPTED)
}

thread_local! {
    // Some hundred KiB each, so that there is one per thread and not per connection.
    static DEFLATE: RefCell<Compress> =
        RefCell::new(Compress::new(Compression::fast(), false));
}

/// A compressed text frame; `None` where compressing does not pay.
pub fn text_frame(parts: &[&str]) -> Option<Bytes> {
    let size: usize = parts.iter().map(|p| p.len()).sum();
    let mut data = Vec::with_capacity(size);
    DEFLATE.with_borrow_mut(|deflate| {
        deflate.reset();
        for part in parts {
            if !run(
                deflate,
                part.as_bytes(),
                &mut data,
                FlushCompress::None,
                size,
            ) {
                return None;
            }
        }
        run(deflate, &[], &mut data, FlushCompress::Sync, size).then_some(())
    })?;
    let data = data.strip_suffix(&TAIL)?;
    let mut frame = Vec::with_capacity(data.len() + 10);
    put_head(&mut frame, TEXT | RSV1, data.len());
    frame.put_slice(data);
    Some(frame.into())
}

/// Compresses all of `input`, unless the output grows to `limit`.
fn run(
    deflate: &mut Compress,
    mut input: &[u8],
    out: &mut Vec<u8>,
    flush: FlushCompress,
    limit: usize,
) -> bool {
    loop {
        if out.len() >= limit {
            return false;
        }
        if out.len() == out.capacity() {
            out.reserve(limit - out.len());
        }
        let before = deflate.total_in();
        if deflate.compress_vec(input, out, flush).is_err() {
            return false;
        }
        let taken = deflate.total_in() - before;
        input = input.get(taken as usize..).unwrap_or_default();
        // Room left over means that there was no more to write.
        if input.is_empty() && out.len() < out.capacity() {
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::inflate::{inflate, payload_len};

    const LIMIT: usize = 4 << 20;

    #[test]
    fn what_goes_out_inflates_to_what_it_was() {
        for len in [300, 5_000, 400_000] {
            let text: String = (0..len).map(|n| format!("{} ", n % 1000)).collect();
            let frame = text_frame(&["42", &text]).unwrap();
            assert!(frame.len() < text.len());
            let head = frame.len() - payload_len(&frame) as usize;
            assert_eq!(frame[0], TEXT | RSV1);
            let back = inflate(&frame[head..], LIMIT).unwrap();
            assert_eq!(back, format!("42{text}").as_bytes());
        }
        assert_eq!(text_frame(&["42", "[]"]), None, "would only grow");
    }

    #[test]
    fn only_offers_that_can_be_kept_are_taken() {
        let answer = |offer: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
            negotiate(&headers)
        };
        assert_eq!(negotiate(&HeaderMap::new()), None);
        for taken in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "x-webkit-deflate-frame, permessage-deflate; client_max_window_bits=12",
            "permessage-deflate; server_max_window_bits=10, permessage-deflate",
        ] {
            assert_eq!(answer(taken), Some(ACCEPTED), "{taken}");
        }
        for left in [
            "x-webkit-deflate-frame",
            "permessage-deflate; server_max_window_bits=10",
        ] {
            assert_eq!(answer(left), None, "{left}");
        }
    }
}
