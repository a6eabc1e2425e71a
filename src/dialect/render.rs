//! Compiled templates, and how they become JSON text.
//!
//! A template is a flat list of operations that append to one string. Text that is always the same
//! is merged and escaped when the file is loaded. Every member of an object ends with a comma;
//! closing the object takes the last one back, so that optional members cost no bookkeeping.

use std::{fmt::Write, sync::Arc};

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::chat::UserId;

use super::{
    capture::TextSeed,
    look::Part,
    text::{push_excerpt, push_text},
    vocabulary::{Datum, Get, Item},
};

/// A compiled template.
#[derive(Default)]
pub(super) struct Program(pub Vec<Op>);

/// The members of an object that several templates share.
pub(super) struct Shape {
    /// What the file calls it.
    pub name: String,
    pub members: Program,
    /// The names of its members.
    pub names: Vec<String>,
    /// How its members look.
    pub parts: Vec<Part>,
}

pub(super) enum Op {
    /// Appends this.
    Text(String),
    /// Appends a value; `null` where it is absent.
    Put(Pick),
    /// Appends a key with its value and a comma, or nothing where the value is absent.
    Member(String, Pick),
    /// Appends the members of a thing's shape.
    Splice(Source, Arc<Shape>),
    /// Appends the members of a JSON object.
    Spread {
        of: Source,
        /// But for these.
        except: Vec<String>,
        /// But for these where they are null.
        unless_null: Vec<String>,
    },
    /// Runs on if the JSON object has, or has not, a member of that name.
    If {
        of: Source,
        name: String,
        has: bool,
        then: Program,
    },
    /// Closes an object or a list whose last member may have left a comma.
    Close(char),
}

/// A value with the form it is written in.
pub(super) struct Pick {
    /// Tried in order.
    pub sources: Vec<Source>,
    /// JSON text to write if all are absent.
    pub fallback: Option<String>,
    pub form: Form,
}

/// How a value is written.
pub(super) enum Form {
    /// As it is; times as ISO 8601.
    Plain,
    /// A time as milliseconds since 1970.
    Millis,
    /// Cut to so many characters, the last one an ellipsis.
    Excerpt(usize),
    /// Other words for some texts.
    Map(Vec<(String, String)>),
    /// A thing, or each thing of a list, in a shape.
    Shape(Arc<Shape>),
}

/// The way from a template's thing to a value.
#[derive(Clone)]
pub(super) struct Source {
    pub steps: Vec<Get>,
    /// Members of a JSON object to follow from there.
    pub json: Vec<String>,
    /// Instead: whether the thing is the hearer's own.
    pub own: bool,
}

/// Lists operations, merging text that is always the same.
#[derive(Default)]
pub(super) struct Builder {
    pub ops: Vec<Op>,
}

impl Builder {
    pub(super) fn text(&mut self, text: &str) {
        match self.ops.last_mut() {
            Some(Op::Text(last)) => last.push_str(text),
            _ => self.ops.push(Op::Text(text.to_owned())),
        }
    }

    pub(super) fn close(&mut self, bracket: char) {
        match self.ops.last_mut() {
            Some(Op::Text(last)) => {
                if last.ends_with(',') {
                    last.pop();
                }
                last.push(bracket);
            }
            _ => self.ops.push(Op::Close(bracket)),
        }
    }
}

/// What a template sees.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub item: Item<'a>,
    pub eyes: Eyes<'a>,
}

/// Whose eyes a template sees with.
#[derive(Clone, Copy)]
pub(super) enum Eyes<'a> {
    /// Whether they are of the user who caused the event. It is encoded once for all who are, and
    /// once for all others.
    Causer(bool),
    /// Of this user, who asked.
    User(&'a UserId),
}

impl<'a> Scope<'a> {
    /// The same eyes on something else.
    pub(super) fn of(self, item: Item<'a>) -> Self {
        Self { item, ..self }
    }

    /// Whether what is seen is the seer's own.
    fn own(self) -> bool {
        match (self.eyes, self.item) {
            (Eyes::Causer(own), _) => own,
            (Eyes::User(user), Item::Message(message)) => &message.sender.id == user,
            (Eyes::User(user), Item::Profile(profile)) => &profile.id == user,
            (Eyes::User(user), Item::Participant(p)) => &p.profile.id == user,
            // An answer to one's own question.
            (Eyes::User(_), _) => true,
        }
    }
}

impl Source {
    pub(super) fn get<'a>(&self, scope: Scope<'a>) -> Datum<'a> {
        if self.own {
            return Datum::Flag(scope.own());
        }
        let mut datum = Datum::Thing(scope.item);
        for step in &self.steps {
            match datum {
                Datum::Thing(item) => datum = step(item),
                _ => return Datum::Absent,
            }
        }
        for name in &self.json {
            datum = match datum {
                Datum::Json(json) => member(json, name).map_or(Datum::Absent, Datum::Json),
                _ => return Datum::Absent,
            };
        }
        datum
    }
}

impl Pick {
    fn get<'a>(&self, scope: Scope<'a>) -> Datum<'a> {
        for source in &self.sources {
            match source.get(scope) {
                Datum::Absent => {}
                datum => return datum,
            }
        }
        Datum::Absent
    }

    fn put(&self, scope: Scope<'_>, out: &mut String) {
        match (self.get(scope), &self.fallback) {
            (Datum::Absent, Some(json)) => out.push_str(json),
            (datum, _) => self.form.put(datum, scope, out),
        }
    }
}

