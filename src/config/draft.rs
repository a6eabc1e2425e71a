//! A configuration in the making: every key with its value and where that came from, and what was
//! found wrong on the way.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use toml::{Table, Value as Toml};

use super::{
    Finding, Key, Origin,
    level::parse_directives,
    schema::{LIST_SECTION, Value, keys},
};

/// A value with its origin.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub value: Value,
    pub origin: Origin,
    /// Of a list: where each item came from.
    pub items: Vec<Origin>,
}

/// One `[[socket]]`: path and dialect.
pub(super) type SocketBlock = [(String, Origin); 2];

/// See the module.
pub(super) struct Draft {
    /// By full name: `server.listen`, `socket[0].path`.
    settings: BTreeMap<String, Setting>,
    /// Names whose value was refused; they keep what they had before, so that the rest can be
    /// checked, and nothing further is said about them.
    refused: BTreeSet<String>,
    pub mistakes: Vec<Finding>,
    pub warnings: Vec<Finding>,
}

impl Draft {
    /// The default.
    pub fn new() -> Self {
        let settings = keys()
            .iter()
            .map(|key| {
                let name = match key.name.split_once('.') {
                    Some((LIST_SECTION, leaf)) => socket_name(0, leaf),
                    _ => key.name.clone(),
                };
                let items = match &key.default {
                    Value::List(items) => vec![Origin::Default; items.len()],
                    _ => Vec::new(),
                };
                let setting = Setting {
                    value: key.default.clone(),
                    origin: Origin::Default,
                    items,
                };
                (name, setting)
            })
            .collect();
        Self {
            settings,
            refused: BTreeSet::new(),
            mistakes: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Every key with its value.
    pub fn settings(&self) -> &BTreeMap<String, Setting> {
        &self.settings
    }

    /// Replaces a value if it is of the right type and form; otherwise that is a mistake. `items`
    /// holds the origins of a list's items where they differ from `origin`.
    pub fn set(&mut self, key: &Key, value: Value, origin: Origin, items: Option<Vec<Origin>>) {
        if let Err(problem) = check_form(key, &value) {
            self.refuse(&key.name, origin, problem);
            return;
        }
        let items = items.unwrap_or_else(|| match &value {
            Value::List(items) => vec![origin.clone(); items.len()],
            _ => Vec::new(),
        });
        // A later source replaces also what an earlier one had wrong; its mistake stays told.
        self.refused.remove(&key.name);
        let setting = Setting {
            value,
            origin,
            items,
        };
        self.settings.insert(key.name.clone(), setting);
    }

    /// Adds an item to a list unless it is there already.
    pub fn append(&mut self, name: &str, item: &str, origin: &Origin) {
        let Some(setting) = self.settings.get_mut(name) else {
            return;
        };
        if let Value::List(items) = &mut setting.value
            && !items.iter().any(|i| i == item)
        {
            items.push(item.to_owned());
            setting.items.push(origin.clone());
            if setting.origin == Origin::Default {
                setting.origin = origin.clone();
            }
        }
    }

    /// Puts another port into an address.
    pub fn set_port(&mut self, key: &Key, port: u16, origin: Origin) {
        let Some(Value::Text(address)) = self.settings.get(&key.name).map(|s| &s.value) else {
            return;
        };
        if let Ok(mut address) = address.parse::<SocketAddr>() {
            address.set_port(port);
            self.set(key, Value::Text(address.to_string()), origin, None);
        }
    }

    /// The `[[socket]]` blocks.
    pub fn sockets(&self) -> Vec<SocketBlock> {
        (0..)
            .map_while(|i| {
                Some([
                    self.text(&socket_name(i, "path"))?,
                    self.text(&socket_name(i, "dialect"))?,
                ])
            })
            .collect()
    }

    /// Replaces the `[[socket]]` blocks.
    pub fn set_sockets(&mut self, blocks: Vec<SocketBlock>) {
        self.settings.retain(|name, _| !name.starts_with("socket["));
        for (i, [path, dialect]) in blocks.into_iter().enumerate() {
            for (leaf, (text, origin)) in [("path", path), ("dialect", dialect)] {
                let setting = Setting {
                    value: Value::Text(text),
                    origin,
                    items: Vec::new(),
                };
                self.settings.insert(socket_name(i, leaf), setting);
            }
        }
    }

    fn text(&self, name: &str) -> Option<(String, Origin)> {
        let setting = self.settings.get(name)?;
        match &setting.value {
            Value::Text(text) => Some((text.clone(), setting.origin.clone())),
            _ => None,
        }
    }

    /// Notes a mistake and keeps the value from being judged further.
    pub fn refuse(&mut self, name: &str, origin: Origin, problem: impl Into<String>) {
        self.refused.insert(name.to_owned());
        self.mistakes.push(Finding {
            key: name.to_owned(),
            origin,
            problem: problem.into(),
        });
    }

    /// Whether the name, or the list that it is an item of, has a mistake already.
    pub fn is_refused(&self, name: &str) -> bool {
        self.refused.contains(name) || self.refused.contains(list_of(name))
    }

    /// Where the value of a name, or of a list's item (`auth.api_keys[2]`), came from.
    pub fn origin(&self, name: &str) -> Origin {
        if let Some(setting) = self.settings.get(name) {
            return setting.origin.clone();
        }
        let index = name
            .strip_suffix(']')
            .and_then(|n| n.rsplit_once('[')?.1.parse::<usize>().ok());
        match (self.settings.get(list_of(name)), index) {
            (Some(setting), Some(index)) => {
                setting.items.get(index).unwrap_or(&setting.origin).clone()
            }
            (Some(setting), None) => setting.origin.clone(),
            (None, _) => Origin::Default,
        }
    }

    /// The table that the structs are read from.
    pub fn to_table(&self) -> Table {
        let mut table = Table::new();
        for (name, setting) in &self.settings {
            let Some((section, leaf)) = name.split_once('.') else {
                continue;
            };
            if section.starts_with("socket[") {
                continue;
            }
            if let Toml::Table(section) = table
                .entry(section)
                .or_insert_with(|| Toml::Table(Table::new()))
            {
                section.insert(leaf.to_owned(), setting.value.to_toml());
            }
        }
        let sockets = self
            .sockets()
            .into_iter()
            .map(|[(path, _), (dialect, _)]| {
                Toml::Table(Table::from_iter([
                    ("path".to_owned(), Toml::String(path)),
                    ("dialect".to_owned(), Toml::String(dialect)),
                ]))
            })
            .collect();
        table.insert(LIST_SECTION.to_owned(), Toml::Array(sockets));
        table
    }
}

/// `socket[1].path`
pub(super) fn socket_name(index: usize, leaf: &str) -> String {
    format!("{LIST_SECTION}[{index}].{leaf}")
}

/// `auth.api_keys` of `auth.api_keys[2]`
fn list_of(name: &str) -> &str {
    name.split_once('[').map_or(name, |(list, _)| list)
}

/// Whether a value can be one of the key at all. What passes can be read into the structs.
fn check_form(key: &Key, value: &Value) -> Result<(), String> {
    if std::mem::discriminant(value) != std::mem::discriminant(&key.default) {
        return Err(format!("must be {}", key.default.type_name()));
    }
    match (key.name.as_str(), value) {
        (_, Value::Number(number)) => match key.range() {
            Some((min, max)) if !(min..=max).contains(number) => {
                let unit = key.unit();
                let how = if *number < min { "small" } else { "large" };
                Err(format!(
                    "{number}{unit} is too {how}; allowed: {min} to {max}{unit}"
                ))
            }
            _ => Ok(()),
        },
        ("server.listen" | "server.ops_listen", Value::Text(text)) => {
            text.parse::<SocketAddr>().map(drop).map_err(|_| {
                format!(
                    "\"{text}\" is not an IP address with a port, such as 127.0.0.1:4000, \
                     0.0.0.0:4000 (all interfaces) or [::1]:4000"
                )
            })
        }
        ("server.demo", Value::Text(text)) if !["auto", "on", "off"].contains(&text.as_str()) => {
            Err(format!("\"{text}\" is not one of auto, on, off"))
        }
        ("log.level", Value::Text(text)) => parse_directives(text).map(drop),
        _ => Ok(()),
    }
}
