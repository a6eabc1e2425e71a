//! From a dialect file's text to its tables.

use super::{
    Dialect, Handshake, Rule,
    command::{COMMANDS, INTRODUCE, Spec},
    hint::unknown,
    inbound::{Captures, Path},
    outbound::{Answer, Words},
    source::{DialectError, Node, Problems, Value},
    template::Templates,
    vocabulary::{EVENTS, Kind},
};

const SECTIONS: [&str; 10] = [
    "description",
    "follows",
    "handshake",
    "greet",
    "ack",
    "ack_error",
    "error",
    "shape",
    "in",
    "out",
];

/// Compiles a file, with remarks on what may not be meant so, or tells everything that is wrong
/// with it.
pub(super) fn compile(
    name: &str,
    file: &str,
    text: &str,
) -> Result<(Dialect, Vec<String>), Vec<DialectError>> {
    let mut problems = Problems::new(file);
    let dialect = match Node::parse(text, &mut problems) {
        Some(root) => compile_root(name, &root, &mut problems),
        None => None,
    };
    match dialect {
        Some(dialect) if problems.is_empty() => {
            let remarks = [dialect.remarks(), problems.into_remarks()].concat();
            Ok((dialect, remarks))
        }
        _ => Err(problems.into_vec()),
    }
}

fn compile_root(name: &str, root: &Node, problems: &mut Problems) -> Option<Dialect> {
    root.allow(&SECTIONS, problems);
    let description = root.get("description").and_then(|n| n.text(problems));
    let description = description.unwrap_or_default().to_owned();
    let handshake = handshake(root.get("handshake"), problems);
    let mut templates = Templates::new(root.get("shape"), problems);

    let greet = list(root.get("greet"))
        .iter()
        .filter_map(|node| event(&mut templates, node, Kind::Hello))
        .collect();
    let ack = required(&mut templates, root, "ack", Kind::Done);
    let ack_error = required(&mut templates, root, "ack_error", Kind::Error);
    let error = root.get("error");
    let error = error.and_then(|node| event(&mut templates, node, Kind::Error));

    let mut names = Vec::new();
    let (mut rules, mut wants) = (Vec::new(), Vec::new());
    let inbound = root.get("in").and_then(|n| inbound(n, templates.problems));
    for (event, node) in inbound.unwrap_or_default() {
        if let Some((rule, captures)) = in_rule(node, &mut templates) {
            names.push(event.clone());
            rules.push(rule);
            wants.push(captures.wants);
        }
    }
    let follows = match root.get("follows") {
        Some(node) => follows(node, &rules, templates.problems),
        None => false,
    };
    let mut out = Vec::new();
    out.resize_with(EVENTS.len(), Vec::new);
    for node in list(root.get("out")) {
        if let Some(rule) = templates.out_rule(node) {
            out[rule.on].push(rule);
        }
    }
    Some(Dialect {
        name: name.to_owned(),
        index: 0,
        description,
        follows,
        presence: templates.presence,
        shapes: templates.shapes(),
        names,
        wants,
        rules,
        handshake,
        greet,
        ack: ack?,
        ack_error: ack_error?,
        error,
        out,
    })
}

fn inbound<'a>(node: &'a Node, problems: &mut Problems) -> Option<&'a [(String, Node)]> {
    if let Value::List(_) = node.value {
        problems.at(
            node,
            "write [in.\"NAME\"] with the event's name for each event",
        );
        return None;
    }
    node.table(problems)
}

/// Whether connections follow their user's conversations; from when on, an event must say.
fn follows(node: &Node, rules: &[Rule], problems: &mut Problems) -> bool {
    let Value::Flag(follows) = node.value else {
        let message = format!("must be true or false, not {}", node.describe());
        problems.at(node, message);
        return false;
    };
    if follows && rules.iter().all(|rule| rule.command != INTRODUCE) {
        problems.at(node, format!("needs an event of the command `{INTRODUCE}`"));
    }
    follows
}

fn list(node: Option<&Node>) -> &[Node] {
    node.map(Node::one_or_many).unwrap_or_default()
}

