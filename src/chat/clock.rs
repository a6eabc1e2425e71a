//! Time as a parameter, so that tests decide what time it is.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// ISO 8601 with milliseconds in UTC, as JavaScript's `Date.prototype.toISOString` writes it:
    /// `2026-01-02T03:04:05.678Z`.
    pub fn to_iso(self) -> String {
        let mut text = String::with_capacity(24);
        self.push_iso(&mut text);
        text
    }

    /// Appends [`Millis::to_iso`] to a text; 1970 for times before the year 0 and after 9999.
    pub fn push_iso(self, out: &mut String) {
        let at = OffsetDateTime::from_unix_timestamp(self.0.div_euclid(1000)).ok();
        let at = at.filter(|t| t.year() >= 0);
        let millis = if at.is_some() {
            self.0.rem_euclid(1000)
        } else {
            0
        };
        let t = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        // Digit by digit, because every message has a time in it and formatting takes five times as
        // long.
        let mut part = |number: u32, digits: u32, end: char| {
            for place in (0..digits).rev() {
                let digit = number / 10_u32.pow(place) % 10;
                out.push(char::from_digit(digit, 10).unwrap_or('0'));
            }
            out.push(end);
        };
        part(t.year().unsigned_abs(), 4, '-');
        part(u8::from(t.month()).into(), 2, '-');
        part(t.day().into(), 2, 'T');
        part(t.hour().into(), 2, ':');
        part(t.minute().into(), 2, ':');
        part(t.second().into(), 2, '.');
        part(u32::try_from(millis).unwrap_or_default(), 3, 'Z');
    }

    /// Reads an RFC 3339 time.
    pub fn from_iso(text: &str) -> Option<Self> {
        let t = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(t.unix_timestamp_nanos() / 1_000_000)
            .ok()
            .map(Self)
    }

    /// This time moved by `ms` milliseconds.
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// A source of the current time.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Millis;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `start`.
    pub fn at(start: Millis) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves the clock by `ms` milliseconds.
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_matches_javascript() {
        let t = Millis(1_767_323_045_678);
        assert_eq!(t.to_iso(), "2026-01-02T03:04:05.678Z");
        assert_eq!(Millis::from_iso("2026-01-02T03:04:05.678Z"), Some(t));
        assert_eq!(Millis(0).to_iso(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Millis(-1).to_iso(), "1969-12-31T23:59:59.999Z");
        assert_eq!(
            Millis(253_402_300_799_999).to_iso(),
            "9999-12-31T23:59:59.999Z"
        );
        for beyond in [i64::MIN, i64::MAX, -62_198_755_200_000] {
            assert_eq!(Millis(beyond).to_iso(), "1970-01-01T00:00:00.000Z");
        }
    }
}
