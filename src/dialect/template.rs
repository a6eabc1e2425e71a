//! Compiles payload templates: a TOML table becomes a JSON object, a list a JSON array, a text the
//! value of an expression over what [`vocabulary`](super::vocabulary) offers.

use std::sync::Arc;

use super::{
    expr::{Expr, Filter, Term},
    render::{Form, Op, Pick, Program, Shape, Source, push_text},
    source::{Node, Problems, Value, unknown},
    vocabulary::{Kind, SHAPED, Type},
};

/// The key that takes over the members of something else.
const SPREAD: &str = "...";
/// The key for members that are added where the other thing has none of the name.
const MISSING: &str = "...missing";
/// The key for members that replace the other thing's where it has them.
const PRESENT: &str = "...present";
/// Names that Socket.IO keeps for itself.
const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];
const FILTERS: [&str; 4] = ["ms", "excerpt", "map", "shape"];

/// Compiles the templates of one file.
pub(super) struct Templates<'p> {
    pub problems: &'p mut Problems,
    shapes: Vec<ShapeEntry>,
}

struct ShapeEntry {
    name: String,
    kind: Kind,
    node: Node,
    state: ShapeState,
}

enum ShapeState {
    Waiting,
    Compiling,
    Done(Arc<Shape>),
}

/// A resolved expression.
enum Resolved {
    Constant(String),
    Pick(Box<Picked>),
}

struct Picked {
    pick: Pick,
    ty: Type,
    /// Whether it may be absent without a fallback.
    optional: bool,
    sketch: String,
}

impl<'p> Templates<'p> {
    /// Takes the `[shape.*]` tables; they are compiled here too, whether used or not.
    pub(super) fn new(shapes: Option<&Node>, problems: &'p mut Problems) -> Self {
        let mut this = Self {
            problems,
            shapes: Vec::new(),
        };
        let tables = shapes.and_then(|node| node.table(this.problems));
        for (name, node) in tables.unwrap_or_default() {
            this.declare(name, node);
        }
        for at in 0..this.shapes.len() {
            let _ = this.shape(at);
        }
        this
    }

    fn declare(&mut self, name: &str, node: &Node) {
        if node.table(self.problems).is_none() {
            return;
        }
        node.allow(&["of", "payload"], self.problems);
        let (Some(of), Some(payload)) = (node.get("of"), node.get("payload")) else {
            return self.problems.at(node, "needs both `of` and `payload`");
        };
        let Some(of_text) = of.text(self.problems) else {
            return;
        };
        let Some(kind) = SHAPED.into_iter().find(|k| k.name() == of_text) else {
            let allowed = SHAPED.map(Kind::name);
            return self.problems.at(of, unknown("kind", of_text, &allowed));
        };
        self.shapes.push(ShapeEntry {
            name: name.to_owned(),
            kind,
            node: payload.clone(),
            state: ShapeState::Waiting,
        });
    }

    /// The compiled shape, or why it cannot be used.
    fn shape(&mut self, at: usize) -> Result<Arc<Shape>, String> {
        match &self.shapes[at].state {
            ShapeState::Done(shape) => return Ok(Arc::clone(shape)),
            ShapeState::Compiling => {
                return Err(format!(
                    "shape \"{}\" contains itself",
                    self.shapes[at].name
                ));
            }
            ShapeState::Waiting => {}
        }
        self.shapes[at].state = ShapeState::Compiling;
        let (node, kind) = (self.shapes[at].node.clone(), self.shapes[at].kind);
        let mut builder = Builder::default();
        let (names, sketch) = match node.table(self.problems) {
            Some(members) => self.members(members, kind, &mut builder),
            None => Default::default(),
        };
        let shape = Arc::new(Shape {
            members: Program(builder.ops),
            names,
            sketch,
        });
        self.shapes[at].state = ShapeState::Done(Arc::clone(&shape));
        Ok(shape)
    }

    /// Compiles an event: its name and either `payload` (one argument) or `args`.
    pub(super) fn packet(&mut self, node: &Node, kind: Kind) -> Option<(Program, String, String)> {
        let Some(event) = node.get("event") else {
            self.problems.at(node, "needs `event`");
            return None;
        };
        let name = event.text(self.problems)?.to_owned();
        if name.is_empty() || RESERVED.contains(&name.as_str()) {
            let message = format!("\"{name}\" is not a name that an event can have");
            self.problems.at(event, message);
        }
        let mut builder = Builder::default();
        builder.text("[");
        let mut quoted = String::new();
        push_text(&mut quoted, &name);
        builder.text(&quoted);
        builder.text(",");
        let sketch = match (node.get("payload"), node.get("args")) {
            (Some(payload), None) => self.element(payload, kind, &mut builder),
            (None, Some(args)) => self.elements(args, kind, &mut builder),
            (None, None) => String::new(),
            (Some(_), Some(args)) => {
                self.problems
                    .at(args, "give either `payload` or `args`, not both");
                String::new()
            }
        };
        builder.close(']');
        Some((Program(builder.ops), name, sketch))
    }

