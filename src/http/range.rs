//! Parts of a file (RFC 9110, sections 13 and 14): which bytes a request asks for.

use std::ops::Range;

use axum::http::{HeaderMap, HeaderName, header};

/// What of a file to answer with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes of it.
    Part(Range<u64>),
    /// Nothing of it: the client has it already.
    Unchanged,
    /// Nothing of it: the range lies outside.
    Outside,
}

impl Wanted {
    /// Of a file of `size` bytes that never changes under its strong `etag`. Several ranges at once
    /// are answered with the whole file, as RFC 9110 (14.2) allows.
    pub(super) fn of(headers: &HeaderMap, etag: &str, size: u64) -> Self {
        if let Some(known) = text(headers, &header::IF_NONE_MATCH)
            && (known.trim() == "*" || known.split(',').any(|tag| weak(tag) == etag))
        {
            return Self::Unchanged;
        }
        // Only a strong match counts (13.1.5); a date is none, as no date was told.
        if text(headers, &header::IF_RANGE).is_some_and(|tag| tag.trim() != etag) {
            return Self::Whole;
        }
        let Some(set) = text(headers, &header::RANGE).and_then(|r| r.strip_prefix("bytes=")) else {
            return Self::Whole;
        };
        match range(set, size) {
            Some(range) if range.is_empty() => Self::Outside,
            Some(range) => Self::Part(range),
            None => Self::Whole,
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// An entity tag compared weakly.
fn weak(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// `a-b`, `a-` or `-n`; empty where it lies outside. `None` if it is no single range.
fn range(set: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = set.trim().split_once('-')?;
    let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a number holds are more than any file has.
        true => Some(digits.parse().unwrap_or(u64::MAX)),
        false => None,
    };
    match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        (true, false) => Some(size - number(last)?.min(size)..size),
        (false, true) => Some(number(first)?.min(size)..size),
        (false, false) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| first.min(size)..last.saturating_add(1).min(size))
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TAG: &str = "\"u-1\"";

    fn wanted(headers: &[(HeaderName, &'static str)], size: u64) -> Wanted {
        let given = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Wanted::of(&given.collect(), TAG, size)
    }

    #[test]
    fn ranges() {
        for (range, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-5", Wanted::Part(2..6)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-99", Wanted::Part(0..10)),
            ("bytes=9-99999999999999999999999", Wanted::Part(9..10)),
            ("bytes=10-", Wanted::Outside),
            ("bytes=10-20", Wanted::Outside),
            ("bytes=-0", Wanted::Outside),
            ("bytes=5-2", Wanted::Whole),
            ("bytes=0-1,4-5", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
        ] {
            assert_eq!(wanted(&[(header::RANGE, range)], 10), expected, "{range}");
        }
        assert_eq!(wanted(&[(header::RANGE, "bytes=0-")], 0), Wanted::Outside);
    }

    #[test]
    fn conditions() {
        let part = (header::RANGE, "bytes=0-1");
        for (name, value, expected) in [
            (header::IF_RANGE, "\"u-1\"", Wanted::Part(0..2)),
            (header::IF_RANGE, "W/\"u-1\"", Wanted::Whole),
            (
                header::IF_RANGE,
                "Wed, 21 Oct 2015 07:28:00 GMT",
                Wanted::Whole,
            ),
            (header::IF_NONE_MATCH, "\"u-1\"", Wanted::Unchanged),
            (header::IF_NONE_MATCH, "\"x\", W/\"u-1\"", Wanted::Unchanged),
            (header::IF_NONE_MATCH, "*", Wanted::Unchanged),
            (header::IF_NONE_MATCH, "\"x\"", Wanted::Part(0..2)),
        ] {
            let headers = [part.clone(), (name, value)];
            assert_eq!(wanted(&headers, 10), expected, "{value}");
        }
    }
}
