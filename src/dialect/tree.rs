//! The arguments of an event as one alternative sees them, put together from the paths that it
//! names.

use super::{
    inbound::Path,
    look::{Element, Look, Member, Part},
};

/// The arguments by number, then the members by name.
#[derive(Default)]
pub(super) struct Tree {
    /// What is wanted of this value itself.
    whole: Option<Whole>,
    /// Whether something in it must be there, whatever that is called.
    needed: bool,
    members: Vec<(String, Tree)>,
}

struct Whole {
    /// The command's field.
    field: String,
    optional: bool,
    hidden: bool,
    /// As for a [`Member`].
    any_of: Option<&'static str>,
    look: Look,
}

impl Tree {
    /// A value that a field is taken from; of the optional ones with the same `any_of`, one at
    /// least must be there.
    pub(super) fn add(
        &mut self,
        path: &Path,
        field: &str,
        optional: bool,
        any_of: Option<&'static str>,
        look: Look,
    ) {
        self.node(path).whole = Some(Whole {
            field: field.to_owned(),
            optional,
            hidden: false,
            any_of,
            look,
        });
    }

    /// One of these values must be there.
    pub(super) fn need_one(&mut self, paths: &[Path]) {
        if let [first, rest @ ..] = paths
            && rest.iter().all(|path| path.argument == first.argument)
        {
            self.child(&first.argument.to_string()).needed = true;
        }
    }

    /// A value that may be there and that no field is taken from: a whole argument where there is
    /// no other, or inside arguments that are objects anyway, because it decides on no alternative.
    pub(super) fn add_aside(&mut self, path: &Path, look: Look) {
        let Some((_, object)) = path.members.split_last() else {
            let node = self.node(path);
            if node.members.is_empty() {
                node.whole.get_or_insert(Whole {
                    field: "user".to_owned(),
                    optional: true,
                    hidden: true,
                    any_of: None,
                    look,
                });
            }
            return;
        };
        let mut at = &*self;
        let argument = path.argument.to_string();
        for name in [&argument].into_iter().chain(object) {
            match at.members.iter().find(|(n, _)| n == name) {
                Some((_, node)) => at = node,
                None => return,
            }
        }
        if at.members.is_empty() {
            return;
        }
        let whole = &mut self.node(path).whole;
        whole.get_or_insert(Whole {
            field: path.members.join("."),
            optional: true,
            hidden: true,
            any_of: None,
            look,
        });
    }

    fn node(&mut self, path: &Path) -> &mut Self {
        let mut node = self.child(&path.argument.to_string());
        for name in &path.members {
            node = node.child(name);
        }
        node
    }

    fn child(&mut self, name: &str) -> &mut Self {
        let at = match self.members.iter().position(|(n, _)| n == name) {
            Some(at) => at,
            None => {
                self.members.push((name.to_owned(), Self::default()));
                self.members.len() - 1
            }
        };
        &mut self.members[at].1
    }

    fn is_optional(&self) -> bool {
        match self.members.is_empty() {
            _ if self.needed => false,
            true => self.whole.as_ref().is_none_or(|whole| whole.optional),
            false => self.members.iter().all(|(_, t)| t.is_optional()),
        }
    }

    /// The arguments in their order; `needed` tells that the first must be there even if nothing
    /// in it must.
    pub(super) fn arguments(self, needed: bool) -> Vec<Element> {
        let mut members = self.members;
        // One digit each.
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut elements: Vec<Element> = Vec::new();
        for (number, tree) in members {
            while number.parse().is_ok_and(|n: usize| elements.len() < n) {
                // No field is taken from it, so that it may be anything.
                elements.push(Element {
                    label: "<>".to_owned(),
                    optional: false,
                    hidden: false,
                    look: Look::Any,
                });
            }
            let optional = tree.is_optional() && !(needed && elements.is_empty());
            let whole = tree.whole.as_ref();
            let hidden = whole.is_some_and(|whole| whole.hidden) && tree.members.is_empty();
            let mark = if optional && tree.members.is_empty() {
                "?"
            } else {
                ""
            };
            let field = whole.map_or("payload", |whole| &whole.field);
            elements.push(Element {
                label: format!("<{field}>{mark}"),
                optional,
                hidden,
                look: tree.look(optional),
            });
        }
        elements
    }

    /// How it looks; null counts as absent.
    fn look(self, optional: bool) -> Look {
        let look = self.present();
        match optional {
            true => look.or_constant("null"),
            false => look,
        }
    }

    fn present(self) -> Look {
        if self.members.is_empty() {
            return self.whole.map_or(Look::Any, |whole| whole.look);
        }
        let mut parts = Vec::new();
        for (name, tree) in self.members {
            let hidden = tree.whole.as_ref().is_some_and(|whole| whole.hidden);
            let optional = tree.is_optional();
            parts.push(Part::Member(Member {
                name,
                optional,
                hidden,
                any_of: tree.whole.as_ref().and_then(|whole| whole.any_of),
                look: tree.look(optional),
            }));
        }
        if self.whole.is_some() {
            // Taken as it is, with whatever else is in it.
            parts.push(Part::Others);
        }
        Look::Object(parts)
    }
}
