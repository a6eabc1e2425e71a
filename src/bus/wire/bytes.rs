//! The ground of the wire format: numbers, texts, options and lists.
//!
//! Numbers are LEB128, signed ones zigzag before; texts are their length and UTF-8; an option is 0,
//! or 1 and its value; a list is its length and its items.

use std::sync::Arc;

/// The bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Garbage;

pub(super) type Taken<T> = Result<T, Garbage>;

/// Bytes in the making.
#[derive(Default)]
pub(super) struct Put(pub(super) Vec<u8>);

impl Put {
    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn flag(&mut self, on: bool) {
        self.byte(on.into());
    }

    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    pub(super) fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)) as u64);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            put(self, value);
        }
    }

    pub(super) fn list<T>(&mut self, items: &[T], mut put: impl FnMut(&mut Self, &T)) {
        self.number(items.len() as u64);
        for item in items {
            put(self, item);
        }
    }
}

/// Bytes that are being read.
pub(super) struct Take<'a>(pub(super) &'a [u8]);

impl<'a> Take<'a> {
    pub(super) fn byte(&mut self) -> Taken<u8> {
        let (byte, rest) = self.0.split_first().ok_or(Garbage)?;
        self.0 = rest;
        Ok(*byte)
    }

    pub(super) fn flag(&mut self) -> Taken<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Garbage),
        }
    }

    pub(super) fn number(&mut self) -> Taken<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Garbage);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Garbage)
    }

    pub(super) fn signed(&mut self) -> Taken<i64> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub(super) fn small(&mut self) -> Taken<u32> {
        u32::try_from(self.number()?).map_err(|_| Garbage)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Taken<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(Garbage)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn str(&mut self) -> Taken<&'a str> {
        let length = usize::try_from(self.number()?).map_err(|_| Garbage)?;
        std::str::from_utf8(self.bytes(length)?).map_err(|_| Garbage)
    }

    pub(super) fn text(&mut self) -> Taken<Arc<str>> {
        self.str().map(Arc::from)
    }

    /// An id, or whatever else is read from a text.
    pub(super) fn parsed<T, E>(&mut self, parse: impl FnOnce(&'a str) -> Result<T, E>) -> Taken<T> {
        parse(self.str()?).map_err(|_| Garbage)
    }

    pub(super) fn option<T>(
        &mut self,
        take: impl FnOnce(&mut Self) -> Taken<T>,
    ) -> Taken<Option<T>> {
        match self.flag()? {
            true => take(self).map(Some),
            false => Ok(None),
        }
    }

    pub(super) fn list<T>(&mut self, mut take: impl FnMut(&mut Self) -> Taken<T>) -> Taken<Vec<T>> {
        let count = self.number()?;
        // Every item takes a byte at least: a wrong count cannot ask for more memory than that.
        if count > self.0.len() as u64 {
            return Err(Garbage);
        }
        (0..count).map(|_| take(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let numbers = [
            0,
            1,
            127,
            128,
            300,
            u64::from(u32::MAX),
            u64::MAX - 1,
            u64::MAX,
        ];
        let signed = [0, -1, 1, i64::MIN, i64::MAX, 1_700_000_000_000];
        let mut put = Put::default();
        numbers.iter().for_each(|n| put.number(*n));
        signed.iter().for_each(|n| put.signed(*n));
        let mut take = Take(&put.0);
        assert!(numbers.iter().all(|n| take.number() == Ok(*n)));
        assert!(signed.iter().all(|n| take.signed() == Ok(*n)));
        assert_eq!(take.byte(), Err(Garbage));
    }

    #[test]
    fn numbers_that_are_too_large_are_garbage() {
        for bytes in [[0xff; 10].as_slice(), &[0x80; 11], &[0x80]] {
            assert_eq!(Take(bytes).number(), Err(Garbage));
        }
    }
}
