//! What wrong dialect files are told: every mistake at once, with its key and line.

use porchlight::dialect::check_file;

/// The mistakes of a file, without its folder.
fn mistakes(text: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.toml");
    std::fs::write(&path, text).unwrap();
    let errors = check_file(&path).err().unwrap_or_default();
    let folder = format!("{}/", dir.path().display());
    errors
        .iter()
        .map(|e| e.to_string().replace(&folder, ""))
        .collect()
}

const HEAD: &str = "ack = {}\nack_error = {}\n";

/// The one mistake of a file that starts with [`HEAD`].
fn mistake(text: &str) -> String {
    let found = mistakes(&format!("{HEAD}{text}"));
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].clone()
}

#[test]
fn all_mistakes_of_a_file_at_once() {
    insta::assert_snapshot!(mistakes(include_str!("fixtures/bad.toml")).join("\n"));
}

#[test]
fn a_file_that_is_not_toml() {
    let found = mistakes("ack = {}\nack_error = {}\n[in\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("bad.toml:3: "), "{}", found[0]);
    // The same event twice is TOML's own mistake.
    let found = mistakes("[in.a]\ncommand = \"join\"\n[in.a]\ncommand = \"join\"\n");
    assert!(found[0].starts_with("bad.toml:3: "), "{}", found[0]);
}

/// Names that TOML does not take as they are.
#[test]
fn a_name_that_needs_quotes() {
    for name in ["chat/say", "chat:say", "chat say", "$say"] {
        let found = mistake(&format!("[in.{name}]\ncommand = \"heartbeat\"\n"));
        assert!(found.starts_with("bad.toml:3: "), "{found}");
        assert!(
            found.ends_with(&format!("; write [in.\"{name}\"]")),
            "{found}"
        );
    }
    let found = mistake("[in]\nchat/say = { command = \"heartbeat\" }\n");
    assert!(
        found.ends_with("has quotes, as in [in.\"chat/say\"]"),
        "{found}"
    );
    // A table in a table is no mistake of TOML's.
    let found = mistakes(&format!("{HEAD}[in.chat.say]\ncommand = \"heartbeat\"\n"));
    assert!(
        found
            .iter()
            .any(|m| m.ends_with("a name with a dot has quotes: [in.\"chat.say\"]")),
        "{found:#?}"
    );
    // Other mistakes are told nothing of it.
    let found = mistake("[in.\"a/b\"\n");
    assert!(!found.contains("write"), "{found}");
}

#[test]
fn every_word_for_a_status_comes_to_one() {
    let status = |filters: &str| {
        mistakes(&format!(
            "{HEAD}[in.mood]\ncommand = \"set_status\"\nargs = {{ status = \"$0 {filters}\" }}\n"
        ))
    };
    let all = "(allowed: online, away, busy, idle, offline)";
    let told = |what: &str| vec![format!("bad.toml:5: in.mood.args.status: {what}")];
    assert_eq!(
        status("| one_of here dnd | map here=online dnd=bussy"),
        told(&format!(
            "`dnd=bussy`: unknown status \"bussy\", did you mean \"busy\"? {all}"
        ))
    );
    let unmapped = format!(
        "unknown status \"dnd\" {all}; give it one by a filter after it, such as `map dnd=busy`"
    );
    assert_eq!(
        status("| one_of here dnd | map here=online"),
        told(&unmapped)
    );
    assert_eq!(
        status("| map here=online | one_of online dnd"),
        told(&unmapped)
    );
    assert_eq!(
        status("| map online=gone"),
        told(&format!("`online=gone`: unknown status \"gone\" {all}"))
    );
    for right in [
        "",
        "| one_of here dnd away | map here=online dnd=busy",
        "| map here=online dnd=busy",
        "| map here=online | one_of online away",
        "| map zzz=dnd | map dnd=busy",
    ] {
        assert_eq!(status(right), Vec::<String>::new(), "{right}");
    }
}

#[test]
fn an_empty_file_needs_acks() {
    assert_eq!(
        mistakes(""),
        [
            "bad.toml: needs `ack`, such as `ack = { ok = true }`",
            "bad.toml: needs `ack_error`, such as `ack_error = { ok = false, error = \"error.message\" }`"
        ]
    );
}

#[test]
fn a_shape_that_contains_itself() {
    let found = mistake(
        "[shape.a]\nof = \"message\"\npayload = { inner = \"message | shape b\" }\n\
         [shape.b]\nof = \"message\"\npayload = { inner = \"message | shape a\" }\n",
    );
    assert_eq!(
        found,
        "bad.toml:8: shape.b.payload.inner: shape \"a\" contains itself"
    );
}

#[test]
fn too_many_values_for_one_rule() {
    let paths: Vec<_> = (0..20).map(|i| format!("\"f{i}\"")).collect();
    let found = mistakes(&format!(
        "{HEAD}[in.a]\ncommand = \"leave\"\nargs = {{ conversation = \"c\" }}\nclaims = [{}]\n",
        paths.join(", ")
    ));
    assert!(
        found[0].starts_with("bad.toml:6: in.a.claims[14]: more than 16"),
        "{found:#?}"
    );
}

#[test]
fn a_word_nearby_is_suggested() {
    let found = mistake("[[out]]\non = \"mesage.created\"\nto = []\nevent = \"e\"\n");
    assert!(
        found.starts_with(
            "bad.toml:4: out[0].on: unknown event \"mesage.created\", did you mean \"message.created\"? (allowed: message.created, "
        ),
        "{found}"
    );
}

/// Names from other vocabularies, other languages' paths, texts without quotes.
#[test]
fn a_newcomers_mistakes() {
    insta::assert_snapshot!(mistakes(include_str!("fixtures/newcomer.toml")).join("\n"));
    assert_eq!(
        mistakes(&format!("{HEAD}[[in]]\nevent = \"a\"\n")),
        ["bad.toml:3: in: write [in.\"NAME\"] with the event's name for each event"]
    );
}

/// What is no mistake and perhaps not meant so.
#[test]
fn remarks() {
    let dir = tempfile::tempdir().unwrap();
    let remarks = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        match check_file(&path) {
            Ok(checked) => checked.remarks.join("\n"),
            Err(errors) => panic!("{errors:?}"),
        }
    };
    let shown = remarks("mine.toml", include_str!("fixtures/remarks.toml"));
    insta::assert_snapshot!(shown);
    for name in super::built_in().names() {
        let text = std::fs::read_to_string(format!("config/dialects/{name}.toml")).unwrap();
        assert_eq!(remarks("mine.toml", &text), "", "{name}");
        assert_eq!(
            remarks(&format!("{name}.toml"), &text),
            format!("in dialects.dir it replaces the built-in \"{name}\"")
        );
    }
}

