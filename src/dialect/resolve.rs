//! Resolves the expressions of templates against what
//! [`vocabulary`](super::vocabulary) offers.

use std::sync::Arc;

use super::{
    expr::{Expr, Filter, Term},
    hint::unknown,
    look::Look,
    render::{Form, Pick, Source},
    source::Node,
    template::Templates,
    vocabulary::{Kind, Type, is_presence},
};

const FILTERS: [&str; 4] = ["ms", "excerpt", "map", "shape"];

/// A resolved expression.
pub(super) enum Resolved {
    Constant(String),
    Pick(Box<Picked>),
}

pub(super) struct Picked {
    pub pick: Pick,
    pub ty: Type,
    /// Whether it may be absent without a fallback.
    pub optional: bool,
    pub look: Look,
}

impl Templates<'_> {
    /// The value of a text, flag or number, or a recorded mistake.
    pub(super) fn expression(&mut self, node: &Node, kind: Kind) -> Option<Resolved> {
        let resolved = Expr::of(node).and_then(|expr| {
            if expr.filters.iter().any(makes_flags) {
                self.problems.remark(node, "`map` makes the texts \"true\" and \"false\", not flags; for a flag write two rules with `when`");
            }
            self.resolve(&expr, kind)
        });
        resolved
            .map_err(|message| self.problems.at(node, message))
            .ok()
    }

    fn resolve(&mut self, expr: &Expr, kind: Kind) -> Result<Resolved, String> {
        let mut sources = Vec::new();
        let mut ty: Option<Type> = None;
        let (mut optional, mut fallback) = (true, None);
        for term in &expr.terms {
            if !optional || fallback.is_some() {
                return Err("what comes before `or` is never absent".into());
            }
            if let Term::Path(path) = term {
                let (source, this, may_be_absent) = resolve(kind, path)?;
                self.presence |= is_presence(kind, path);
                match ty {
                    Some(ty) if !same(ty, this) => {
                        return Err("the paths around `or` are of different types".into());
                    }
                    _ => ty = Some(this),
                }
                optional = may_be_absent;
                sources.push(source);
            } else {
                fallback = term.json();
            }
        }
        let Some(ty) = ty else {
            return match (fallback, expr.filters.first()) {
                (Some(json), None) => Ok(Resolved::Constant(json)),
                _ => Err("a constant takes no filter".into()),
            };
        };
        let form = match expr.filters.as_slice() {
            [] => Form::Plain,
            [filter] => self.form(filter, ty)?,
            _ => return Err("one filter at most".into()),
        };
        let look = look(
            ty,
            &form,
            sources.iter().any(|s: &Source| !s.json.is_empty()),
        )?;
        let look = match &fallback {
            Some(json) => look.or_constant(json),
            None => look,
        };
        Ok(Resolved::Pick(Box::new(Picked {
            optional: optional && fallback.is_none(),
            pick: Pick {
                sources,
                fallback,
                form,
            },
            ty,
            look,
        })))
    }

    fn form(&mut self, filter: &Filter, ty: Type) -> Result<Form, String> {
        match (filter.name.as_str(), ty, filter.args.as_slice()) {
            ("ms", Type::Time, []) => Ok(Form::Millis),
            ("ms", ..) => Err("`ms` is for times and takes no argument".into()),
            ("excerpt", Type::Text | Type::Choice(_), [n]) => match n.parse() {
                Ok(n) if n > 0 => Ok(Form::Excerpt(n)),
                _ => Err("`excerpt` takes a number of characters from 1".into()),
            },
            ("excerpt", ..) => Err("`excerpt` is for text and takes a number".into()),
            ("map", Type::Text | Type::Choice(_), words) => pairs(words).map(Form::Map),
            ("map", ..) => Err("`map` is for text".into()),
            ("shape", Type::Thing(kind) | Type::List(kind), [name]) => {
                self.shape_named(name, kind).map(Form::Shape)
            }
            ("shape", ..) => {
                Err("`shape` is for things and lists of them, and takes a name".into())
            }
            (name, ..) => Err(unknown("filter", name, &FILTERS)),
        }
    }
}

