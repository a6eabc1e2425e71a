//! How values look. Kept beside every compiled template and binding, shown to people as a sketch
//! ([`describe`](super::describe)) and to compilers as TypeScript ([`types`](super::types)).

use std::sync::Arc;

use super::render::Shape;

/// How a value looks.
#[derive(Clone)]
pub(super) enum Look {
    Text,
    Number,
    Flag,
    /// Any JSON value.
    Any,
    /// Always the same: its JSON text.
    Constant(String),
    /// One of these texts.
    Choice(Vec<String>),
    /// An object whose members, of any name, all look like this.
    Record(Box<Look>),
    Object(Vec<Part>),
    /// An object that has a name.
    Shape(Arc<Shape>),
    List(Box<Look>),
    /// A list with so many elements.
    Tuple(Vec<Element>),
    Either(Vec<Look>),
}

/// Something inside an object.
#[derive(Clone)]
pub(super) enum Part {
    Member(Member),
    /// The members of a shape.
    All(Arc<Shape>),
    /// Further members of any name.
    Others,
}

/// A member of an object.
#[derive(Clone)]
pub(super) struct Member {
    pub name: String,
    /// Whether it may be absent.
    pub optional: bool,
    /// Whether people are spared of it, because it says nothing that is not known.
    pub hidden: bool,
    /// Of the optional members with the same name here, one at least must be there.
    pub any_of: Option<&'static str>,
    pub look: Look,
}

impl Member {
    /// As people see it, but for whether it is optional.
    fn sketch(&self, mark: &str) -> String {
        let name = &self.name;
        match self.look.sketch() {
            Some(sketch) => format!("{name}{mark}: {sketch}"),
            None => format!("{name}{mark}"),
        }
    }
}

/// An element of a list, or an argument.
#[derive(Clone)]
pub(super) struct Element {
    /// What people see where the look says nothing.
    pub label: String,
    pub optional: bool,
    /// As for a [`Member`].
    pub hidden: bool,
    pub look: Look,
}

impl Look {
    /// This or a constant.
    pub(super) fn or_constant(self, json: &str) -> Self {
        match self {
            Self::Any => Self::Any,
            Self::Text | Self::Choice(_) if json.starts_with('"') => Self::Text,
            look => Self::Either(vec![look, Self::Constant(json.to_owned())]),
        }
    }

    /// This or any other JSON value.
    pub(super) fn or_anything(self) -> Self {
        Self::Either(vec![self, Self::Any])
    }

    /// What was [`Look::or_anything`], now with something certain in place of anything.
    pub(super) fn instead_of_anything(self, other: Self) -> Self {
        match self {
            Self::Either(looks) => {
                let certain = looks.into_iter().filter(|l| !matches!(l, Self::Any));
                Self::Either(certain.chain([other]).collect())
            }
            look => look,
        }
    }

    /// How it looks to people; `None` for a plain value.
    pub(super) fn sketch(&self) -> Option<String> {
        match self {
            Self::Text | Self::Number | Self::Flag | Self::Any => None,
            Self::Choice(_) | Self::Record(_) => None,
            Self::Constant(json) => Some(json.clone()),
            Self::Object(parts) => Some(format!("{{{}}}", members(parts))),
            Self::Shape(shape) => Some(shape.name.clone()),
            Self::List(of) => of.sketch().map(|of| format!("[{of}]")),
            Self::Tuple(elements) => Some(format!("[{}]", list(elements))),
            Self::Either(looks) => looks.first().and_then(Self::sketch),
        }
    }
}

impl Part {
    /// A member that people see.
    pub(super) fn member(name: &str, optional: bool, look: Look) -> Self {
        Self::Member(Member {
            name: name.to_owned(),
            optional,
            hidden: false,
            any_of: None,
            look,
        })
    }
}

/// The members of an object as people see them.
pub(super) fn members(parts: &[Part]) -> String {
    let mut told = Vec::new();
    let shown = parts.iter().filter_map(|part| match part {
        Part::Member(member) if member.hidden => None,
        Part::Member(member) => {
            let rivals = rivals(member, parts);
            let Some(group) = member.any_of.filter(|_| rivals.len() > 1) else {
                return Some(member.sketch(if member.optional { "?" } else { "" }));
            };
            if told.contains(&group) {
                return None;
            }
            told.push(group);
            let names = rivals.iter().map(|rival| rival.sketch(""));
            Some(names.collect::<Vec<_>>().join(" or "))
        }
        Part::All(shape) => Some(members(&shape.parts)),
        Part::Others => Some("...".to_owned()),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// The optional members of which, with this one, one at least must be there.
fn rivals<'a>(member: &Member, parts: &'a [Part]) -> Vec<&'a Member> {
    let optional = |part: &'a Part| match part {
        Part::Member(m) if m.optional && !m.hidden => Some(m),
        _ => None,
    };
    let members = parts.iter().filter_map(optional);
    match member.any_of.filter(|_| member.optional) {
        Some(group) => members.filter(|m| m.any_of == Some(group)).collect(),
        None => Vec::new(),
    }
}

/// The elements of a list, or arguments, as people see them.
pub(super) fn list(elements: &[Element]) -> String {
    let shown = elements.iter().filter(|e| !e.hidden).map(|element| {
        let sketch = element.look.sketch();
        sketch.unwrap_or_else(|| element.label.clone())
    });
    shown.collect::<Vec<_>>().join(", ")
}
