//! Compiles and applies outbound rules: which words a role hears of an event, and when.

use crate::chat::Hearer;

use super::{
    hint::unknown,
    look::{self, Element},
    render::{Program, Scope, Source},
    source::{Node, Value},
    template::Templates,
    vocabulary::{CREATED, Datum, EVENTS, Kind, ONLINE, Type},
};

/// Who hears an event, for those who name somebody else.
const ROLES: &str = "origin is the connection that caused the event, own_device the same user's \
     others, other everybody else in the room, absent participants outside it";

/// An event with its payload.
pub(super) struct Words {
    pub program: Program,
    /// The event's name.
    pub name: String,
    /// How its arguments look.
    pub looks: Vec<Element>,
}

impl Words {
    /// How its arguments look to people.
    pub(super) fn sketch(&self) -> String {
        look::list(&self.looks)
    }
}

/// An `[[out]]` rule.
pub(super) struct OutRule {
    /// Its line in the file.
    pub line: usize,
    /// The event's place in [`EVENTS`].
    pub on: usize,
    pub to: Vec<Hearer>,
    pub conditions: Vec<Condition>,
    pub words: Words,
}

/// An `answer` to the causing connection.
pub(super) struct Answer {
    /// Once for each thing of this list instead of once.
    pub each: Option<Source>,
    pub conditions: Vec<Condition>,
    pub words: Words,
}

/// A member of `when` or `unless`.
pub(super) struct Condition {
    source: Source,
    any_of: Vec<Wanted>,
    /// What being one of them must come to.
    holds: bool,
}

enum Wanted {
    Text(String),
    Flag(bool),
}

impl Condition {
    fn met(&self, scope: Scope<'_>) -> bool {
        let datum = self.source.get(scope);
        let found = self.any_of.iter().any(|wanted| match (wanted, datum) {
            (Wanted::Text(wanted), Datum::Text(text)) => wanted == text,
            (Wanted::Flag(wanted), Datum::Flag(flag)) => *wanted == flag,
            _ => false,
        });
        found == self.holds
    }
}

/// Whether all conditions are met.
pub(super) fn met(conditions: &[Condition], scope: Scope<'_>) -> bool {
    conditions.iter().all(|c| c.met(scope))
}

impl Answer {
    /// Appends the events that answer with what `scope` holds.
    pub(super) fn run(&self, scope: Scope<'_>, out: &mut Vec<String>) {
        if !met(&self.conditions, scope) {
            return;
        }
        match self.each.as_ref().map(|source| source.get(scope)) {
            None => out.push(self.words.program.text(scope)),
            Some(Datum::List(list)) => list.each(|datum| {
                if let Datum::Thing(item) = datum {
                    out.push(self.words.program.text(scope.of(item)));
                }
            }),
            Some(_) => {}
        }
    }
}

/// The name of a role in dialect files.
pub(super) fn hearer_name(hearer: Hearer) -> &'static str {
    match hearer {
        Hearer::Origin => "origin",
        Hearer::OwnDevice => "own_device",
        Hearer::Other => "other",
        Hearer::Absent => "absent",
    }
}

