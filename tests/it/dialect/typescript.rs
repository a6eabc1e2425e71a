//! What `porchlight dialect types` prints, before the real compiler: the types of every shipped
//! dialect compile with `--strict` against socket.io-client's own; of the programs in
//! `tests/clients/types` every line compiles except those marked as wrong, each of which does not.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
};

use super::{built_in, custom};
use crate::support::gateway::clients;

/// Ends a line that must not compile.
const WRONG: &str = "// wrong";

/// A folder in which programs find the types of dialects and socket.io-client's.
fn project() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let modules = clients().join("node_modules");
    std::os::unix::fs::symlink(modules, dir.path().join("node_modules")).unwrap();
    fs::write(dir.path().join("package.json"), r#"{"type":"module"}"#).unwrap();
    fs::create_dir(dir.path().join("dialects")).unwrap();
    dir
}

/// Compiles these files of a folder. Returns each `file:line` that is wrong, and the compiler's
/// text.
fn compile(dir: &Path, files: &[String]) -> (BTreeSet<String>, String) {
    let compiler = clients().join("node_modules/typescript/bin/tsc");
    let Output { stdout, stderr, .. } = Command::new("node")
        .arg(compiler)
        .args(["--strict", "--noEmit", "--pretty", "false"])
        .args([
            "--module",
            "nodenext",
            "--target",
            "es2022",
            "--lib",
            "es2022,dom",
        ])
        .args(["--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes"])
        .args(files)
        .current_dir(dir)
        .output()
        .expect("node runs");
    let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    let mut wrong = BTreeSet::new();
    for line in text.lines() {
        // file.ts(12,5): error TS2345: ...
        if let Some((at, _)) = line.split_once(": error TS") {
            let (file, place) = at.split_once('(').unwrap_or((at, ""));
            let number = place.split(',').next().unwrap_or_default();
            wrong.insert(format!("{file}:{number}"));
        }
    }
    (wrong, text)
}

/// What the binary prints.
fn types(name: &str) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_porchlight"))
        .args(["dialect", "types", name])
        .env_clear()
        .output()
        .unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

#[test]
fn shipped_dialects_have_types_and_programs_that_use_them() {
    let dir = project();
    let mut files = Vec::new();
    let mut marked = BTreeSet::new();
    for name in built_in().names() {
        let file = format!("dialects/{name}.ts");
        fs::write(dir.path().join(&file), types(name)).unwrap();
        files.push(file);

        let program = clients().join(format!("types/{name}.ts"));
        let text =
            fs::read_to_string(&program).unwrap_or_else(|e| panic!("{}: {e}", program.display()));
        let file = format!("{name}.ts");
        fs::write(dir.path().join(&file), &text).unwrap();
        let wrong = text
            .lines()
            .enumerate()
            .filter(|(_, line)| line.ends_with(WRONG));
        let before = marked.len();
        marked.extend(wrong.map(|(n, _)| format!("{file}:{}", n + 1)));
        assert!(marked.len() > before, "{name}: nothing is marked as wrong");
        files.push(file);
    }
    let (wrong, text) = compile(dir.path(), &files);
    assert_eq!(wrong, marked, "{text}");
}

/// Names that are no identifiers, several arguments, constants, objects that pass through, shapes
/// in shapes and an ack that is no object.
#[test]
fn odd_dialects_have_types_too() {
    let dir = project();
    let odd = include_str!("fixtures/odd.toml");
    let dialects = [
        ("threads", include_str!("fixtures/threads.toml")),
        ("direct", include_str!("fixtures/direct.toml")),
        ("odd", odd),
    ];
    let mut files = Vec::new();
    for (name, text) in dialects {
        let file = format!("{name}.ts");
        fs::write(dir.path().join(&file), custom(name, text).types()).unwrap();
        files.push(file);
    }
    let (_, text) = compile(dir.path(), &files);
    assert_eq!(text, "");
    insta::assert_snapshot!(custom("odd", odd).types());
}
