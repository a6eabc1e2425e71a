//! Compiles inbound rules: which arguments of an event become which fields of a command.

use super::{
    bind::{Binding, Check, Given, SlotInfo},
    capture::{MAX_SLOTS, Slot, Want},
    command::{Field, FieldType, Spec},
    expr::{Expr, Filter, Term},
    hint::unknown,
    look::{Element, Look, Part},
    resolve::pairs,
    source::{Node, Problems, Value},
    text::push_text,
    tree::Tree,
    words,
};
use crate::chat::{ConversationId, Status};

const FILTERS: [&str; 6] = [
    "truncate",
    "max_chars",
    "one_of",
    "map",
    "without",
    "required",
];

/// Characters that other languages' paths have and members' names have not.
const NOT_IN_NAMES: [char; 9] = ['[', ']', '{', '}', '(', ')', '$', '?', ','];

/// What a rule captures, and as what.
#[derive(Default)]
pub(super) struct Captures {
    /// By argument.
    pub wants: Vec<Want>,
    /// By slot.
    pub infos: Vec<SlotInfo>,
    paths: Vec<(Path, bool)>,
}

/// Whether an alternative applies without a field.
#[derive(Clone, Copy, PartialEq)]
enum Need {
    No,
    Field,
    /// Of the fields with that name here, one at least must be there.
    AnyOf(&'static str),
}

/// One way to read an event's arguments.
pub(super) struct Alternative {
    /// By the field's place in the command.
    pub bindings: Vec<Option<Binding>>,
    /// How the arguments look.
    pub looks: Vec<Element>,
}

/// The place of a value among the arguments: `$1.data.text`; without `$`, of the first argument.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path {
    pub argument: usize,
    pub members: Vec<String>,
}

impl Path {
    fn parse(text: &str) -> Result<Self, String> {
        let mut names = text.split('.').map(str::to_owned).peekable();
        let mut argument = 0;
        if let Some(number) = names.peek().and_then(|n| n.strip_prefix('$')) {
            match number.parse() {
                Ok(n) if n < 8 => argument = n,
                _ => return Err(format!("\"${number}\" is not an argument, $0 to $7 are")),
            }
            names.next();
        }
        let members: Vec<String> = names.collect();
        if members.iter().any(|name| name.contains(NOT_IN_NAMES)) {
            return Err(format!(
                "\"{text}\" is not a path: $0 is the first argument, `a.b` a member of a member"
            ));
        }
        Ok(Self { argument, members })
    }

    /// The paths of an expression that has nothing else.
    fn list(node: &Node) -> Result<Vec<Self>, String> {
        let Expr { terms, filters } = Expr::of(node)?;
        if !filters.is_empty() {
            return Err("takes no filter".to_owned());
        }
        let paths = terms.iter().map(|term| match term {
            Term::Path(path) => Self::parse(path),
            _ => Err("must be a path".to_owned()),
        });
        paths.collect()
    }

    /// The values that a rule knows of and makes no field of, each with how it looks. What is
    /// wrong with its claims is told where they are compiled.
    pub(super) fn asides(rule: &Node, problems: &mut Problems) -> Vec<(Self, Look)> {
        let mut asides = Vec::new();
        for (key, look) in [("claims", Look::Text), ("ignored", Look::Any)] {
            for node in rule.get(key).map(Node::one_or_many).unwrap_or_default() {
                match Self::list(node) {
                    Ok(paths) => asides.extend(paths.into_iter().map(|p| (p, look.clone()))),
                    Err(message) if key == "ignored" => problems.at(node, message),
                    Err(_) => {}
                }
            }
        }
        asides
    }

    fn label(&self) -> String {
        let members = self.members.join(".");
        match (self.argument, members.is_empty()) {
            (n, true) => format!("argument {}", n + 1),
            (0, false) => members,
            (n, false) => format!("argument {}, {members}", n + 1),
        }
    }
}

impl Captures {
    /// The slot of a value, as it came (`raw`) or taken apart.
    fn slot(&mut self, path: Path, raw: bool) -> Result<Slot, String> {
        if let Some(at) = self.paths.iter().position(|(p, r)| *p == path && *r == raw) {
            return Ok(at);
        }
        let slot = self.paths.len();
        if slot == MAX_SLOTS {
            return Err(format!(
                "more than {MAX_SLOTS} different values in one rule"
            ));
        }
        while self.wants.len() <= path.argument {
            self.wants.push(Want::default());
        }
        let want = self.wants[path.argument].walk(path.members.iter().map(String::as_str));
        *(if raw { &mut want.raw } else { &mut want.value }) = Some(slot);
        self.infos.push(SlotInfo {
            label: path.label(),
            whole: path.members.is_empty(),
        });
        self.paths.push((path, raw));
        Ok(slot)
    }