    /// Compiles an ack: a table is its one argument, a list is its arguments.
    pub(super) fn arguments(&mut self, node: &Node, kind: Kind) -> (Program, String) {
        let mut builder = Builder::default();
        builder.text("[");
        let sketch = match &node.value {
            Value::List(_) => self.elements(node, kind, &mut builder),
            _ => self.element(node, kind, &mut builder),
        };
        builder.close(']');
        (Program(builder.ops), sketch)
    }

    /// A source for a condition or a loop.
    pub(super) fn source(&mut self, node: &Node, path: &str, kind: Kind) -> Option<(Source, Type)> {
        match resolve(kind, path) {
            Ok((source, ty, _)) => Some((source, ty)),
            Err(message) => {
                self.problems.at(node, message);
                None
            }
        }
    }

    fn elements(&mut self, node: &Node, kind: Kind, builder: &mut Builder) -> String {
        let Value::List(nodes) = &node.value else {
            let message = format!("must be a list, not {}", node.describe());
            self.problems.at(node, message);
            return String::new();
        };
        let sketches: Vec<_> = nodes
            .iter()
            .map(|n| self.element(n, kind, builder))
            .collect();
        sketches.join(", ")
    }

    /// A value and a comma. What is absent is null, so that the others keep their places.
    fn element(&mut self, node: &Node, kind: Kind, builder: &mut Builder) -> String {
        let sketch = match &node.value {
            Value::Table(_) | Value::List(_) => self.nested(node, kind, builder),
            _ => match self.expression(node, kind) {
                None => String::new(),
                Some(Resolved::Constant(json)) => {
                    builder.text(&json);
                    json
                }
                Some(Resolved::Pick(picked)) => {
                    builder.ops.push(Op::Put(picked.pick));
                    match picked.sketch.is_empty() {
                        true => node.text(self.problems).unwrap_or_default().to_owned(),
                        false => picked.sketch,
                    }
                }
            },
        };
        builder.text(",");
        sketch
    }

    fn nested(&mut self, node: &Node, kind: Kind, builder: &mut Builder) -> String {
        if let Value::Table(members) = &node.value {
            builder.text("{");
            let (_, sketch) = self.members(members, kind, builder);
            builder.close('}');
            format!("{{{sketch}}}")
        } else {
            builder.text("[");
            let sketch = self.elements(node, kind, builder);
            builder.close(']');
            format!("[{sketch}]")
        }
    }

    /// The members of an object, each with its comma. Returns their names and how they look.
    fn members(
        &mut self,
        members: &[(String, Node)],
        kind: Kind,
        builder: &mut Builder,
    ) -> (Vec<String>, String) {
        let extra = |key: &str| {
            let node = members.iter().find(|(name, _)| name == key)?;
            Some(&node.1)
        };
        let present = extra(PRESENT);
        let mut own: Vec<String> = members
            .iter()
            .filter(|(name, _)| ![SPREAD, MISSING, PRESENT].contains(&name.as_str()))
            .map(|(name, _)| name.clone())
            .collect();
        let mut replaced = own.clone();
        if let Some(Value::Table(list)) = present.map(|n| &n.value) {
            replaced.extend(list.iter().map(|(name, _)| name.clone()));
        }

        let mut spread: Option<Source> = None;
        let mut sketches = Vec::new();
        for (name, node) in members {
            match name.as_str() {
                MISSING | PRESENT => {}
                SPREAD => match self.spread(node, kind) {
                    Some((source, Some((shape, sketch)))) => {
                        if let Some(twice) = shape.names.iter().find(|n| own.contains(n)) {
                            let message = format!("\"{twice}\" is in the shape already");
                            self.problems.at(node, message);
                        }
                        own.extend(shape.names.iter().cloned());
                        sketches.push(sketch);
                        builder.ops.push(Op::Splice(source, shape));
                    }
                    Some((source, None)) => {
                        let except = replaced.clone();
                        builder.ops.push(Op::Spread(source.clone(), except));
                        sketches.push(format!("...{}", source.json.join(".")));
                        spread = Some(source);
                    }
                    None => {}
                },
                _ => sketches.push(self.member(name, node, kind, builder)),
            }
        }
        for (extra, has) in [(extra(MISSING), false), (present, true)] {
            let Some(node) = extra else { continue };
            let Some(of) = &spread else {
                self.problems
                    .at(node, "goes with a \"...\" that names a JSON object");
                continue;
            };
            for (name, node) in node.table(self.problems).unwrap_or_default() {
                let mut inner = Builder::default();
                sketches.push(self.member(name, node, kind, &mut inner));
                builder.ops.push(Op::If {
                    of: of.clone(),
                    name: name.clone(),
                    has,
                    then: Program(inner.ops),
                });
            }
        }
        (own, sketches.join(", "))
    }

