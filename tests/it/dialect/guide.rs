//! The guide `docs/your-own-dialect.md`, followed to the letter: its files are taken out of the
//! page, checked, served by the real binary and driven by real clients, the page's own among them.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use porchlight::dialect::check_file;

use crate::support::gateway::{Gateway, clients};

const GUIDE: &str = include_str!("../../../docs/your-own-dialect.md");
const LIMIT: Duration = Duration::from_secs(60);

/// The page's files by name. Blocks of one file follow each other in it.
fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::<String, String>::new();
    for part in GUIDE.split("<!-- file: ").skip(1) {
        let (name, rest) = part
            .split_once(" -->\n```")
            .expect("a block follows the name");
        let (_, rest) = rest.split_once('\n').expect("the block has lines");
        let (block, _) = rest.split_once("\n```\n").expect("the block ends");
        let file = files.entry(name.to_owned()).or_default();
        file.push_str(block);
        file.push_str("\n\n");
    }
    files
}

fn write(dir: &Path) {
    for (name, text) in files() {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn the_file_is_right_after_every_step() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    let checked = check_file(&dir.path().join("dialects/huddle.toml"));
    match checked {
        Ok(checked) => assert_eq!(checked.remarks, Vec::<String>::new()),
        Err(errors) => panic!("{}", errors[0]),
    }
    let text = &files()["dialects/huddle.toml"];
    let path = dir.path().join("part.toml");
    let blocks: Vec<_> = GUIDE
        .split("<!-- file: dialects/huddle.toml -->")
        .skip(2)
        .collect();
    assert_eq!(blocks.len(), 3, "one for each step after the first");
    for block in blocks {
        let first = block.lines().nth(2).unwrap();
        let end = text.find(first).expect("the block is in the file");
        fs::write(&path, &text[..end]).unwrap();
        assert!(check_file(&path).is_ok(), "before {first}");
    }
}

#[test]
fn huddle_works_with_real_clients() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let mut gateway = Gateway::start(&[
        ("LOG_LEVEL", "debug"),
        ("PORCHLIGHT_CONFIG", &path("porchlight.toml")),
        // The page's is relative to the working directory.
        ("PORCHLIGHT_DIALECTS_DIR", &path("dialects")),
        (
            "PORCHLIGHT_AUTH_API_KEYS",
            "the key of a test's private backend",
        ),
    ]);
    let script = clients().join("huddle.mjs");
    gateway.script("node", &[script.to_str().unwrap()], &[], LIMIT, |_, _| {});
    let log = gateway.log();
    for told in [
        "unknown event event=\"warble\"",
        "event refused code=too_large event=\"post\" device=",
        "event refused code=invalid event=\"mood\" device=",
    ] {
        assert!(log.contains(told), "{told} is not in the log:\n{log}");
    }
    for content in [
        "a word that no log has",
        "xxxx",
        "dancing",
        "Who took the milk",
    ] {
        assert!(!log.contains(content), "{content} is in the log");
    }

    // The page's own client, with the page's own commands.
    let porchlight = |args: &[&str]| {
        let output = gateway
            .command(env!("CARGO_BIN_EXE_porchlight"))
            .args(args)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    porchlight(&["check-config"]);
    porchlight(&["seed"]);
    let token = porchlight(&["token", "--user", "alice", "--name", "Alice"]);
    std::os::unix::fs::symlink(clients().join("node_modules"), path("node_modules")).unwrap();
    let mut heard = Vec::new();
    let url = gateway.url();
    let client = path("client.mjs");
    let args = [client.as_str(), &url, &token, "demo-group"];
    gateway.script("node", &args, &[], LIMIT, |line, _| {
        heard.push(line.to_owned())
    });
    assert_eq!(heard, ["hello Alice", "4 posts, 3 people", "posted"]);

    // The page's room, at this gateway's address.
    let script = files()["rooms.sh"].replace("http://127.0.0.1:4000", &url);
    fs::write(path("rooms.sh"), format!("set -e\n{script}")).unwrap();
    let rooms = path("rooms.sh");
    let mut told = String::new();
    gateway.script("sh", &[&rooms], &[], LIMIT, |line, _| told.push_str(line));
    assert!(told.contains(r#""id":"lobby""#), "{told}");
    assert!(told.contains(r#""userId":"carol""#), "{told}");
    let mut heard = Vec::new();
    let args = [client.as_str(), &url, &token, "lobby"];
    gateway.script("node", &args, &[], LIMIT, |line, _| {
        heard.push(line.to_owned())
    });
    assert_eq!(heard, ["hello Alice", "0 posts, 2 people", "posted"]);
}
