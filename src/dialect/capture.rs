//! One pass over a packet that keeps only what its rule asks for.
//!
//! The arguments that a rule names, over all its alternatives, form a tree. The packet is read
//! along that tree: what is not in it is skipped without being built, and text without escapes is
//! borrowed from the packet.

use std::{borrow::Cow, collections::HashMap, fmt};

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

/// Different values that one rule can name.
pub(super) const MAX_SLOTS: usize = 16;
/// Elements or members of one list or map argument.
pub(super) const MAX_ELEMENTS: usize = 1000;

/// The place of a captured value.
pub(super) type Slot = usize;

/// A captured value.
#[derive(Debug, Default)]
pub(super) enum Captured<'a> {
    #[default]
    Absent,
    Null,
    Flag(bool),
    Number(u64),
    /// A number that is negative, has a fraction or is too large.
    OtherNumber,
    Text(Cow<'a, str>),
    /// Holds the elements if the rule asked for them.
    List(Vec<Captured<'a>>),
    /// Holds the members if the rule asked for them.
    Object(Vec<(Cow<'a, str>, Captured<'a>)>),
    Raw(&'a RawValue),
    /// More than [`MAX_ELEMENTS`].
    TooMany,
}

/// What a rule wants of one value and of what is inside it.
#[derive(Debug, Default)]
pub(super) struct Want {
    pub value: Option<Slot>,
    pub raw: Option<Slot>,
    /// Keep the elements of a list.
    pub elements: bool,
    /// Keep the members of an object.
    pub entries: bool,
    pub members: Vec<(String, Want)>,
}

impl Want {
    /// The node at the end of a path, made where it is missing.
    pub(super) fn walk<'a>(&mut self, path: impl Iterator<Item = &'a str>) -> &mut Self {
        let mut node = self;
        for name in path {
            let at = match node.members.iter().position(|(n, _)| n == name) {
                Some(at) => at,
                None => {
                    node.members.push((name.to_owned(), Self::default()));
                    node.members.len() - 1
                }
            };
            node = &mut node.members[at].1;
        }
        node
    }
}

/// What a packet held.
#[derive(Debug, Default)]
pub(super) struct Slots<'a> {
    values: [Captured<'a>; MAX_SLOTS],
    /// Where reading stopped or what was given twice.
    pub bad: Option<Slot>,
}

impl<'a> Slots<'a> {
    pub(super) fn get(&self, slot: Slot) -> &Captured<'a> {
        &self.values[slot]
    }

    fn set<E: serde::de::Error>(&mut self, slot: Slot, value: Captured<'a>) -> Result<(), E> {
        if !matches!(self.values[slot], Captured::Absent) {
            self.bad = Some(slot);
            return Err(E::custom("given twice"));
        }
        self.values[slot] = value;
        Ok(())
    }
}

/// How reading a packet ended.
pub(super) enum Outcome {
    /// The rule of that number, and everything it asked for is captured.
    Rule(usize),
    /// An event that no rule names.
    Unknown,
    /// Not an array that starts with a name, or broken within the rule of that number.
    Broken(Option<usize>),
}

/// Reads `["name", argument, ...]`.
///
/// `wants` holds per rule what it wants of each argument.
pub(super) fn read_packet<'a>(
    packet: &'a str,
    names: &HashMap<String, usize>,
    wants: &[Vec<Want>],
    slots: &mut Slots<'a>,
) -> Outcome {
    struct Packet<'n, 's, 'a> {
        names: &'n HashMap<String, usize>,
        wants: &'n [Vec<Want>],
        slots: &'s mut Slots<'a>,
        rule: &'s mut Option<usize>,
        unknown: &'s mut bool,
    }
    impl<'de> Visitor<'de> for Packet<'_, '_, 'de> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an event")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
            let name = seq
                .next_element_seed(TextSeed)?
                .ok_or_else(|| A::Error::custom("no name"))?;
            let Some(rule) = self.names.get(&*name).copied() else {
                *self.unknown = true;
                return Err(A::Error::custom("unknown"));
            };
            *self.rule = Some(rule);
            for want in &self.wants[rule] {
                let slot = want.value.or(want.raw);
                let taken = seq.next_element_seed(Take {
                    want,
                    slots: self.slots,
                });
                if taken.is_err() {
                    self.slots.bad = self.slots.bad.or(slot);
                }
                if taken?.is_none() {
                    return Ok(());
                }
            }
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(())
        }
    }
    let (mut rule, mut unknown) = (None, false);
    let mut reader = serde_json::Deserializer::from_str(packet);
    let done = reader
        .deserialize_seq(Packet {
            names,
            wants,
            slots,
            rule: &mut rule,
            unknown: &mut unknown,
        })
        .and_then(|()| reader.end());
    match (done, rule) {
        _ if unknown => Outcome::Unknown,
        (Ok(()), Some(rule)) => Outcome::Rule(rule),
        (_, rule) => Outcome::Broken(rule),
    }
}

