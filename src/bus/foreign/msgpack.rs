//! MessagePack as Socket.IO's JavaScript packages write it, to JSON and back.
//!
//! They use `notepack.io`, whose values are JavaScript's: what has no place in JSON is read as
//! `JSON.stringify` would write it, because that is what a client hears from a Node server. Binary
//! data is taken out and leaves Socket.IO's placeholder.
//!
//! Format: <https://github.com/msgpack/msgpack/blob/master/spec.md>.

use bytes::Bytes;
use rmp::{
    Marker,
    encode::{self, ByteBuf},
};
use serde_json::{Map, Number, Value, json};
use time::{OffsetDateTime, macros::format_description};

use super::dropped::Dropped;

/// Arrays and maps inside each other at most; `serde_json` reads back 127.
const MAX_DEPTH: usize = 100;
/// Seconds since 1970, of the specification.
const TIMESTAMP: i8 = -1;
/// notepack's own: `undefined`, a date in milliseconds, an `ArrayBuffer`, by the form of the header.
const LEGACY: i8 = 0;

/// What stands in JSON where binary data belongs
/// (<https://socket.io/docs/v4/socket-io-protocol/#packet-encoding>).
pub fn placeholder(num: usize) -> Value {
    json!({ "_placeholder": true, "num": num })
}

/// Which binary data belongs here, if any does.
pub fn placeholder_num(value: &Value) -> Option<usize> {
    let map = value.as_object()?;
    map.get("_placeholder")
        .filter(|p| **p == Value::Bool(true))?;
    usize::try_from(map.get("num")?.as_u64()?).ok()
}

/// Reads one value, which must be all there is. Binary data is added to `attachments`.
pub fn read(bytes: &Bytes, attachments: &mut Vec<Bytes>) -> Result<Value, Dropped> {
    let mut reader = Reader {
        bytes: bytes.clone(),
        attachments,
    };
    let value = reader.value(MAX_DEPTH)?;
    if !reader.bytes.is_empty() {
        return Err(Dropped::Malformed);
    }
    Ok(value.unwrap_or(Value::Null))
}

struct Reader<'a> {
    bytes: Bytes,
    attachments: &'a mut Vec<Bytes>,
}

/// A value; `None` is `undefined`.
type Read = Result<Option<Value>, Dropped>;

