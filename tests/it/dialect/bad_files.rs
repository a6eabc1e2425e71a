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

#[test]
fn an_empty_file_needs_acks() {
    assert_eq!(
        mistakes(""),
        ["bad.toml: needs `ack`", "bad.toml: needs `ack_error`"]
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
