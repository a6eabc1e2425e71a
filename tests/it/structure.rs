//! The source's own shape: which module may import which, and how large a file may grow.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What each module may import besides itself. `chat` and `config` are the ground; the parts stand
/// on them; the edges stand on the parts; the roots see everything.
const ALLOWED: &[(&str, &[&str])] = &[
    ("chat", &[]),
    ("config", &[]),
    ("telemetry", &["config"]),
    ("shutdown", &[]),
    ("auth", GROUND),
    ("blobs", GROUND),
    ("redis", GROUND),
    ("bus", &["chat", "config", "telemetry", "redis"]),
    ("dialect", GROUND),
    ("limits", GROUND),
    ("presence", &["chat", "config", "telemetry", "redis"]),
    ("store", GROUND),
    ("demo", &["chat", "http"]),
    ("http", &["chat", "config", "telemetry", "auth", "limits"]),
    (
        "socket",
        &[
            "chat",
            "config",
            "telemetry",
            "auth",
            "dialect",
            "limits",
            "http",
            "demo",
        ],
    ),
    ("seed", &["chat"]),
    ("cli", &["chat", "config"]),
];

const GROUND: &[&str] = &["chat", "config", "telemetry"];

/// They put everything together.
const ROOTS: &[&str] = &["app", "run", "lib", "main"];

/// Lines in a source file at most, its unit tests not counted. About four hundred is the habit.
const MAX_LINES: usize = 450;

fn sources() -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    assert!(found.len() > 50, "the sources were not found");
    found
}

fn module_of(path: &Path) -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let first = path.strip_prefix(src).unwrap().components().next().unwrap();
    let name = first.as_os_str().to_str().unwrap();
    name.trim_end_matches(".rs").to_owned()
}

/// The code of a file without comments and without its unit tests, which come last by habit.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    text[..end]
        .lines()
        .filter(is_code)
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The modules named after `crate::`, also inside braces: `crate::{auth::X, chat::{Y}}`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line_start in code
        .match_indices("crate::")
        .map(|(at, _)| at + "crate::".len())
    {
        let rest = &code[line_start..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut word = String::new();
            let mut at_start = true;
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => {
                        found.extend(Some(std::mem::take(&mut word)).filter(|w| !w.is_empty()));
                        at_start = true;
                    }
                    c if depth == 1 && at_start && (c.is_alphanumeric() || c == '_') => {
                        word.push(c)
                    }
                    ':' if depth == 1 && at_start => {
                        found.insert(std::mem::take(&mut word));
                        at_start = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
            if !word.is_empty() {
                found.insert(word);
            }
        } else {
            found.insert(
                rest.chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect(),
            );
        }
    }
    found
}

#[test]
fn dependencies_point_one_way() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut wrong = Vec::new();
    for path in sources() {
        let module = module_of(&path);
        if ROOTS.contains(&module.as_str()) {
            continue;
        }
        let Some(allowed) = allowed.get(module.as_str()) else {
            wrong.push(format!("{module} is not in the table"));
            continue;
        };
        let code = code(&path);
        // Macros and the crate's own name are not modules.
        for used in imports(&code)
            .iter()
            .filter(|m| m.chars().all(|c| c.is_lowercase() || c == '_'))
        {
            if used != &module && !allowed.contains(&used.as_str()) && !used.is_empty() {
                wrong.push(format!("{} imports {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn imports_are_found_in_every_spelling() {
    let code = "use crate::chat::Chat;\nuse crate::{\n    auth::{A, B},\n    limits,\n};\ncrate::demo::f()";
    let found: Vec<_> = imports(code).into_iter().collect();
    assert_eq!(found, ["auth", "chat", "demo", "limits"]);
}

#[test]
fn the_domain_knows_no_transport_and_no_database() {
    for path in sources().iter().filter(|p| module_of(p) == "chat") {
        let code = code(path);
        for outsider in [
            "tokio::net",
            "axum",
            "fred",
            "sqlx",
            "socketioxide",
            "hyper",
            "http::",
        ] {
            let used = code
                .lines()
                .any(|l| l.contains(outsider) && l.contains("::"));
            assert!(!used, "{} uses {outsider}", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is_and_stays_small() {
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("//!"),
            "{} does not say what it is",
            path.display()
        );
        let lines = text
            .find("#[cfg(test)]")
            .map_or(&*text, |end| &text[..end])
            .lines()
            .count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", path.display());
    }
}

/// Names of events belong into dialect files: the code knows commands and events only.
#[test]
fn no_event_name_is_written_in_rust() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/dialects");
    let files = fs::read_dir(folder).unwrap();
    let dialects: String = files
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let heard = |l: &str| Some(l.split_once("event = \"")?.1.split_once('"')?.0.to_owned());
    let said = |l: &str| {
        let name = l.strip_prefix("[in.")?.trim_end_matches(']');
        Some(name.trim_matches('"').to_owned())
    };
    // A single plain word may be anything.
    let names: BTreeSet<_> = dialects
        .lines()
        .filter_map(|l| heard(l).or_else(|| said(l)))
        .filter(|name| name.contains(|c: char| !c.is_ascii_lowercase()))
        .collect();
    assert!(
        names.len() > 30,
        "the dialect's names were not found: {names:?}"
    );
    for path in sources() {
        let code = code(&path);
        for name in &names {
            assert!(
                !code.contains(&format!("\"{name}\"")),
                "{} names {name}",
                path.display()
            );
        }
    }
}

/// The changed copies in vendor/ are in use: without them an idle connection costs 5 to 9 KiB more.
#[test]
fn packets_are_small() {
    let slot = std::mem::size_of::<engineioxide_core::PacketBuf>();
    assert!(slot <= 56, "{slot} bytes");
}