    /// Says of a slot's value that its elements or members are to be kept.
    fn keep(&mut self, slot: Slot, ty: FieldType) {
        let (path, _) = &self.paths[slot];
        let want = self.wants[path.argument].walk(path.members.iter().map(String::as_str));
        want.elements |= ty == FieldType::Ids;
        want.entries |= ty == FieldType::Numbers;
    }

    /// Compiles a list of paths.
    pub(super) fn paths(&mut self, node: Option<&Node>, problems: &mut Problems) -> Vec<Slot> {
        let mut slots = Vec::new();
        for node in node.map(Node::one_or_many).unwrap_or_default() {
            let paths = Path::list(node);
            let found =
                paths.and_then(|list| list.into_iter().map(|p| self.slot(p, false)).collect());
            match found {
                Ok(found) => slots.extend::<Vec<Slot>>(found),
                Err(message) => problems.at(node, message),
            }
        }
        slots
    }

    /// Whether the first argument came as an object.
    pub(super) fn first(&mut self) -> Option<Slot> {
        let first = Path {
            argument: 0,
            members: Vec::new(),
        };
        self.slot(first, false).ok()
    }

    /// Compiles one table of fields. `asides` only change how the arguments look.
    pub(super) fn alternative(
        &mut self,
        spec: &Spec,
        node: &Node,
        asides: &[(Path, Look)],
        problems: &mut Problems,
    ) -> Option<Alternative> {
        let table = node.table(problems)?;
        let names: Vec<&str> = spec.fields.iter().map(|f| f.name).collect();
        node.allow(&names, problems);
        let is_bound = |name: &str| table.iter().any(|(bound, _)| bound == name);
        if !spec.any_of.is_empty() && !spec.any_of.iter().any(|name| is_bound(name)) {
            let needed = spec.any_of.join("` or `");
            problems.at(node, format!("`{}` needs `{needed}`", spec.name));
        }
        let mut tree = Tree::default();
        let mut bindings = Vec::new();
        for field in spec.fields {
            let bound = table.iter().find(|(name, _)| name == field.name);
            if bound.is_none() && field.required {
                let message = format!("`{}` needs `{}`", spec.name, field.name);
                problems.at(node, message);
            }
            bindings.push(bound.and_then(|(_, node)| {
                let rivals = spec.any_of.iter().filter(|name| is_bound(name)).count();
                let need = match spec.any_of.contains(&field.name) {
                    true if rivals > 1 => Need::AnyOf(spec.any_of[0]),
                    true => Need::Field,
                    false if field.required => Need::Field,
                    false => Need::No,
                };
                self.binding(field, node, need, &mut tree)
                    .map_err(|message| problems.at(node, message))
                    .ok()
            }));
        }
        for (path, look) in asides {
            tree.add_aside(path, look.clone());
        }
        let looks = tree.arguments(!spec.any_of.is_empty());
        Some(Alternative { bindings, looks })
    }

    /// The alternative of a rule without arguments.
    pub(super) fn nothing(spec: &Spec, asides: &[(Path, Look)]) -> Alternative {
        let mut tree = Tree::default();
        for (path, look) in asides {
            tree.add_aside(path, look.clone());
        }
        Alternative {
            bindings: spec.fields.iter().map(|_| None).collect(),
            looks: tree.arguments(false),
        }
    }

    fn binding(
        &mut self,
        field: &Field,
        node: &Node,
        need: Need,
        tree: &mut Tree,
    ) -> Result<Binding, String> {
        if let Value::Table(members) = &node.value {
            return self.assembled(field, members, tree);
        }
        let expr = Expr::of(node)?;
        let (checks, required) = checks(field, &expr.filters)?;
        let constant = expr.terms.iter().any(|t| !matches!(t, Term::Path(_)));
        if field.ty == FieldType::Status {
            words::check_statuses(&checks)?;
        }
        let mut binding = Binding {
            terms: Vec::new(),
            required,
            words: words::accepted(field.ty, &checks),
            checks,
        };
        let needed = required || need == Need::Field;
        let any_of = match need {
            _ if constant => None,
            Need::AnyOf(group) => Some(group),
            _ => needed.then_some(field.name),
        };
        // Where there are several names for it, no single one is needed.
        let optional = constant || expr.terms.len() > 1 || !needed;
        let mut paths = Vec::new();
        for (i, term) in expr.terms.iter().enumerate() {
            let Term::Path(path) = term else {
                if i + 1 < expr.terms.len() {
                    return Err("what comes before `or` is never absent".into());
                }
                binding.terms.push(given(field, term)?);
                continue;
            };
            let path = Path::parse(path)?;
            let shown = look(field.ty, binding.words.clone());
            tree.add(&path, field.name, optional, any_of, shown);
            paths.push(path.clone());
            let raw = matches!(field.ty, FieldType::Object | FieldType::Uploads);
            let slot = self.slot(path, raw)?;
            self.keep(slot, field.ty);
            binding.terms.push(Given::Slot(slot));
        }
        if !constant && needed {
            tree.need_one(&paths);
        }
        Ok(binding)
    }