    fn member(&mut self, name: &str, node: &Node, kind: Kind, builder: &mut Builder) -> String {
        let mut key = String::new();
        push_text(&mut key, name);
        key.push(':');
        if matches!(node.value, Value::Table(_) | Value::List(_)) {
            builder.text(&key);
            let sketch = self.nested(node, kind, builder);
            builder.text(",");
            return format!("{name}: {sketch}");
        }
        match self.expression(node, kind) {
            None => name.to_owned(),
            Some(Resolved::Constant(json)) => {
                builder.text(&key);
                builder.text(&json);
                builder.text(",");
                format!("{name}: {json}")
            }
            Some(Resolved::Pick(picked)) => {
                let optional = if picked.optional { "?" } else { "" };
                let sketch = match picked.sketch.is_empty() {
                    true => format!("{name}{optional}"),
                    false => format!("{name}{optional}: {}", picked.sketch),
                };
                if picked.optional {
                    builder.ops.push(Op::Member(key, picked.pick));
                } else {
                    builder.text(&key);
                    builder.ops.push(Op::Put(picked.pick));
                    builder.text(",");
                }
                sketch
            }
        }
    }

    /// What `"..."` takes over: a thing's shape, or a JSON object as it came.
    fn spread(
        &mut self,
        node: &Node,
        kind: Kind,
    ) -> Option<(Source, Option<(Arc<Shape>, String)>)> {
        let Some(Resolved::Pick(picked)) = self.expression(node, kind) else {
            return None;
        };
        let Picked { pick, ty, .. } = *picked;
        let mut sources = pick.sources.into_iter();
        match (pick.form, ty, sources.next(), sources.next(), pick.fallback) {
            (Form::Shape(shape), Type::Thing(_), Some(source), None, None) => {
                let sketch = shape.sketch.clone();
                Some((source, Some((shape, sketch))))
            }
            (Form::Plain, Type::Json, Some(source), None, None) => Some((source, None)),
            _ => {
                let message = "must name one thing with `| shape NAME`, or one JSON object";
                self.problems.at(node, message);
                None
            }
        }
    }

    fn expression(&mut self, node: &Node, kind: Kind) -> Option<Resolved> {
        let resolved = Expr::of(node).and_then(|expr| self.resolve(&expr, kind));
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
        let sketch = match (&form, ty) {
            (Form::Shape(_), Type::List(_)) => format!("[{}]", expr.filters[0].args[0]),
            (Form::Shape(_), _) => expr.filters[0].args[0].clone(),
            (_, Type::Thing(of) | Type::List(of)) => {
                return Err(format!(
                    "needs `| shape NAME` with a shape of \"{}\"",
                    of.name()
                ));
            }
            _ => String::new(),
        };
        Ok(Resolved::Pick(Box::new(Picked {
            optional: optional && fallback.is_none(),
            pick: Pick {
                sources,
                fallback,
                form,
            },
            ty,
            sketch,
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
                let at = self.shapes.iter().position(|s| s.name == *name);
                let Some(at) = at else {
                    let names: Vec<_> = self.shapes.iter().map(|s| s.name.as_str()).collect();
                    return Err(unknown("shape", name, &names));
                };
                let of = self.shapes[at].kind;
                if of != kind {
                    return Err(format!(
                        "shape \"{name}\" is of \"{}\", this is \"{}\"",
                        of.name(),
                        kind.name()
                    ));
                }
                self.shape(at).map(Form::Shape)
            }
            ("shape", ..) => {
                Err("`shape` is for things and lists of them, and takes a name".into())
            }
            (name, ..) => Err(unknown("filter", name, &FILTERS)),
        }
    }
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
fn resolve(kind: Kind, path: &str) -> Result<(Source, Type, bool), String> {
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
        unknown("source", path, &allowed)
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

/// Appends operations, merging text.
#[derive(Default)]
struct Builder {
    ops: Vec<Op>,
}

impl Builder {
    fn text(&mut self, text: &str) {
        match self.ops.last_mut() {
            Some(Op::Text(last)) => last.push_str(text),
            _ => self.ops.push(Op::Text(text.to_owned())),
        }
    }

    fn close(&mut self, bracket: char) {
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
