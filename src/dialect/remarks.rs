//! What a dialect file says without a mistake and perhaps without intention.

use std::collections::BTreeSet;

use crate::chat::Hearer;

use super::{
    Dialect,
    look::{Element, Look, Part},
    outbound::{OutRule, hearer_name},
    vocabulary::EVENTS,
};

impl Dialect {
    /// What may or may not be meant so, a line each.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        // Whoever follows every conversation joins none.
        let common: &[&str] = if self.follows {
            &["send"]
        } else {
            &["join", "send"]
        };
        for command in common {
            if self.rules.iter().all(|rule| rule.command != *command) {
                remarks.push(format!("no event has the command \"{command}\""));
            }
        }
        let (created, _) = EVENTS[0];
        if self.out[0]
            .iter()
            .all(|rule| !rule.to.contains(&Hearer::Other))
        {
            remarks.push(format!(
                "no [[out]] on \"{created}\" goes to \"other\": nobody hears of messages"
            ));
        }
        if self.error.is_none() {
            remarks.push("no [error]: without an ack nobody hears of a refusal".to_owned());
        }
        for rules in &self.out {
            remarks.extend(rules.iter().enumerate().filter_map(|(i, rule)| {
                let found = |other| Some((both(other, rule)?, other.line));
                let (twice, line) = rules[..i].iter().find_map(found)?;
                let (on, twice) = (EVENTS[rule.on].0, hearer_name(twice));
                let (name, this) = (&rule.words.name, rule.line);
                Some(format!(
                    "\"{name}\" on \"{on}\" goes to \"{twice}\" twice, by the rules in lines {line} and {this}"
                ))
            }));
            remarks.extend(rules.iter().enumerate().filter_map(|(i, rule)| {
                let other = rules[..i].iter().find(|other| differ(other, rule))?;
                Some(format!(
                    "\"{}\" on \"{}\" has one payload by the rule in line {} and another by the one in line {}",
                    rule.words.name, EVENTS[rule.on].0, other.line, rule.line
                ))
            }));
        }
        let used = self.shapes_in_use();
        for shape in self.shapes.iter().filter(|s| !used.contains(&s.name)) {
            remarks.push(format!("[shape.{}] is not used", shape.name));
        }
        remarks
    }

    fn shapes_in_use(&self) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        let out = self.out.iter().flatten().map(|rule| &rule.words);
        let answers = self.rules.iter().flat_map(|r| &r.answers).map(|a| &a.words);
        let errors = self.rules.iter().filter_map(|r| r.error.as_ref());
        let words = self.greet.iter().chain(out).chain(answers).chain(errors);
        for words in words.chain(&self.error) {
            elements(&words.looks, &mut used);
        }
        let acks = self
            .rules
            .iter()
            .flat_map(|r| [&r.ack, &r.ack_error])
            .flatten();
        for ack in acks.chain([&self.ack, &self.ack_error]) {
            elements(&ack.looks, &mut used);
        }
        used
    }
}

/// A role that hears the same event by both rules, whatever the conditions.
fn both(a: &OutRule, b: &OutRule) -> Option<Hearer> {
    let always = a.conditions.is_empty() && b.conditions.is_empty();
    let same = always && a.words.name == b.words.name;
    same.then(|| a.to.iter().copied().find(|h| b.to.contains(h)))?
}

/// Whether one role hears the event with other members than another, whatever the conditions.
fn differ(a: &OutRule, b: &OutRule) -> bool {
    let always = a.conditions.is_empty() && b.conditions.is_empty();
    let same = always && a.words.name == b.words.name && both(a, b).is_none();
    same && a.words.sketch() != b.words.sketch()
}

fn elements(elements: &[Element], used: &mut BTreeSet<String>) {
    elements.iter().for_each(|e| look(&e.look, used));
}

fn look(of: &Look, used: &mut BTreeSet<String>) {
    match of {
        Look::Text | Look::Number | Look::Flag | Look::Any => {}
        Look::Constant(_) | Look::Choice(_) => {}
        Look::Record(of) | Look::List(of) => look(of, used),
        Look::Object(members) => parts(members, used),
        Look::Shape(shape) => {
            used.insert(shape.name.clone());
            parts(&shape.parts, used);
        }
        Look::Tuple(of) => elements(of, used),
        Look::Either(looks) => looks.iter().for_each(|l| look(l, used)),
    }
}

fn parts(members: &[Part], used: &mut BTreeSet<String>) {
    for part in members {
        match part {
            Part::Member(member) => look(&member.look, used),
            Part::All(shape) => {
                used.insert(shape.name.clone());
                parts(&shape.parts, used);
            }
            Part::Others => {}
        }
    }
}