/// An event without conditions.
fn event(templates: &mut Templates<'_>, node: &Node, kind: Kind) -> Option<Words> {
    node.table(templates.problems)?;
    node.allow(&["event", "payload", "args"], templates.problems);
    templates.words(node, kind)
}

fn required(
    templates: &mut Templates<'_>,
    root: &Node,
    key: &str,
    kind: Kind,
) -> Option<super::Ack> {
    match root.get(key) {
        Some(node) => Some(templates.arguments(node, kind).into()),
        None => {
            let example = match key {
                "ack" => "ack = { ok = true }",
                _ => "ack_error = { ok = false, error = \"error.message\" }",
            };
            templates
                .problems
                .whole(format!("needs `{key}`, such as `{example}`"));
            None
        }
    }
}

fn handshake(node: Option<&Node>, problems: &mut Problems) -> Handshake {
    let mut captures = Captures::default();
    let (mut token, mut claims) = (Vec::new(), Vec::new());
    if let Some(node) = node {
        node.allow(&["token", "claims"], problems);
        token = captures.paths(node.get("token"), problems);
        claims = captures.paths(node.get("claims"), problems);
    }
    Handshake {
        captures,
        token,
        claims,
    }
}

fn in_rule(node: &Node, templates: &mut Templates<'_>) -> Option<(Rule, Captures)> {
    node.table(templates.problems)?;
    let keys = [
        "command",
        "args",
        "claims",
        "ignored",
        "ack",
        "ack_error",
        "answer",
        "error",
    ];
    node.allow(&keys, templates.problems);
    let spec = command(node, templates.problems)?;

    let mut captures = Captures::default();
    let first = captures.first();
    let asides = Path::asides(node, templates.problems);
    let mut alternatives = Vec::new();
    match node.get("args").map(|n| (n, n.one_or_many())) {
        Some((_, nodes)) if !nodes.is_empty() => {
            for node in nodes {
                let alternative = captures.alternative(spec, node, &asides, templates.problems);
                alternatives.extend(alternative);
            }
        }
        Some((args, _)) => templates
            .problems
            .at(args, "needs at least one table of fields"),
        None if spec.any_of.is_empty() && spec.fields.iter().all(|f| !f.required) => {
            alternatives.push(Captures::nothing(spec, &asides));
        }
        None => templates.problems.at(node, "needs `args`"),
    }
    let claims = captures.paths(node.get("claims"), templates.problems);
    let answers: Vec<Answer> = list(node.get("answer"))
        .iter()
        .filter_map(|node| templates.answer(node, spec.reply))
        .collect();
    let mut ack = |key, kind| {
        let node = node.get(key)?;
        Some(templates.arguments(node, kind).into())
    };
    let rule = Rule {
        command: spec.name,
        build: spec.build,
        ack: ack("ack", spec.reply),
        ack_error: ack("ack_error", Kind::Error),
        error: node
            .get("error")
            .and_then(|n| event(templates, n, Kind::Error)),
        answers,
        alternatives,
        claims,
        first,
        infos: std::mem::take(&mut captures.infos),
    };
    Some((rule, captures))
}

/// TOML takes a dot in a name without quotes for a table in a table.
fn no_command(node: &Node) -> String {
    let inner = match &node.value {
        Value::Table(members) => members.iter().find(|(_, n)| n.get("command").is_some()),
        _ => None,
    };
    match (inner, node.key.strip_prefix("in.")) {
        (Some((name, _)), Some(outer)) if !outer.contains('"') => {
            format!("needs `command`; a name with a dot has quotes: [in.\"{outer}.{name}\"]")
        }
        _ => "needs `command`".to_owned(),
    }
}

fn command(node: &Node, problems: &mut Problems) -> Option<&'static Spec> {
    let Some(command) = node.get("command") else {
        problems.at(node, no_command(node));
        return None;
    };
    let name = command.text(problems)?;
    let found = COMMANDS.iter().find(|spec| spec.name == name);
    if found.is_none() {
        let allowed = COMMANDS.each_ref().map(|spec| spec.name);
        problems.at(command, unknown("command", name, &allowed));
    }
    found
}