/// Reads one value by itself. `false` if it is not JSON.
pub(super) fn read_value<'a>(json: &'a str, want: &Want, slots: &mut Slots<'a>) -> bool {
    let mut reader = serde_json::Deserializer::from_str(json);
    Take { want, slots }
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
        .is_ok()
}

struct Take<'w, 's, 'a> {
    want: &'w Want,
    slots: &'s mut Slots<'a>,
}

impl<'de> DeserializeSeed<'de> for Take<'_, '_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        let want = self.want;
        let Some(slot) = want.raw else {
            return match want.value.is_some() || !want.members.is_empty() {
                true => d.deserialize_any(self),
                false => d.deserialize_ignored_any(IgnoredAny).map(|_| ()),
            };
        };
        let raw = <&'de RawValue as serde::Deserialize>::deserialize(d)?;
        self.slots.set(slot, Captured::Raw(raw))?;
        if want.value.is_none() && want.members.is_empty() {
            return Ok(());
        }
        // Whoever wants a value as it came and parts of it too pays for a second look.
        serde_json::Deserializer::from_str(raw.get())
            .deserialize_any(self)
            .map_err(D::Error::custom)
    }
}

impl<'de> Take<'_, '_, 'de> {
    fn keep<E: serde::de::Error>(self, value: Captured<'de>) -> Result<(), E> {
        match self.want.value {
            Some(slot) => self.slots.set(slot, value),
            None => Ok(()),
        }
    }
}

impl<'de> Visitor<'de> for Take<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E: serde::de::Error>(self, v: bool) -> Result<(), E> {
        self.keep(Captured::Flag(v))
    }
    fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<(), E> {
        self.keep(Captured::Number(v))
    }
    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.keep(Captured::OtherNumber)
    }
    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.keep(Captured::OtherNumber)
    }
    fn visit_borrowed_str<E: serde::de::Error>(self, v: &'de str) -> Result<(), E> {
        self.keep(Captured::Text(Cow::Borrowed(v)))
    }
    fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<(), E> {
        self.keep(Captured::Text(Cow::Owned(v.to_owned())))
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.keep(Captured::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut list = Vec::new();
        if self.want.elements {
            while let Some(value) = seq.next_element_seed(PlainSeed)? {
                if list.len() == MAX_ELEMENTS {
                    while seq.next_element::<IgnoredAny>()?.is_some() {}
                    return self.keep(Captured::TooMany);
                }
                list.push(value);
            }
        } else {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
        }
        self.keep(Captured::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let want = self.want;
        let mut entries = Vec::new();
        if want.entries {
            while let Some(name) = map.next_key_seed(TextSeed)? {
                let value = map.next_value_seed(PlainSeed)?;
                if entries.len() == MAX_ELEMENTS {
                    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                    return self.keep(Captured::TooMany);
                }
                entries.push((name, value));
            }
            return self.keep(Captured::Object(entries));
        }
        while let Some(at) = map.next_key_seed(MemberSeed(&want.members))? {
            match at {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some(at) => {
                    let want = &want.members[at].1;
                    let taken = map.next_value_seed(Take {
                        want,
                        slots: self.slots,
                    });
                    if taken.is_err() {
                        self.slots.bad = self.slots.bad.or(want.value).or(want.raw);
                    }
                    taken?;
                }
            }
        }
        self.keep(Captured::Object(entries))
    }
}

/// A text, borrowed where it has no escapes.
pub(super) struct TextSeed;

impl<'de> DeserializeSeed<'de> for TextSeed {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for TextSeed {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }
    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(v))
    }
    fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(v.to_owned()))
    }
}

/// The place of a member's name among those wanted.
struct MemberSeed<'w>(&'w [(String, Want)]);

impl<'de> DeserializeSeed<'de> for MemberSeed<'_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberSeed<'_> {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|(name, _)| name == v))
    }
}

/// An element of a list or map: text and numbers count, anything else is only recognised.
struct PlainSeed;

impl<'de> DeserializeSeed<'de> for PlainSeed {
    type Value = Captured<'de>;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PlainSeed {
    type Value = Captured<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Self::Value, E> {
        Ok(Captured::Flag(v))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Self::Value, E> {
        Ok(Captured::Number(v))
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Captured::OtherNumber)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Captured::OtherNumber)
    }
    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(Captured::Text(Cow::Borrowed(v)))
    }
    fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Captured::Text(Cow::Owned(v.to_owned())))
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Captured::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Captured::List(Vec::new()))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Captured::Object(Vec::new()))
    }
}
