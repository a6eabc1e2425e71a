//! A dialect as TypeScript: the two interfaces that socket.io-client's `Socket` takes.
//!
//! Every way to emit an event is a tuple of its own, with an ack and without, because
//! socket.io-client takes the parameters of a listener apart and knows neither overloads nor, where
//! `timeout()` is used, an ack that is optional.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    Dialect,
    look::{Element, Look, Member, Part},
    outbound::{Words, hearer_name},
    text::push_text,
    vocabulary::EVENTS,
};

/// Columns of a line at most, where it can be broken.
const WIDTH: usize = 100;
/// Names that are taken.
const OWN: [&str; 5] = [
    "Ack",
    "Refusal",
    "Emitted",
    "ClientToServerEvents",
    "ServerToClientEvents",
];
/// How an event is emitted.
const EMITTED: &str = "\
/** Is called with the answer to an event. */
export type Ack<Answer extends unknown[]> = (...answer: Answer) => void;

/** The arguments of an event in each of its ways, with and without an ack. */
export type Emitted<Ways extends unknown[], Answer extends unknown[], Refused extends unknown[] = Refusal> =
  | Ways
  | [...Ways, ack: Ack<Answer | Refused>];

";

impl Dialect {
    /// The dialect's `ClientToServerEvents` and `ServerToClientEvents` with the types that they
    /// need, as a TypeScript module for socket.io-client 4.
    pub fn types(&self) -> String {
        let names = self.type_names();
        let file = File { names };
        let mut text = self.preamble();
        for shape in &self.shapes {
            let name = file.name(&shape.name);
            let look = file.object(&shape.parts, 0);
            let _ = match look.starts_with('{') && !look.contains("} & ") {
                true => writeln!(text, "export interface {name} {look}\n"),
                false => writeln!(text, "export type {name} = {look};\n"),
            };
        }
        let refusal = file.arguments(&self.ack_error.looks, 0);
        let _ = writeln!(text, "/** What a refused event is acked with. */");
        let _ = writeln!(text, "export type Refusal = {refusal};\n");
        text.push_str(EMITTED);
        self.says(&file, &mut text);
        self.hears(&file, &mut text);
        text
    }

    fn preamble(&self) -> String {
        let name = &self.name;
        format!(
            "// The dialect \"{name}\" for socket.io-client, as `porchlight dialect types {name}` prints it.\n\
             //\n\
             //   import {{ io, type Socket }} from \"socket.io-client\";\n\
             //   import type {{ ClientToServerEvents, ServerToClientEvents }} from \"./{name}\";\n\
             //\n\
             //   const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, {{ auth }});\n\n"
        )
    }

    /// A type's name for each shape.
    fn type_names(&self) -> BTreeMap<String, String> {
        let mut names = BTreeMap::new();
        for shape in &self.shapes {
            let mut name = pascal_case(&shape.name);
            while OWN.contains(&name.as_str()) || names.values().any(|taken| *taken == name) {
                name.push('_');
            }
            names.insert(shape.name.clone(), name);
        }
        names
    }

    fn says(&self, file: &File, text: &mut String) {
        text.push_str("/** What a client says. */\nexport interface ClientToServerEvents {\n");
        for (event, rule) in self.names.iter().zip(&self.rules) {
            let mut ways = Vec::new();
            for alternative in &rule.alternatives {
                file.ways(&alternative.looks, &mut ways);
            }
            let answer = file.arguments(&rule.ack.as_ref().unwrap_or(&self.ack).looks, 4);
            let _ = writeln!(text, "  /** {} */", rule.command);
            let _ = writeln!(text, "  {}: (...args: Emitted<", quoted(event));
            let _ = writeln!(text, "    | {},", ways.join("\n    | "));
            let _ = write!(text, "    {answer}");
            if let Some(refusal) = &rule.ack_error {
                let _ = write!(text, ",\n    {}", file.arguments(&refusal.looks, 4));
            }
            text.push_str("\n  >) => void;\n");
        }
        text.push_str("}\n\n");
    }