impl Templates<'_> {
    /// Compiles the event of a table that has `event` and `payload` or `args`.
    pub(super) fn words(&mut self, node: &Node, kind: Kind) -> Option<Words> {
        let (program, name, looks) = self.packet(node, kind)?;
        Some(Words {
            program,
            name,
            looks,
        })
    }

    /// Compiles one `[[out]]`.
    pub(super) fn out_rule(&mut self, node: &Node) -> Option<OutRule> {
        node.table(self.problems)?;
        let keys = ["on", "to", "event", "payload", "args", "when", "unless"];
        node.allow(&keys, self.problems);
        let (Some(on), Some(to)) = (node.get("on"), node.get("to")) else {
            self.problems.at(node, "needs both `on` and `to`");
            return None;
        };
        let name = on.text(self.problems)?;
        let Some(at) = EVENTS.iter().position(|(n, _)| *n == name) else {
            let allowed = EVENTS.map(|(n, _)| n);
            self.problems.at(on, unknown("event", name, &allowed));
            return None;
        };
        let kind = EVENTS[at].1;
        let to = self.hearers(to, at);
        let conditions = self.conditions(node, kind);
        let words = self.words(node, kind)?;
        Some(OutRule {
            line: node.line,
            on: at,
            to,
            conditions,
            words,
        })
    }

    fn hearers(&mut self, node: &Node, on: usize) -> Vec<Hearer> {
        let mut hearers = Vec::new();
        if node.one_or_many().is_empty() {
            self.problems.at(node, "needs at least one role");
        }
        for node in node.one_or_many() {
            let Some(name) = node.text(self.problems) else {
                continue;
            };
            match Hearer::ALL.into_iter().find(|h| hearer_name(*h) == name) {
                // Whoever is outside the room hears of messages only.
                Some(Hearer::Absent) if on != CREATED => {
                    let message = format!("`absent` goes with \"{}\" only", EVENTS[CREATED].0);
                    self.problems.at(node, message);
                }
                // Nobody caused it.
                Some(Hearer::Origin | Hearer::OwnDevice) if on == ONLINE => {
                    let message = format!("\"{}\" goes to `other` only", EVENTS[ONLINE].0);
                    self.problems.at(node, message);
                }
                Some(hearer) => hearers.push(hearer),
                None => {
                    let allowed = Hearer::ALL.map(hearer_name);
                    let message = unknown("role", name, &allowed);
                    self.problems.at(node, format!("{message}; {ROLES}"));
                }
            }
        }
        hearers
    }

    /// Compiles one `answer` of an inbound rule.
    pub(super) fn answer(&mut self, node: &Node, kind: Kind) -> Option<Answer> {
        node.table(self.problems)?;
        let keys = ["event", "payload", "args", "when", "unless", "each"];
        node.allow(&keys, self.problems);
        let conditions = self.conditions(node, kind);
        let (mut each, mut of) = (None, kind);
        if let Some(list) = node.get("each") {
            let path = list.text(self.problems)?;
            match self.source(list, path, kind)? {
                (source, Type::List(kind)) => (each, of) = (Some(source), kind),
                _ => self.problems.at(list, "must name a list of things"),
            }
        }
        let words = self.words(node, of)?;
        Some(Answer {
            each,
            conditions,
            words,
        })
    }

    fn conditions(&mut self, node: &Node, kind: Kind) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for (key, holds) in [("when", true), ("unless", false)] {
            let Some(table) = node.get(key) else { continue };
            for (path, values) in table.table(self.problems).unwrap_or_default() {
                let Some((source, ty)) = self.source(values, path, kind) else {
                    continue;
                };
                if values.one_or_many().is_empty() {
                    self.problems.at(values, "needs at least one value");
                }
                let wanted = values.one_or_many().iter();
                let any_of = wanted.filter_map(|value| self.wanted(value, ty)).collect();
                conditions.push(Condition {
                    source,
                    any_of,
                    holds,
                });
            }
        }
        conditions
    }

    fn wanted(&mut self, node: &Node, ty: Type) -> Option<Wanted> {
        let message = match (ty, &node.value) {
            (Type::Flag, Value::Flag(flag)) => return Some(Wanted::Flag(*flag)),
            (Type::Text, Value::Text(text)) => return Some(Wanted::Text(text.clone())),
            (Type::Choice(words), Value::Text(text)) => {
                if words().contains(&text.as_str()) {
                    return Some(Wanted::Text(text.clone()));
                }
                unknown("value", text, &words())
            }
            (Type::Flag, _) => "must be true or false".to_owned(),
            (Type::Text | Type::Choice(_), _) => "must be text".to_owned(),
            _ => "a condition must be on text or on true or false".to_owned(),
        };
        self.problems.at(node, message);
        None
    }
}