#[test]
fn the_command_tells_each_mistake_in_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_porchlight"))
            .args(args)
            .current_dir(dir.path())
            .env_clear()
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    std::fs::write(
        dir.path().join("bad.toml"),
        include_str!("fixtures/newcomer.toml"),
    )
    .unwrap();
    std::fs::write(
        dir.path().join("mine.toml"),
        include_str!("fixtures/remarks.toml"),
    )
    .unwrap();

    let (code, out, err) = run(&["dialect", "check", "bad.toml"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    let mut lines = err.lines();
    let (head, found) = (lines.next().unwrap(), lines.collect::<Vec<_>>());
    assert_eq!(head, format!("porchlight: {} mistakes", found.len()));
    assert!(found.iter().all(|l| l.starts_with("bad.toml:")), "{err}");

    let (code, out, err) = run(&["dialect", "check", "mine.toml"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("OK\nmine: "), "{out}");
    assert!(out.contains("\nremark: "), "{out}");

    for command in ["show", "types"] {
        let (code, out, err) = run(&["dialect", command, "mine.toml"]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert!(out.contains("chat.message"), "{out}");
        let (code, out, err) = run(&["dialect", command, "./bad.toml"]);
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(err.contains("\n./bad.toml:"), "{err}");
    }
    // Serving a folder with mistakes says what checking it says.
    std::fs::create_dir(dir.path().join("wrong")).unwrap();
    std::fs::copy(
        dir.path().join("bad.toml"),
        dir.path().join("wrong/bad.toml"),
    )
    .unwrap();
    std::fs::write(
        dir.path().join("wrong.toml"),
        "[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\n[dialects]\ndir = \"wrong\"\n",
    )
    .unwrap();
    let checked = run(&["--config", "wrong.toml", "check-config"]);
    assert_eq!(checked.0, Some(2));
    assert!(
        checked
            .2
            .contains("  dialects.dir (wrong.toml:5): wrong/bad.toml:"),
        "{}",
        checked.2
    );
    assert_eq!(run(&["--config", "wrong.toml", "serve"]), checked);

    let (code, _, err) = run(&["dialect", "check", "absent.toml"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("absent.toml: No such file"), "{err}");

    for command in ["show", "types"] {
        let (code, out, err) = run(&["dialect", command, "klingon"]);
        assert_eq!((code, out.as_str()), (Some(1), ""));
        assert!(err.contains("only standard, "), "{err}");
        assert!(err.contains("set dialects.dir, "), "{err}");
        // One's own, in a folder that the configuration names.
        std::fs::write(dir.path().join("own.toml"), "dialects.dir = \"own\"\n").unwrap();
        std::fs::create_dir_all(dir.path().join("own")).unwrap();
        std::fs::copy(
            dir.path().join("mine.toml"),
            dir.path().join("own/mine.toml"),
        )
        .unwrap();
        let (code, out, err) = run(&["--config", "own.toml", "dialect", command, "mine"]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert!(out.contains("chat"), "{out}");
        let (_, _, err) = run(&["--config", "own.toml", "dialect", command, "klingon"]);
        assert!(!err.contains("set dialects.dir"), "{err}");
    }

    // A folder that is not there is told by its whole path.
    std::fs::write(dir.path().join("own.toml"), "dialects.dir = \"nowhere\"\n").unwrap();
    let (_, _, err) = run(&["--config", "own.toml", "check-config"]);
    let whole = dir.path().canonicalize().unwrap().join("nowhere");
    assert!(
        err.contains(&format!("there is no folder {}", whole.display())),
        "{err}"
    );

    // A token says which secret it is signed with where nobody chose one.
    let (code, out, err) = run(&["token", "--user", "ann"]);
    assert_eq!((code, out.split('.').count()), (Some(0), 3));
    let file = dir.path().canonicalize().unwrap().join("data/secret");
    assert!(
        err.contains(&format!("signed with the one in {}", file.display())),
        "{err}"
    );
}

#[test]
fn connections_that_follow_must_be_able_to_say_from_when_on() {
    assert_eq!(
        mistake("follows = true\n[in.a]\ncommand = \"leave\"\nargs = { conversation = \"$0\" }\n"),
        "bad.toml:3: follows: needs an event of the command `introduce`"
    );
    assert_eq!(
        mistake("follows = \"yes\"\n"),
        "bad.toml:3: follows: must be true or false, not text"
    );
    assert!(
        mistakes(&format!(
            "{HEAD}follows = true\n[in.a]\ncommand = \"introduce\"\n"
        ))
        .is_empty()
    );
}

#[test]
fn a_message_must_go_somewhere() {
    let send = |args: &str| {
        mistakes(&format!(
            "{HEAD}[in.a]\ncommand = \"send\"\nargs = {{ content = \"text\"{args} }}\n"
        ))
    };
    assert_eq!(
        send(""),
        ["bad.toml:5: in.a.args: `send` needs `conversation` or `receiver`"]
    );
    assert!(send(", receiver = \"to\"").is_empty());
    assert!(send(", conversation = \"chat\"").is_empty());
    assert!(send(", receiver = \"to\", conversation = \"chat\"").is_empty());
}

#[test]
fn nobody_causes_that_others_are_online() {
    assert_eq!(
        mistake(
            "[[out]]\non = \"online_users\"\nto = [\"other\", \"own_device\"]\nevent = \"e\"\n"
        ),
        "bad.toml:5: out[0].to[1]: \"online_users\" goes to `other` only"
    );
}

/// What is allowed at the places where the file names what there is not.
fn allowed(text: &str) -> Vec<String> {
    let found = mistakes(&format!("{HEAD}{text}"));
    let lists = found
        .iter()
        .filter_map(|m| m.split_once("(allowed: ")?.1.split(')').next());
    let words = lists.flat_map(|list| list.split(", ").map(str::to_owned));
    words.collect()
}

/// The reference names every key, command, field, event, role, filter and member that there is.
#[test]
fn the_reference_is_complete() {
    let reference = include_str!("../../../docs/dialects.md");
    let mut names = allowed(
        "nothing = 1\n[in.a]\ncommand = \"nothing\"\n[in.b]\ncommand = \"leave\"\nargs = { conversation = \"$0 | nothing\" }\nnothing = 1\n",
    );
    names.extend(allowed("[[out]]\non = \"nothing\"\nto = \"other\"\nevent = \"e\"\n[[out]]\non = \"typing\"\nto = \"nothing\"\nevent = \"e\"\nnothing = 1\npayload = \"typing.on | nothing\"\n"));
    for command in allowed("[in.a]\ncommand = \"nothing\"\n") {
        names.extend(allowed(&format!(
            "[in.a]\ncommand = \"{command}\"\nargs = {{ nothing = \"$0\" }}\nack = \"nothing\"\n"
        )));
    }
    for event in allowed("[[out]]\non = \"nothing\"\nto = \"other\"\nevent = \"e\"\n") {
        names.extend(allowed(&format!(
            "[[out]]\non = \"{event}\"\nto = \"other\"\nevent = \"e\"\npayload = \"nothing\"\n"
        )));
    }
    for of in [
        "message",
        "user",
        "participant",
        "conversation",
        "joined",
        "attachment",
        "hit",
        "span",
    ] {
        names.extend(allowed(&format!(
            "[shape.a]\nof = \"{of}\"\npayload = {{ a = \"nothing\" }}\n"
        )));
    }
    names.extend(allowed("[error]\nevent = \"e\"\npayload = \"nothing\"\n"));
    names.extend(allowed("[[greet]]\nevent = \"e\"\npayload = \"nothing\"\n"));
    assert!(names.len() > 150, "{names:?}");
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let known: std::collections::HashSet<_> = reference.split(|c| !is_word(c)).collect();
    let missing: Vec<_> = names
        .iter()
        .flat_map(|name| name.split(|c| !is_word(c)))
        .filter(|word| !known.contains(word))
        .collect();
    assert!(missing.is_empty(), "not in docs/dialects.md: {missing:?}");
}
