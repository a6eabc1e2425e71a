//! The configuration file, with the line of every value.

use std::{io::ErrorKind, ops::Range, path::Path};

use toml::de::{DeTable, DeValue};

use super::{
    Origin,
    draft::{Draft, SocketBlock, socket_name},
    finding::did_you_mean,
    schema::{self, LIST_SECTION, Value, keys},
};

/// A file's text with what is needed to name a line of it.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn at(&self, span: &Range<usize>) -> Origin {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        Origin::File {
            path: self.path.to_owned(),
            line: 1 + before.iter().filter(|b| **b == b'\n').count(),
        }
    }
}

/// Reads the file into the draft. `false`: it could not be understood, so that nothing can be
/// said about the configuration as a whole.
pub(super) fn read(path: &Path, named_by: Origin, draft: &mut Draft) -> bool {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) => {
            let why = match e.kind() {
                ErrorKind::NotFound => "there is no such file".to_owned(),
                ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
                _ => e.to_string(),
            };
            let problem = format!("cannot read {}: {why}", path.display());
            draft.refuse("", named_by, problem);
            return false;
        }
    };
    let source = Source { path, text: &text };
    let (document, errors) = DeTable::parse_recoverable(&text);
    if !errors.is_empty() {
        for error in errors {
            let origin = source.at(&error.span().unwrap_or_default());
            draft.refuse(
                "",
                origin,
                format!("not TOML: {}", one_line(error.message())),
            );
        }
        return false;
    }
    for (section, content) in document.get_ref() {
        read_section(
            section.get_ref(),
            section.span(),
            content.get_ref(),
            &source,
            draft,
        );
    }
    true
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn read_section(
    section: &str,
    span: Range<usize>,
    content: &DeValue<'_>,
    source: &Source<'_>,
    draft: &mut Draft,
) {
    let origin = source.at(&span);
    let known = keys().iter().any(|key| section_of(&key.name) == section);
    match content {
        DeValue::Array(blocks) if section == LIST_SECTION => {
            let blocks: Option<Vec<_>> = blocks.iter().map(|b| as_table(b.get_ref())).collect();
            match blocks {
                Some(blocks) => read_sockets(&blocks, source, draft),
                None => draft.refuse(section, origin, "must be [[socket]] blocks"),
            }
        }
        DeValue::Table(_) if section == LIST_SECTION => draft.refuse(
            section,
            origin,
            "there may be several: write [[socket]] with two brackets",
        ),
        DeValue::Table(table) if known => {
            for (leaf, value) in table {
                let name = format!("{section}.{}", leaf.get_ref());
                let Some(key) = schema::find(&name) else {
                    draft.refuse(&name, source.at(&leaf.span()), unknown(&name));
                    continue;
                };
                let origin = source.at(&value.span());
                match convert(value.get_ref()) {
                    Ok(converted) => {
                        let items = match value.get_ref() {
                            DeValue::Array(items) => {
                                Some(items.iter().map(|i| source.at(&i.span())).collect())
                            }
                            _ => None,
                        };
                        draft.set(key, converted, origin, items);
                    }
                    Err(Unfit::TooLarge) => draft.refuse(&name, origin, "the number is too large"),
                    Err(Unfit::WrongType) => draft.refuse(
                        &name,
                        origin,
                        format!("must be {}", key.default.type_name()),
                    ),
                }
            }
        }
        _ if known => draft.refuse(section, origin, format!("must be a section: [{section}]")),
        DeValue::Table(_) => {
            let sections = keys().iter().map(|key| section_of(&key.name));
            let problem = match did_you_mean(section, sections, '.') {
                Some(meant) => format!("no such section; did you mean [{meant}]?"),
                None => "no such section; default-config prints all there are".to_owned(),
            };
            draft.refuse(section, origin, problem);
        }
        _ => draft.refuse(section, origin, unknown(section)),
    }
}

fn read_sockets(blocks: &[&DeTable<'_>], source: &Source<'_>, draft: &mut Draft) {
    let defaults = Draft::new().sockets();
    let Some(default) = defaults.first() else {
        return;
    };
    let mut sockets: Vec<SocketBlock> = Vec::new();
    for (i, block) in blocks.iter().enumerate() {
        let mut socket = default.clone();
        for (leaf, value) in *block {
            let name = socket_name(i, leaf.get_ref());
            let place = match leaf.get_ref().as_ref() {
                "path" => &mut socket[0],
                "dialect" => &mut socket[1],
                other => {
                    let origin = source.at(&leaf.span());
                    draft.refuse(&name, origin, unknown(&format!("{LIST_SECTION}.{other}")));
                    continue;
                }
            };
            let origin = source.at(&value.span());
            match value.get_ref().as_str() {
                Some(text) => *place = (text.to_owned(), origin),
                None => draft.refuse(&name, origin, "must be a text in quotes"),
            }
        }
        sockets.push(socket);
    }
    draft.set_sockets(sockets);
}

fn unknown(name: &str) -> String {
    match did_you_mean(name, keys().iter().map(|key| key.name.as_str()), '.') {
        Some(meant) => format!("no such key; did you mean {meant}?"),
        None => "no such key; default-config prints all there are".to_owned(),
    }
}

fn section_of(name: &str) -> &str {
    name.split_once('.').map_or(name, |(section, _)| section)
}

fn as_table<'v, 'i>(value: &'v DeValue<'i>) -> Option<&'v DeTable<'i>> {
    match value {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

/// Why a value of the file cannot be one of the configuration's.
enum Unfit {
    TooLarge,
    WrongType,
}

fn convert(value: &DeValue<'_>) -> Result<Value, Unfit> {
    match value {
        DeValue::String(text) => Ok(Value::Text(text.to_string())),
        DeValue::Boolean(on) => Ok(Value::Switch(*on)),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(Value::Number)
            .map_err(|_| Unfit::TooLarge),
        DeValue::Array(items) => items
            .iter()
            .map(|item| item.get_ref().as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .map(Value::List)
            .ok_or(Unfit::WrongType),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => Err(Unfit::WrongType),
    }
}
