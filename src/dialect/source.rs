//! A dialect file as a tree in which every value knows its key and line, and the list of what is
//! wrong with it.

use std::{fmt, ops::Range};

use toml_edit::{Document, Item, Value as TomlValue};

use super::hint::unknown;

/// A mistake in a dialect file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialectError {
    /// The file, as it was named.
    pub file: String,
    /// The line, counted from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// The key, such as `out[3].payload.id`; empty where the file as a whole is meant.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl fmt::Display for DialectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for DialectError {}

/// Collects the mistakes of one file.
pub(super) struct Problems {
    file: String,
    list: Vec<DialectError>,
    remarks: Vec<(usize, String)>,
}

impl Problems {
    pub(super) fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            list: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Records what is no mistake and may not be meant so.
    pub(super) fn remark(&mut self, node: &Node, message: &str) {
        let remark = (
            node.line,
            format!("line {}: {}: {message}", node.line, node.key),
        );
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    /// What was remarked, in the order of its lines.
    pub(super) fn into_remarks(mut self) -> Vec<String> {
        self.remarks.sort();
        self.remarks.into_iter().map(|(_, remark)| remark).collect()
    }

    /// Records a mistake at a value.
    pub(super) fn at(&mut self, node: &Node, message: impl Into<String>) {
        self.push(node.line, &node.key, message.into());
    }

    /// Records a mistake of the file as a whole.
    pub(super) fn whole(&mut self, message: impl Into<String>) {
        self.push(0, "", message.into());
    }

    fn push(&mut self, line: usize, key: &str, message: String) {
        self.list.push(DialectError {
            file: self.file.clone(),
            line,
            key: key.to_owned(),
            message,
        });
    }

    /// The mistakes in the order of their lines.
    pub(super) fn into_vec(mut self) -> Vec<DialectError> {
        self.list.sort_by_key(|e| e.line);
        self.list
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// A value of the file with its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The full key.
    pub key: String,
    /// The line, counted from 1.
    pub line: usize,
    pub value: Value,
}

/// What a [`Node`] holds. Tables keep the file's order.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Flag(bool),
    /// A number as its JSON text.
    Number(String),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
    /// Dates, and floats that JSON cannot write.
    Unusable,
}

impl Node {
    /// Reads a file's text. A file that is not TOML has one mistake, the first.
    pub(super) fn parse(text: &str, problems: &mut Problems) -> Option<Self> {
        let lines = Lines::of(text);
        match Document::parse(text) {
            Ok(document) => Some(read(document.as_item(), String::new(), 1, &lines)),
            Err(e) => {
                let line = e.span().map_or(0, |span| lines.at(&span));
                let mut message = e.message().trim().replace('\n', ", ");
                if let Some(written) = line.checked_sub(1).and_then(|n| text.lines().nth(n)) {
                    message.push_str(&quotes(written, &message));
                }
                problems.push(line, "", message);
                None
            }
        }
    }

    pub(super) fn describe(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "text",
            Value::Flag(_) => "true or false",
            Value::Number(_) => "a number",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Unusable => "a date or a number without a JSON form",
        }
    }

    /// The text, or a recorded mistake.
    pub(super) fn text(&self, problems: &mut Problems) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => {
                problems.at(self, format!("must be text, not {}", self.describe()));
                None
            }
        }
    }

    /// The members, or a recorded mistake.
    pub(super) fn table(&self, problems: &mut Problems) -> Option<&[(String, Node)]> {
        match &self.value {
            Value::Table(members) => Some(members),
            _ => {
                problems.at(self, format!("must be a table, not {}", self.describe()));
                None
            }
        }
    }

    /// The elements of a list; anything else is a list of one.
    pub(super) fn one_or_many(&self) -> &[Node] {
        match &self.value {
            Value::List(nodes) => nodes,
            _ => std::slice::from_ref(self),
        }
    }

    /// The member of that name, if this is a table that has it.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        match &self.value {
            Value::Table(members) => members.iter().find(|(k, _)| k == name).map(|(_, n)| n),
            _ => None,
        }
    }

    /// Records every member that is not among `allowed`.
    pub(super) fn allow(&self, allowed: &[&str], problems: &mut Problems) {
        if let Value::Table(members) = &self.value {
            for (name, node) in members {
                if !allowed.contains(&name.as_str()) {
                    problems.at(node, unknown("key", name, allowed));
                }
            }
        }
    }
}