impl Reader<'_> {
    fn take(&mut self, len: usize) -> Result<Bytes, Dropped> {
        if len > self.bytes.len() {
            return Err(Dropped::Malformed);
        }
        Ok(self.bytes.split_to(len))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Dropped> {
        let bytes = self.take(N)?;
        <[u8; N]>::try_from(&bytes[..]).map_err(|_| Dropped::Malformed)
    }

    /// A length in one, two or four bytes.
    fn len<const N: usize>(&mut self) -> Result<usize, Dropped> {
        let bytes = self.array::<N>()?;
        Ok(bytes
            .iter()
            .fold(0, |len, byte| len << 8 | usize::from(*byte)))
    }

    fn value(&mut self, depth: usize) -> Read {
        let [first] = self.array()?;
        let value = match Marker::from_u8(first) {
            Marker::Null => Value::Null,
            Marker::True => Value::Bool(true),
            Marker::False => Value::Bool(false),
            Marker::FixPos(n) => n.into(),
            Marker::FixNeg(n) => n.into(),
            Marker::U8 => u8::from_be_bytes(self.array()?).into(),
            Marker::U16 => u16::from_be_bytes(self.array()?).into(),
            Marker::U32 => u32::from_be_bytes(self.array()?).into(),
            Marker::U64 => u64::from_be_bytes(self.array()?).into(),
            Marker::I8 => i8::from_be_bytes(self.array()?).into(),
            Marker::I16 => i16::from_be_bytes(self.array()?).into(),
            Marker::I32 => i32::from_be_bytes(self.array()?).into(),
            Marker::I64 => i64::from_be_bytes(self.array()?).into(),
            Marker::F32 => number(f32::from_be_bytes(self.array()?).into()),
            Marker::F64 => number(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(len) => self.text(len.into())?,
            Marker::Str8 => self.len::<1>().and_then(|len| self.text(len))?,
            Marker::Str16 => self.len::<2>().and_then(|len| self.text(len))?,
            Marker::Str32 => self.len::<4>().and_then(|len| self.text(len))?,
            Marker::Bin8 => self.len::<1>().and_then(|len| self.binary(len))?,
            Marker::Bin16 => self.len::<2>().and_then(|len| self.binary(len))?,
            Marker::Bin32 => self.len::<4>().and_then(|len| self.binary(len))?,
            Marker::FixArray(len) => self.list(len.into(), depth)?,
            Marker::Array16 => self.len::<2>().and_then(|len| self.list(len, depth))?,
            Marker::Array32 => self.len::<4>().and_then(|len| self.list(len, depth))?,
            Marker::FixMap(len) => self.map(len.into(), depth)?,
            Marker::Map16 => self.len::<2>().and_then(|len| self.map(len, depth))?,
            Marker::Map32 => self.len::<4>().and_then(|len| self.map(len, depth))?,
            Marker::FixExt1 => return self.fixed(1),
            Marker::FixExt2 => return self.fixed(2),
            Marker::FixExt4 => return self.fixed(4),
            Marker::FixExt8 => return self.fixed(8),
            Marker::FixExt16 => return self.fixed(16),
            Marker::Ext8 => self.len::<1>().and_then(|len| self.extension(len))?,
            Marker::Ext16 => self.len::<2>().and_then(|len| self.extension(len))?,
            Marker::Ext32 => self.len::<4>().and_then(|len| self.extension(len))?,
            Marker::Reserved => return Err(Dropped::Malformed),
        };
        Ok(Some(value))
    }

    fn text(&mut self, len: usize) -> Result<Value, Dropped> {
        let bytes = self.take(len)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned().into())
    }

    fn binary(&mut self, len: usize) -> Result<Value, Dropped> {
        // A copy: a small picture would otherwise hold on to the whole message.
        let bytes = Bytes::copy_from_slice(&self.take(len)?);
        self.attachments.push(bytes);
        Ok(placeholder(self.attachments.len() - 1))
    }

    fn list(&mut self, len: usize, depth: usize) -> Result<Value, Dropped> {
        let depth = depth.checked_sub(1).ok_or(Dropped::Malformed)?;
        let mut list = Vec::new();
        for _ in 0..len {
            list.push(self.value(depth)?.unwrap_or(Value::Null));
        }
        Ok(Value::Array(list))
    }

    fn map(&mut self, len: usize, depth: usize) -> Result<Value, Dropped> {
        let depth = depth.checked_sub(1).ok_or(Dropped::Malformed)?;
        let mut map = Map::new();
        for _ in 0..len {
            let key = match self.value(0)? {
                Some(Value::String(text)) => text,
                Some(number @ Value::Number(_)) => number.to_string(),
                _ => return Err(Dropped::Malformed),
            };
            // As `JSON.stringify` leaves out what is undefined.
            if let Some(value) = self.value(depth)? {
                map.insert(key, value);
            }
        }
        Ok(Value::Object(map))
    }

    fn fixed(&mut self, len: usize) -> Read {
        let [kind] = self.array()?.map(u8::cast_signed);
        match (kind, len) {
            (LEGACY, 1) => self.take(1).map(|_| None),
            (LEGACY, 8) => {
                let ms = i64::from_be_bytes(self.array()?);
                Ok(Some(date(i128::from(ms) * 1_000_000)))
            }
            (TIMESTAMP, 4) => {
                let seconds = u32::from_be_bytes(self.array()?);
                Ok(Some(date(i128::from(seconds) * 1_000_000_000)))
            }
            (TIMESTAMP, 8) => {
                let both = u64::from_be_bytes(self.array()?);
                let (nanos, seconds) = (both >> 34, both & 0x3_ffff_ffff);
                Ok(Some(date(
                    i128::from(seconds) * 1_000_000_000 + i128::from(nanos),
                )))
            }
            _ => self.unknown(kind, len).map(Some),
        }
    }

    fn extension(&mut self, len: usize) -> Result<Value, Dropped> {
        let [kind] = self.array()?.map(u8::cast_signed);
        match (kind, len) {
            (LEGACY, _) => self.binary(len),
            (TIMESTAMP, 12) => {
                let nanos = u32::from_be_bytes(self.array()?);
                let seconds = i64::from_be_bytes(self.array()?);
                Ok(date(
                    i128::from(seconds) * 1_000_000_000 + i128::from(nanos),
                ))
            }
            _ => self.unknown(kind, len),
        }
    }

    /// As notepack has it: the kind and the bytes.
    fn unknown(&mut self, kind: i8, len: usize) -> Result<Value, Dropped> {
        let bytes = self.binary(len)?;
        Ok(json!([kind, bytes]))
    }
}

/// NaN and infinity are null, as `JSON.stringify` writes them; whole numbers have no point.
fn number(n: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if n.fract() == 0.0 && n.abs() <= EXACT {
        return Value::from(n as i64);
    }
    Number::from_f64(n).map_or(Value::Null, Value::Number)
}

/// As JavaScript's `Date.prototype.toJSON` writes it.
fn date(nanos: i128) -> Value {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|at| at.format(format).ok())
        .map_or(Value::Null, Value::String)
}

/// Writes a value, with binary data in the places of its placeholders.
pub fn write(value: &Value, attachments: &[Bytes]) -> Vec<u8> {
    let mut out = ByteBuf::new();
    put(&mut out, value, attachments);
    out.into_vec()
}

fn put(out: &mut ByteBuf, value: &Value, attachments: &[Bytes]) {
    // Writing to memory does not fail; what has more than four billion parts was never read.
    let len = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
    match value {
        Value::Null => {
            let _ = encode::write_nil(out);
        }
        Value::Bool(b) => {
            let _ = encode::write_bool(out, *b);
        }
        Value::Number(n) => {
            let _ = match (n.as_u64(), n.as_i64()) {
                (Some(n), _) => encode::write_uint(out, n).map(drop),
                (None, Some(n)) => encode::write_sint(out, n).map(drop),
                (None, None) => encode::write_f64(out, n.as_f64().unwrap_or_default()),
            };
        }
        Value::String(text) => {
            let _ = encode::write_str(out, text);
        }
        Value::Array(list) => {
            let _ = encode::write_array_len(out, len(list.len()));
            list.iter().for_each(|v| put(out, v, attachments));
        }
        Value::Object(map) => {
            if let Some(bytes) = placeholder_num(value).and_then(|n| attachments.get(n)) {
                let _ = encode::write_bin(out, bytes);
                return;
            }
            let _ = encode::write_map_len(out, len(map.len()));
            for (key, value) in map {
                let _ = encode::write_str(out, key);
                put(out, value, attachments);
            }
        }
    }
}
