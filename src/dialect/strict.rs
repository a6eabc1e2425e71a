//! Whether JSON kept as it came is JSON for every reader that it will reach.
//!
//! A raw value is only known to be well-formed at its surface. This also refuses what some readers
//! refuse: halves of surrogate pairs, numbers out of range, nesting without end.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// How deep objects and lists may be nested.
const MAX_DEPTH: usize = 32;
/// Numbers with fewer digits, and without an exponent, have a value: the largest has 309.
const MAX_DIGITS: usize = 300;

/// Whether every text decodes, every number has a value, and nothing is nested too deeply. `json`
/// must be well-formed at its surface, as a raw value is.
pub(super) fn is_strict(json: &str) -> bool {
    is_plain(json) || decodes(json)
}

/// Whether there is nothing in it at all that could be wrong: no escape, no number with an exponent
/// or hundreds of digits, few brackets. Most objects are so, and need no second reading.
fn is_plain(json: &str) -> bool {
    // Without escapes, every quote begins or ends a text.
    let (mut quoted, mut brackets, mut digits) = (false, 0_usize, 0_usize);
    for byte in json.bytes() {
        match byte {
            b'\\' => return false,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'e' | b'E' if digits > 0 => return false,
            b'0'..=b'9' if digits == MAX_DIGITS => return false,
            b'0'..=b'9' => digits += 1,
            b'{' | b'[' => brackets += 1,
            _ => digits = 0,
        }
    }
    brackets < MAX_DEPTH
}

fn decodes(json: &str) -> bool {
    let mut reader = serde_json::Deserializer::from_str(json);
    Strict(MAX_DEPTH)
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
        .is_ok()
}

/// Reads and forgets a value with so many levels left.
struct Strict(usize);

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl Strict {
    fn inner<E: Error>(&self) -> Result<Self, E> {
        self.0
            .checked_sub(1)
            .map(Self)
            .ok_or_else(|| E::custom("too deep"))
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self.inner()?)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(Text)?.is_some() {
            map.next_value_seed(self.inner()?)?;
        }
        Ok(())
    }
}

/// A member's name, decoded.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_str(Strict(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_decodes() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let long = |digits: usize| format!("{{\"a\":{}}}", "9".repeat(digits));
        for (json, plain, strict) in [
            (r#"{"a":[1,2.5,-3,true,null,"x e 3"]}"#, true, true),
            (r#"{"7e":"3e","b":["0198c0de-7d5e"]}"#, true, true),
            (r#"{"a":1e3}"#, false, true),
            (r#"{"a":1.5E3,"b":2}"#, false, true),
            (r#"["",{"a":"","b":-1e9999}]"#, false, false),
            (r#"{"a":1E999}"#, false, false),
            (r#"{"a":"\n"}"#, false, true),
            (r#"{"a":"\ud800"}"#, false, false),
            (r#"{"\udc00":1}"#, false, false),
            (&long(300), true, true),
            (&long(308), false, true),
            (&long(400), false, false),
            (&deep(31), true, true),
            (&deep(32), false, true),
            (&deep(33), false, false),
        ] {
            assert_eq!(is_plain(json), plain, "{json}");
            assert_eq!(decodes(json), strict, "{json}");
            assert_eq!(is_strict(json), strict, "{json}");
        }
    }
}
