//! Compiles payload templates: a TOML table becomes a JSON object, a list a JSON array, a text the
//! value of an expression over what [`vocabulary`](super::vocabulary) offers.

use std::sync::Arc;

use super::{
    hint::unknown,
    look::{Element, Look, Part},
    render::{Builder, Form, Op, Program, Shape, Source},
    resolve::{Picked, Resolved, resolve},
    source::{Node, Problems, Value},
    text::push_text,
    vocabulary::{Kind, SHAPED, Type, is_presence},
};

/// The key that takes over the members of something else.
const SPREAD: &str = "...";
/// The key for members that are added where the other thing has none of the name.
const MISSING: &str = "...missing";
/// The key for members that replace the other thing's where it has them.
const PRESENT: &str = "...present";
/// What [`SPREAD`] may be.
const NO_SPREAD: &str = "must name one thing with `| shape NAME`, or one JSON object";
/// Names that Socket.IO keeps for itself.
const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Compiles the templates of one file.
pub(super) struct Templates<'p> {
    pub problems: &'p mut Problems,
    /// Whether something names how participants are.
    pub presence: bool,
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

/// What `"..."` takes over.
enum Spread {
    /// The members of a thing's shape.
    Shape(Source, Arc<Shape>),
    /// The members of a JSON object as it came.
    Json(Source),
}