    /// A table in place of an expression: an object made of several values.
    fn assembled(
        &mut self,
        field: &Field,
        members: &[(String, Node)],
        tree: &mut Tree,
    ) -> Result<Binding, String> {
        if field.ty != FieldType::Object {
            return Err("must be an expression, not a table".into());
        }
        let mut parts = Vec::new();
        for (name, node) in members {
            let expr = Expr::of(node)?;
            let ([Term::Path(path)], []) = (expr.terms.as_slice(), expr.filters.as_slice()) else {
                return Err(format!("`{name}` must be one path without filters"));
            };
            let path = Path::parse(path)?;
            tree.add(&path, name, true, None, Look::Any);
            let mut key = String::new();
            push_text(&mut key, name);
            parts.push((key, self.slot(path, true)?));
        }
        Ok(Binding {
            terms: vec![Given::Object(parts)],
            required: false,
            checks: Vec::new(),
            words: None,
        })
    }
}

/// What a field of that type takes, or which words if not every text will do.
fn look(ty: FieldType, words: Option<Vec<String>>) -> Look {
    match (ty, words) {
        (_, Some(words)) => Look::Choice(words),
        (FieldType::Ids, _) => Look::Either(vec![Look::Text, Look::List(Box::new(Look::Text))]),
        (FieldType::Number, _) => Look::Number,
        (FieldType::Flag, _) => Look::Flag,
        (FieldType::Object, _) => Look::Record(Box::new(Look::Any)),
        (FieldType::Numbers, _) => Look::Record(Box::new(Look::Number)),
        (FieldType::Uploads, _) => Look::List(Box::new(Look::Either(vec![
            Look::Text,
            Look::Object(vec![
                Part::member("id", true, Look::Text),
                Part::member("url", true, Look::Text),
                Part::Others,
            ]),
        ]))),
        (FieldType::Key, _) => Look::Either(vec![Look::Text, Look::Number]),
        (FieldType::Id | FieldType::User | FieldType::Text | FieldType::Status, _) => Look::Text,
    }
}

/// A constant in place of an argument.
fn given(field: &Field, term: &Term) -> Result<Given, String> {
    match (field.ty, term) {
        (FieldType::Text, Term::Text(text)) => Ok(Given::Text(text.clone())),
        (FieldType::Status, Term::Text(text)) if Status::parse(text).is_some() => {
            Ok(Given::Text(text.clone()))
        }
        (FieldType::Status, Term::Text(text)) => {
            Err(unknown("status", text, &Status::ALL.map(Status::as_str)))
        }
        (FieldType::Id, Term::Text(text)) if ConversationId::new(text).is_ok() => {
            Ok(Given::Text(text.clone()))
        }
        (FieldType::Flag, Term::Flag(flag)) => Ok(Given::Flag(*flag)),
        (FieldType::Number, Term::Json(json)) => json
            .parse()
            .map(Given::Number)
            .map_err(|_| "must be a whole number from 0".to_owned()),
        _ => Err(format!("`{}` cannot be such a constant", field.name)),
    }
}

/// What the filters ask of a field, and whether it is required.
fn checks(field: &Field, filters: &[Filter]) -> Result<(Vec<Check>, bool), String> {
    let mut checks = Vec::new();
    let mut required = false;
    let textual = matches!(
        field.ty,
        FieldType::Text | FieldType::Key | FieldType::Status
    );
    for filter in filters {
        let number = || match filter.args.as_slice() {
            [n] => n.parse().ok().filter(|n| *n > 0),
            _ => None,
        };
        let count =
            || number().ok_or_else(|| format!("`{}` takes a number of characters", filter.name));
        match filter.name.as_str() {
            "required" if filter.args.is_empty() => required = true,
            "required" => return Err("`required` takes no argument".into()),
            "without" if field.ty == FieldType::Object && !filter.args.is_empty() => {
                checks.push(Check::Without(filter.args.clone()));
            }
            "without" => return Err("`without` is for objects and takes names".into()),
            name if FILTERS.contains(&name) && !textual => {
                return Err(format!("`{name}` is for text, `{}` is none", field.name));
            }
            "truncate" => checks.push(Check::Truncate(count()?)),
            "max_chars" => checks.push(Check::MaxChars(count()?)),
            "one_of" if !filter.args.is_empty() => checks.push(Check::OneOf(filter.args.clone())),
            "one_of" => return Err("`one_of` takes the words that are allowed".into()),
            "map" => checks.push(Check::Map(pairs(&filter.args)?)),
            name => return Err(unknown("filter", name, &FILTERS)),
        }
    }
    Ok((checks, required))
}