impl Form {
    fn put<'a>(&self, datum: Datum<'a>, scope: Scope<'a>, out: &mut String) {
        match datum {
            Datum::Absent => out.push_str("null"),
            Datum::Text(text) => self.put_text(text, out),
            Datum::Number(number) => push_number(out, number),
            Datum::Flag(flag) => out.push_str(if flag { "true" } else { "false" }),
            Datum::Time(at) => match self {
                Self::Millis => push_number(out, at.0),
                _ => {
                    out.push('"');
                    at.push_iso(out);
                    out.push('"');
                }
            },
            Datum::Json(json) => out.push_str(json),
            Datum::Thing(item) => match self {
                Self::Shape(shape) => {
                    out.push('{');
                    shape.members.run(scope.of(item), out);
                    close(out, '}');
                }
                // A thing without a shape is refused when the file is loaded.
                _ => out.push_str("null"),
            },
            Datum::List(list) => {
                out.push('[');
                list.each(|datum| {
                    self.put(datum, scope, out);
                    out.push(',');
                });
                close(out, ']');
            }
        }
    }

    fn fixed(&self) -> usize {
        match self {
            Self::Shape(shape) => shape.members.fixed(),
            _ => 0,
        }
    }

    fn put_text(&self, text: &str, out: &mut String) {
        match self {
            Self::Excerpt(limit) => push_excerpt(out, text, *limit),
            Self::Map(words) => {
                let word = words.iter().find(|(from, _)| from == text);
                push_text(out, word.map_or(text, |(_, to)| to));
            }
            _ => push_text(out, text),
        }
    }
}

/// Bytes to expect of the values in a template; usually enough for a message that is in it twice.
const VARIABLE: usize = 768;

impl Program {
    /// Appends the template's text for this thing.
    pub(super) fn run(&self, scope: Scope<'_>, out: &mut String) {
        for op in &self.0 {
            match op {
                Op::Text(text) => out.push_str(text),
                Op::Put(pick) => pick.put(scope, out),
                Op::Member(key, pick) => match pick.get(scope) {
                    Datum::Absent => {}
                    datum => {
                        out.push_str(key);
                        pick.form.put(datum, scope, out);
                        out.push(',');
                    }
                },
                Op::Splice(source, shape) => {
                    if let Datum::Thing(item) = source.get(scope) {
                        shape.members.run(scope.of(item), out);
                    }
                }
                Op::Spread {
                    of,
                    except,
                    unless_null,
                } => {
                    if let Datum::Json(json) = of.get(scope) {
                        each_member(json, |name, value| {
                            let named = |list: &[String]| list.iter().any(|n| n == name);
                            if named(except) || value == "null" && named(unless_null) {
                                return;
                            }
                            push_text(out, name);
                            out.push(':');
                            out.push_str(value);
                            out.push(',');
                        });
                    }
                }
                Op::If {
                    of,
                    name,
                    has,
                    then,
                } => {
                    let found = matches!(of.get(scope), Datum::Json(json)
                        if member(json, name).is_some());
                    if found == *has {
                        then.run(scope, out);
                    }
                }
                Op::Close(bracket) => close(out, *bracket),
            }
        }
    }

    /// Bytes of text that is always the same.
    fn fixed(&self) -> usize {
        let bytes = self.0.iter().map(|op| match op {
            Op::Text(text) => text.len(),
            Op::Put(pick) => pick.form.fixed(),
            Op::Member(key, pick) => key.len() + pick.form.fixed(),
            Op::Splice(_, shape) => shape.members.fixed(),
            Op::If { then, .. } => then.fixed(),
            Op::Spread { .. } | Op::Close(_) => 0,
        });
        bytes.sum()
    }

    /// The template's text, in a string of its own.
    pub(super) fn text(&self, scope: Scope<'_>) -> String {
        let mut out = String::with_capacity(self.fixed() + VARIABLE);
        self.run(scope, &mut out);
        out
    }
}

/// No JSON value ends with a comma, so one at the end was left by the last member.
fn close(out: &mut String, bracket: char) {
    if out.ends_with(',') {
        out.pop();
    }
    out.push(bracket);
}

/// Appends a number.
fn push_number(out: &mut String, number: impl std::fmt::Display) {
    // Writing to a string does not fail.
    let _ = write!(out, "{number}");
}

/// Calls `f` with every member of a JSON object, in order; with none if it is something else.
pub(super) fn each_member<'a>(json: &'a str, f: impl FnMut(&str, &'a str)) {
    struct Each<F>(F);
    impl<'de, F: FnMut(&str, &'de str)> Visitor<'de> for Each<F> {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some(name) = map.next_key_seed(TextSeed)? {
                let value: &'de RawValue = map.next_value()?;
                (self.0)(&name, value.get());
            }
            Ok(())
        }
    }
    // What was stored had been checked; a value that is no object has no members.
    let _ = serde_json::Deserializer::from_str(json).deserialize_map(Each(f));
}

/// The member of that name; `None` if there is none or it is null.
fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let mut found = None;
    each_member(json, |key, value| {
        if key == name {
            found = Some(value);
        }
    });
    found.filter(|value| *value != "null")
}