    fn hears(&self, file: &File, text: &mut String) {
        let mut heard: Vec<Heard<'_>> = Vec::new();
        let mut hear = |words, when: String| match heard.iter_mut().find(|h| h.is(words)) {
            Some(event) => event.add(words, when),
            None => heard.push(Heard::new(words, when)),
        };
        for words in &self.greet {
            hear(words, "when it connects".to_owned());
        }
        for rule in self.out.iter().flatten() {
            let to: Vec<_> = rule.to.iter().copied().map(hearer_name).collect();
            hear(
                &rule.words,
                format!("{} as {}", EVENTS[rule.on].0, to.join(", ")),
            );
        }
        for (event, rule) in self.names.iter().zip(&self.rules) {
            for answer in &rule.answers {
                hear(&answer.words, format!("after {event}"));
            }
            if let Some(words) = &rule.error {
                hear(words, format!("{event} is refused"));
            }
        }
        if let Some(words) = &self.error {
            hear(words, "an event is refused".to_owned());
        }

        text.push_str("/** What a client hears. */\nexport interface ServerToClientEvents {\n");
        for event in heard {
            let _ = writeln!(text, "  /** {} */", comment(&event.when.join("; ")));
            let _ = writeln!(text, "  {}: {};", quoted(event.name), event.listener(file));
        }
        text.push_str("}\n");
    }
}

/// An event that clients hear, perhaps for several reasons.
struct Heard<'a> {
    name: &'a str,
    when: Vec<String>,
    arguments: Vec<&'a [Element]>,
}

impl<'a> Heard<'a> {
    fn new(words: &'a Words, when: String) -> Self {
        Self {
            name: &words.name,
            when: vec![when],
            arguments: vec![&words.looks],
        }
    }

    fn is(&self, words: &Words) -> bool {
        self.name == words.name
    }

    fn add(&mut self, words: &'a Words, when: String) {
        if !self.when.contains(&when) {
            self.when.push(when);
        }
        self.arguments.push(&words.looks);
    }