/// How a value of that type looks in that form. `inside` tells that it is taken out of a JSON
/// object.
fn look(ty: Type, form: &Form, inside: bool) -> Result<Look, String> {
    Ok(match (ty, form) {
        (Type::Thing(_), Form::Shape(shape)) => Look::Shape(Arc::clone(shape)),
        (Type::List(_), Form::Shape(shape)) => Look::List(Box::new(Look::Shape(shape.clone()))),
        (Type::List(of), _) => return Err(needs_shape(of)),
        (Type::Thing(of), _) => {
            let members: Vec<_> = of.members().iter().map(|m| m.name).collect();
            let members = members.join(", .");
            return Err(format!(
                "{}, or one of its members: .{members}",
                needs_shape(of)
            ));
        }
        (Type::Time, Form::Millis) | (Type::Number, _) => Look::Number,
        (Type::Choice(words), Form::Map(pairs)) => Look::Choice(mapped(&words(), pairs)),
        (Type::Choice(words), Form::Plain) => {
            Look::Choice(words().iter().map(|&w| w.to_owned()).collect())
        }
        (Type::Text | Type::Choice(_) | Type::Time, _) => Look::Text,
        (Type::Flag, _) => Look::Flag,
        (Type::Json, _) if inside => Look::Any,
        (Type::Json, _) => Look::Record(Box::new(Look::Any)),
        (Type::TextList, _) => Look::List(Box::new(Look::Text)),
    })
}

/// Whether it looks as if it were to make flags.
fn makes_flags(filter: &Filter) -> bool {
    let flag = |word: &String| word.ends_with("=true") || word.ends_with("=false");
    filter.name == "map" && filter.args.iter().any(flag)
}

fn needs_shape(of: Kind) -> String {
    let of = of.name();
    format!("needs `| shape NAME` with a shape of \"{of}\"")
}

/// What becomes of these words.
fn mapped(words: &[&str], pairs: &[(String, String)]) -> Vec<String> {
    let mut mapped = Vec::new();
    for word in words {
        let to = pairs.iter().find(|(from, _)| from == word);
        let to = to.map_or_else(|| (*word).to_owned(), |(_, to)| to.clone());
        if !mapped.contains(&to) {
            mapped.push(to);
        }
    }
    mapped
}

/// `from=to` pairs.
pub(super) fn pairs(words: &[String]) -> Result<Vec<(String, String)>, String> {
    let pair = |word: &String| {
        let (from, to) = word.split_once('=')?;
        (!from.is_empty() && !to.is_empty()).then(|| (from.to_owned(), to.to_owned()))
    };
    match words.iter().map(pair).collect::<Option<Vec<_>>>() {
        Some(pairs) if !pairs.is_empty() => Ok(pairs),
        _ => Err("`map` takes words such as `dnd=busy`".into()),
    }
}

fn same(a: Type, b: Type) -> bool {
    match (a, b) {
        (Type::Thing(a), Type::Thing(b)) | (Type::List(a), Type::List(b)) => a == b,
        (Type::Text | Type::Choice(_), Type::Text | Type::Choice(_)) => true,
        _ => std::mem::discriminant(&a) == std::mem::discriminant(&b),
    }
}

/// Follows a path from a kind. The flag tells whether the value may be absent.
pub(super) fn resolve(kind: Kind, path: &str) -> Result<(Source, Type, bool), String> {
    let mut source = Source {
        steps: Vec::new(),
        json: Vec::new(),
        own: path == "hearer.own",
    };
    if source.own {
        return Ok((source, Type::Flag, false));
    }
    let wrong = || {
        let mut allowed = kind.paths();
        allowed.push("hearer.own".to_owned());
        let mut message = unknown("source", path, &allowed);
        if !path.contains('.') {
            message.push_str(&format!("; a text of its own is written \"'{path}'\""));
        }
        message
    };
    let mut names = path.split('.');
    let names_itself = path == kind.name() || kind.is_named();
    if names_itself && names.next() != Some(kind.name()) {
        return Err(wrong());
    }
    let (mut ty, mut optional) = (Type::Thing(kind), false);
    for name in names {
        match ty {
            Type::Thing(kind) => {
                let found = kind.members().iter().find(|m| m.name == name);
                let member = found.ok_or_else(wrong)?;
                source.steps.push(member.get);
                ty = member.ty;
                optional |= member.optional;
            }
            Type::Json => source.json.push(name.to_owned()),
            _ => return Err(wrong()),
        }
    }
    optional |= !source.json.is_empty();
    Ok((source, ty, optional))
}