/// What to add to the mistake of a line that is not TOML because a name in it needs quotes.
fn quotes(line: &str, message: &str) -> String {
    let header = line.trim().strip_prefix("[in.");
    let name = header.and_then(|rest| rest.split(']').next()).unwrap_or("");
    let bare = |c: char| c.is_ascii_alphanumeric() || "-_.\"'".contains(c);
    if !name.is_empty() && !name.chars().all(bare) && !name.contains(['"', '\'']) {
        return format!("; write [in.\"{name}\"]");
    }
    match message.contains("unquoted key") {
        true => "; a name with other characters has quotes, as in [in.\"chat/say\"]".to_owned(),
        false => String::new(),
    }
}

fn read(item: &Item, key: String, line: usize, lines: &Lines) -> Node {
    let value = match item {
        Item::Table(table) => Value::Table(
            table
                .iter()
                .map(|(name, child)| member(&key, name, table.key(name), child, line, lines))
                .collect(),
        ),
        Item::ArrayOfTables(tables) => Value::List(
            tables
                .iter()
                .enumerate()
                .map(|(i, table)| {
                    let at = table.span().map_or(line, |span| lines.at(&span));
                    read(
                        &Item::Table(table.clone()),
                        format!("{key}[{i}]"),
                        at,
                        lines,
                    )
                })
                .collect(),
        ),
        Item::Value(value) => return read_value(value, key, line, lines),
        Item::None => Value::Unusable,
    };
    Node { key, line, value }
}

fn read_value(value: &TomlValue, key: String, line: usize, lines: &Lines) -> Node {
    let value = match value {
        TomlValue::String(text) => Value::Text(text.value().clone()),
        TomlValue::Boolean(flag) => Value::Flag(*flag.value()),
        TomlValue::Integer(number) => Value::Number(number.value().to_string()),
        TomlValue::Float(number) => serde_json::Number::from_f64(*number.value())
            .map_or(Value::Unusable, |n| Value::Number(n.to_string())),
        TomlValue::Datetime(_) => Value::Unusable,
        TomlValue::Array(array) => Value::List(
            array
                .iter()
                .enumerate()
                .map(|(i, child)| {
                    let at = child.span().map_or(line, |span| lines.at(&span));
                    read_value(child, format!("{key}[{i}]"), at, lines)
                })
                .collect(),
        ),
        TomlValue::InlineTable(table) => Value::Table(
            table
                .iter()
                .map(|(name, child)| {
                    let child = Item::Value(child.clone());
                    member(&key, name, table.key(name), &child, line, lines)
                })
                .collect(),
        ),
    };
    Node { key, line, value }
}

fn member(
    parent: &str,
    name: &str,
    key: Option<&toml_edit::Key>,
    child: &Item,
    line: usize,
    lines: &Lines,
) -> (String, Node) {
    let at = key
        .and_then(toml_edit::Key::span)
        .map_or(line, |span| lines.at(&span));
    let shown = if name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    {
        name.to_owned()
    } else {
        format!("{name:?}")
    };
    let path = if parent.is_empty() {
        shown
    } else {
        format!("{parent}.{shown}")
    };
    (name.to_owned(), read(child, path, at, lines))
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at + 1).collect())
    }

    fn at(&self, span: &Range<usize>) -> usize {
        self.0.partition_point(|start| *start <= span.start) + 1
    }
}