impl<'p> Templates<'p> {
    /// Takes the `[shape.*]` tables; they are compiled here too, whether used or not.
    pub(super) fn new(shapes: Option<&Node>, problems: &'p mut Problems) -> Self {
        let mut this = Self {
            problems,
            presence: false,
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

    /// The shape of that name for things of that kind, or why it cannot be used.
    pub(super) fn shape_named(&mut self, name: &str, kind: Kind) -> Result<Arc<Shape>, String> {
        let Some(at) = self.shapes.iter().position(|s| s.name == name) else {
            let names: Vec<_> = self.shapes.iter().map(|s| s.name.as_str()).collect();
            return Err(unknown("shape", name, &names));
        };
        let (of, this) = (self.shapes[at].kind.name(), kind.name());
        if of != this {
            return Err(format!(
                "shape \"{name}\" is of \"{of}\", this is \"{this}\""
            ));
        }
        self.shape(at)
    }

    /// Every shape that could be compiled.
    pub(super) fn shapes(&self) -> Vec<Arc<Shape>> {
        let done = self.shapes.iter().filter_map(|entry| match &entry.state {
            ShapeState::Done(shape) => Some(Arc::clone(shape)),
            _ => None,
        });
        done.collect()
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
        let (names, parts) = match node.table(self.problems) {
            Some(members) => self.members(members, kind, &mut builder),
            None => Default::default(),
        };
        let shape = Arc::new(Shape {
            name: self.shapes[at].name.clone(),
            members: Program(builder.ops),
            names,
            parts,
        });
        self.shapes[at].state = ShapeState::Done(Arc::clone(&shape));
        Ok(shape)
    }

    /// Compiles an event: its name and either `payload` (one argument) or `args`.
    pub(super) fn packet(
        &mut self,
        node: &Node,
        kind: Kind,
    ) -> Option<(Program, String, Vec<Element>)> {
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
        let looks = match (node.get("payload"), node.get("args")) {
            (Some(payload), None) => vec![self.element(payload, kind, &mut builder)],
            (None, Some(args)) => self.elements(args, kind, &mut builder),
            (None, None) => Vec::new(),
            (Some(_), Some(args)) => {
                self.problems
                    .at(args, "give either `payload` or `args`, not both");
                Vec::new()
            }
        };
        builder.close(']');
        Some((Program(builder.ops), name, looks))
    }

    /// Compiles an ack: a table is its one argument, a list is its arguments.
    pub(super) fn arguments(&mut self, node: &Node, kind: Kind) -> (Program, Vec<Element>) {
        let mut builder = Builder::default();
        builder.text("[");
        let looks = match &node.value {
            Value::List(_) => self.elements(node, kind, &mut builder),
            _ => vec![self.element(node, kind, &mut builder)],
        };
        builder.close(']');
        (Program(builder.ops), looks)
    }

    /// A source for a condition or a loop.
    pub(super) fn source(&mut self, node: &Node, path: &str, kind: Kind) -> Option<(Source, Type)> {
        match resolve(kind, path) {
            Ok((source, ty, _)) => {
                self.presence |= is_presence(kind, path);
                Some((source, ty))
            }
            Err(message) => {
                self.problems.at(node, message);
                None
            }
        }
    }

    fn elements(&mut self, node: &Node, kind: Kind, builder: &mut Builder) -> Vec<Element> {
        let Value::List(nodes) = &node.value else {
            let message = format!("must be a list, not {}", node.describe());
            self.problems.at(node, message);
            return Vec::new();
        };
        let elements = nodes.iter().map(|n| self.element(n, kind, builder));
        elements.collect()
    }

    /// A value and a comma. What is absent is null, so that the others keep their places.
    fn element(&mut self, node: &Node, kind: Kind, builder: &mut Builder) -> Element {
        let mut label = String::new();
        let look = match &node.value {
            Value::Table(_) | Value::List(_) => self.nested(node, kind, builder),
            _ => match self.expression(node, kind) {
                None => Look::Any,
                Some(Resolved::Constant(json)) => {
                    builder.text(&json);
                    Look::Constant(json)
                }
                Some(Resolved::Pick(picked)) => {
                    builder.ops.push(Op::Put(picked.pick));
                    label = node.text(self.problems).unwrap_or_default().to_owned();
                    match picked.optional {
                        true => picked.look.or_constant("null"),
                        false => picked.look,
                    }
                }
            },
        };
        builder.text(",");
        Element {
            label,
            optional: false,
            hidden: false,
            look,
        }
    }

    fn nested(&mut self, node: &Node, kind: Kind, builder: &mut Builder) -> Look {
        if let Value::Table(members) = &node.value {
            builder.text("{");
            let (_, parts) = self.members(members, kind, builder);
            builder.close('}');
            Look::Object(parts)
        } else {
            builder.text("[");
            let elements = self.elements(node, kind, builder);
            builder.close(']');
            Look::Tuple(elements)
        }
    }

    /// The members of an object, each with its comma. Returns their names and how they look.
    fn members(
        &mut self,
        members: &[(String, Node)],
        kind: Kind,
        builder: &mut Builder,
    ) -> (Vec<String>, Vec<Part>) {
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
        let names = |node: Option<&Node>| match node.map(|n| &n.value) {
            Some(Value::Table(list)) => list.iter().map(|(name, _)| name.clone()).collect(),
            _ => Vec::new(),
        };
        let replaced = [own.clone(), names(present)].concat();

        let mut spread: Option<Source> = None;
        let mut parts = Vec::new();
        for (name, node) in members {
            match name.as_str() {
                MISSING | PRESENT => {}
                SPREAD => match self.spread(node, kind) {
                    Some(Spread::Shape(source, shape)) => {
                        if let Some(twice) = shape.names.iter().find(|n| own.contains(n)) {
                            let message = format!("\"{twice}\" is in the shape already");
                            self.problems.at(node, message);
                        }
                        own.extend(shape.names.iter().cloned());
                        parts.push(Part::All(Arc::clone(&shape)));
                        builder.ops.push(Op::Splice(source, shape));
                    }
                    Some(Spread::Json(source)) => {
                        builder.ops.push(Op::Spread {
                            of: source.clone(),
                            except: replaced.clone(),
                            unless_null: names(extra(MISSING)),
                        });
                        parts.push(Part::Others);
                        spread = Some(source);
                    }
                    None => {}
                },
                _ => parts.push(self.member(name, node, kind, builder)),
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
                let part = self.member(name, node, kind, &mut inner);
                add_extra(&mut parts, part, has);
                builder.ops.push(Op::If {
                    of: of.clone(),
                    name: name.clone(),
                    has,
                    then: Program(inner.ops),
                });
            }
        }
        (own, parts)
    }

    fn member(&mut self, name: &str, node: &Node, kind: Kind, builder: &mut Builder) -> Part {
        let mut key = String::new();
        push_text(&mut key, name);
        key.push(':');
        if matches!(node.value, Value::Table(_) | Value::List(_)) {
            builder.text(&key);
            let look = self.nested(node, kind, builder);
            builder.text(",");
            return Part::member(name, false, look);
        }
        match self.expression(node, kind) {
            None => Part::member(name, false, Look::Any),
            Some(Resolved::Constant(json)) => {
                builder.text(&key);
                builder.text(&json);
                builder.text(",");
                Part::member(name, false, Look::Constant(json))
            }
            Some(Resolved::Pick(picked)) => {
                let part = Part::member(name, picked.optional, picked.look);
                if picked.optional {
                    builder.ops.push(Op::Member(key, picked.pick));
                } else {
                    builder.text(&key);
                    builder.ops.push(Op::Put(picked.pick));
                    builder.text(",");
                }
                part
            }
        }
    }

    /// What `"..."` takes over: a thing's shape, or a JSON object as it came.
    fn spread(&mut self, node: &Node, kind: Kind) -> Option<Spread> {
        let Resolved::Pick(picked) = self.expression(node, kind)? else {
            self.problems.at(node, NO_SPREAD);
            return None;
        };
        let Picked { pick, ty, .. } = *picked;
        let mut sources = pick.sources.into_iter();
        match (pick.form, ty, sources.next(), sources.next(), pick.fallback) {
            (Form::Shape(shape), Type::Thing(_), Some(source), None, None) => {
                Some(Spread::Shape(source, shape))
            }
            (Form::Plain, Type::Json, Some(source), None, None) => Some(Spread::Json(source)),
            _ => {
                self.problems.at(node, NO_SPREAD);
                None
            }
        }
    }
}

/// Adds how a member looks that is there only if another object has one of the name (`has`), or
/// has none and its own may look like anything.
fn add_extra(parts: &mut Vec<Part>, part: Part, has: bool) {
    let Part::Member(mut member) = part else {
        return;
    };
    let same = parts.iter_mut().find_map(|p| match p {
        Part::Member(m) if m.name == member.name => Some(m),
        _ => None,
    });
    match same {
        // Added or replaced: nothing of the other object's is left.
        Some(added) => added.look = added.look.clone().instead_of_anything(member.look),
        None => {
            member.optional |= has;
            if !has {
                member.look = member.look.or_anything();
            }
            parts.push(Part::Member(member));
        }
    }
}
