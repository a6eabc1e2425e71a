//! Texts as JSON, with their quotes.

use std::fmt::Write;

/// Appends a text.
pub(super) fn push_text(out: &mut String, text: &str) {
    out.push('"');
    push_escaped(out, text);
    out.push('"');
}

/// Appends a text cut to so many characters, the last one an ellipsis.
pub(super) fn push_excerpt(out: &mut String, text: &str, limit: usize) {
    out.push('"');
    match text.char_indices().nth(limit) {
        None => push_escaped(out, text),
        Some(_) => {
            let end = text.char_indices().nth(limit.saturating_sub(1));
            push_escaped(out, &text[..end.map_or(0, |(at, _)| at)]);
            out.push('…');
        }
    }
    out.push('"');
}

/// RFC 8259, section 7: quotes, backslashes and control characters.
fn push_escaped(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = first_special(rest.as_bytes()) {
        // An ASCII byte is a character of its own, so both its ends are boundaries.
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The first byte that must be escaped. Looks at eight bytes at a time, because most texts have
/// none.
fn first_special(bytes: &[u8]) -> Option<usize> {
    let mut chunks = bytes.chunks_exact(8);
    let mut at = 0;
    for chunk in &mut chunks {
        // Invariant: the chunks are of eight bytes.
        let word = chunk.try_into().map_or(0, u64::from_ne_bytes);
        if has_special(word) {
            break;
        }
        at += 8;
    }
    let found = bytes[at..].iter().position(|byte| is_special(*byte));
    found.map(|offset| at + offset)
}

/// Whether one of the eight bytes must be escaped. The usual arithmetic for "a byte below n", for
/// n up to 128: the subtraction borrows into the byte's highest bit, unless that was set before.
/// A borrow may make a byte's neighbour look special, but never hides one.
fn has_special(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & HIGH;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    below(word, 0x20) | is(b'"') | is(b'\\') != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serde_writes() {
        let all: String = (0..=0x17f).filter_map(char::from_u32).collect();
        let mut texts = vec![all, String::new(), "\u{1f600}é".repeat(9)];
        // Each special byte at each place, between harmless and multi-byte neighbours.
        for special in [
            '"', '\\', '\n', '\u{0}', '\u{1f}', '\u{7f}', ' ', '!', '#', '[',
        ] {
            for place in 0..20 {
                let (before, after) = ("x".repeat(place), "é".repeat(9));
                texts.push(format!("{before}{special}{after}{special}"));
            }
        }
        for text in texts {
            let mut out = String::new();
            push_text(&mut out, &text);
            // It writes the two rarer short escapes that this does not.
            let expected = serde_json::to_string(&text).unwrap();
            let expected = expected.replace("\\b", "\\u0008").replace("\\f", "\\u000c");
            assert_eq!(out, expected);
        }
    }
}