    fn listener(&self, file: &File) -> String {
        let mut ways: Vec<String> = Vec::new();
        for arguments in &self.arguments {
            let way = match arguments {
                [] => "()".to_owned(),
                [one] => format!("(payload: {})", file.look(&one.look, 2)),
                several => {
                    let several = several.iter().enumerate();
                    let named = several.map(|(i, e)| format!("arg{i}: {}", file.look(&e.look, 2)));
                    format!("({})", named.collect::<Vec<_>>().join(", "))
                }
            };
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        if let [way] = ways.as_slice() {
            return format!("{way} => void");
        }
        let mut ways: Vec<String> = Vec::new();
        for arguments in &self.arguments {
            let way = file.arguments(arguments, 4);
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        format!("(...args:\n    | {}\n  ) => void", ways.join("\n    | "))
    }
}

/// The names of a file's types.
struct File {
    names: BTreeMap<String, String>,
}

impl File {
    fn name(&self, shape: &str) -> &str {
        self.names.get(shape).map_or("unknown", |name| name)
    }

    /// The ways to emit an event with these arguments: with and without each of the optional ones.
    fn ways(&self, looks: &[Element], ways: &mut Vec<String>) {
        let needed = looks.iter().rposition(|e| !e.optional);
        for count in needed.map_or(0, |at| at + 1)..=looks.len() {
            let arguments: Vec<String> = looks[..count]
                .iter()
                .map(|e| format!("{}: {}", argument_name(&e.label), self.look(&e.look, 4)))
                .collect();
            let way = format!("[{}]", arguments.join(", "));
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
    }

    /// A tuple of arguments.
    fn arguments(&self, looks: &[Element], indent: usize) -> String {
        let looks = looks.iter().map(|e| self.look(&e.look, indent));
        format!("[{}]", looks.collect::<Vec<_>>().join(", "))
    }

    fn look(&self, look: &Look, indent: usize) -> String {
        match look {
            Look::Text => "string".to_owned(),
            Look::Number => "number".to_owned(),
            Look::Flag => "boolean".to_owned(),
            Look::Any => "unknown".to_owned(),
            Look::Constant(json) if json == "{}" => "Record<string, never>".to_owned(),
            Look::Constant(json) => json.clone(),
            Look::Choice(words) => union(words.iter().map(|w| quoted(w))),
            Look::Record(of) => format!("Record<string, {}>", self.look(of, indent)),
            Look::Object(parts) => self.object(parts, indent),
            Look::Shape(shape) => self.name(&shape.name).to_owned(),
            Look::List(of) => format!("Array<{}>", self.look(of, indent)),
            Look::Tuple(elements) => self.arguments(elements, indent),
            Look::Either(looks) => union(looks.iter().map(|l| self.look(l, indent))),
        }
    }

    /// An object type: in one line if it fits, and the shapes that it takes over before it.
    fn object(&self, parts: &[Part], indent: usize) -> String {
        let shapes = parts.iter().filter_map(|part| match part {
            Part::All(shape) => Some(self.name(&shape.name).to_owned()),
            _ => None,
        });
        let mut whole: Vec<String> = shapes.collect();
        let inner = indent + 2;
        let members: Vec<String> = parts
            .iter()
            .filter_map(|part| match part {
                Part::All(_) => None,
                Part::Others => Some("[name: string]: unknown".to_owned()),
                Part::Member(member) => Some(self.member(member, inner)),
            })
            .collect();
        if !members.is_empty() || whole.is_empty() {
            let line = format!("{{ {} }}", members.join("; "));
            let long = indent > 0 && indent + line.len() > WIDTH;
            let broken = long || indent == 0 || line.contains('\n');
            let end = " ".repeat(indent);
            whole.push(match broken && !members.is_empty() {
                true => {
                    let lines = members.iter().map(|m| format!("{end}  {m};\n"));
                    format!("{{\n{}{end}}}", lines.collect::<String>())
                }
                false if members.is_empty() => "Record<string, never>".to_owned(),
                false => line,
            });
        }
        whole.join(" & ")
    }

    fn member(&self, member: &Member, indent: usize) -> String {
        let mark = if member.optional { "?" } else { "" };
        let look = self.look(&member.look, indent);
        format!("{}{mark}: {look}", property(&member.name))
    }
}

fn union(types: impl Iterator<Item = String>) -> String {
    let mut distinct: Vec<String> = Vec::new();
    for one in types {
        if one == "unknown" {
            return one;
        }
        if !distinct.contains(&one) {
            distinct.push(one);
        }
    }
    distinct.join(" | ")
}

/// A text as a literal. JSON's is TypeScript's too.
fn quoted(text: &str) -> String {
    let mut literal = String::new();
    push_text(&mut literal, text);
    literal
}

fn property(name: &str) -> String {
    match is_identifier(name) {
        true => name.to_owned(),
        false => quoted(name),
    }
}

fn is_identifier(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || "_$".contains(c));
    starts
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_$".contains(c))
}

/// A shape's name as a type's: `chat-message` becomes `ChatMessage`.
fn pascal_case(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let words = words.filter_map(|word| {
        let (first, rest) = word.split_at_checked(1)?;
        Some(first.to_ascii_uppercase() + rest)
    });
    let joined: String = words.collect();
    match is_identifier(&joined) {
        true => joined,
        false => format!("Shape{joined}"),
    }
}

/// `<conversation>?` as the name of a parameter.
fn argument_name(label: &str) -> &str {
    let name = label.trim_matches(|c| "<>?".contains(c));
    match is_identifier(name) {
        true => name,
        false => "payload",
    }
}

/// Names of events are anything, and must not end the comment.
fn comment(text: &str) -> String {
    text.replace("*/", "* /").replace(['\n', '\r'], " ")
}
