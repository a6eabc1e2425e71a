//! Dialects of one's own: what the standard one does not need.

use std::sync::Arc;

use porchlight::{
    chat::{
        ChatError, Command, Event, Hearer, Message, PresenceChange, PresenceInfo, Reply, Sent,
        Status, UserId,
    },
    dialect::{Dialects, Hello, check_file},
};

use super::{
    NOW, built_in, check_array, created, custom, decoded, heard, joined, json, load, message,
    outcome, outcomes, profile, standard,
};

const THREADS: &str = include_str!("fixtures/threads.toml");
const DIRECT: &str = include_str!("fixtures/direct.toml");

#[test]
fn arguments_bind_by_position_name_and_default() {
    let shown = outcomes(
        &custom("threads", THREADS),
        &[
            r#"["send_message","thread-1","hello","image"]"#,
            r#"["send_message","thread-1","hello"]"#,
            r#"["send_message",{"messageId":"thread-1","message":"hello"}]"#,
            r#"["send_message",{"messageId":"t","message":"hi","senderId":"ann","attachments":["a.png"],"replyTo":"m-1"}]"#,
            r#"["send_message",{"messageId":"t","message":"hi","attachments":null,"replyTo":"m-1"}]"#,
            r#"["send_message",{"messageId":"t","message":"hi","attachments":["\ud800"]}]"#,
            r#"["send_message",{"messageId":"t","message":"exactly twenty chars"}]"#,
            r#"["send_message",{"messageId":"t","message":"not exactly 20 chars."}]"#,
            r#"["send_message","t","not exactly 20 chars."]"#,
            r#"["send_message","t"]"#,
            r#"["send_message",{"messageId":"t"}]"#,
            r#"["mark_message_read",{"messageId":"t","threadMessageId":null}]"#,
            r#"["mark_message_read",{"messageId":"t","threadMessageId":"m-1"}]"#,
            r#"["mark_message_read","t",null]"#,
            r#"["mark_message_read","t","m-1"]"#,
            r#"["join_message_thread",{"threadId":"t","username":"Ann"}]"#,
            r#"["set_status","dnd"]"#,
            r#"["set_status","away"]"#,
            r#"["set_status","sleepy"]"#,
            r#"["logout"]"#,
            r#"["typing",{"messageId":"t"}]"#,
            r#"["typing",{"messageId":"t","isTyping":false,"userId":"ann","data":{"userId":"ann"}}]"#,
            r#"["typing",{"messageId":"t","isTyping":"no"}]"#,
            r#"["typing",{"messageId":"t","userId":"ann","data":{"userId":"bob"}}]"#,
        ],
    );
    insta::assert_snapshot!(shown);
}

#[test]
fn words_by_role_condition_and_reply() {
    let dialect = custom("threads", THREADS);
    let image = Message {
        kind: "image".into(),
        metadata: Some(json(r#"{"attachments":["a.png"],"reply":{"to":"m-1"}}"#)),
        ..message(1, "look")
    };
    let bare = Message {
        kind: "file".into(),
        metadata: Some(json(r#"{"attachments":null,"reply":7}"#)),
        ..message(1, "look")
    };
    let status = |status, change| Event::Presence {
        info: PresenceInfo {
            user: UserId::new("ann").unwrap(),
            online: true,
            status,
            last_seen: None,
        },
        change,
        at: NOW,
        audience: Arc::from([]),
    };
    let mut shown = String::new();
    for event in [
        created(message(1, "hello")),
        created(image),
        created(bare),
        status(Status::Online, PresenceChange::Online),
        status(Status::Busy, PresenceChange::Status),
        status(Status::Idle, PresenceChange::Status),
    ] {
        shown.push_str(&heard(&dialect, &event));
    }
    let rule = |packet: &str| dialect.decode(packet).unwrap().rule;
    let send = rule(r#"["send_message","t","hi"]"#);
    let join = rule(r#"["join_message_thread","t"]"#);
    let sent = |duplicate| {
        Reply::Sent(Sent {
            message: Arc::new(message(1, "hello")),
            duplicate,
        })
    };
    let joined = Reply::Joined(Box::new(joined()));
    let error = ChatError::forbidden("not yours");
    let mut replies = vec![dialect.ack(send, &sent(false)), dialect.ack(join, &joined)];
    replies.extend(dialect.answer(send, &sent(false)));
    replies.extend(dialect.answer(send, &sent(true)));
    replies.extend(dialect.answer(join, &joined));
    replies.push(dialect.ack_error(Some(send), &error));
    replies.extend(dialect.error(Some(send), &error));
    replies.extend(dialect.error(Some(join), &error));
    replies.extend(dialect.error(None, &error));
    replies.extend(dialect.greet(&Hello {
        profile: &profile("ann", "Ann"),
        device: "sid",
        now: NOW,
    }));
    for reply in replies {
        check_array(&reply);
        shown.push_str(&format!("{reply}\n"));
    }
    insta::assert_snapshot!(shown);
    insta::assert_snapshot!("threads_table", dialect.describe());
}

#[test]
fn the_handshake_finds_other_names_and_claims() {
    let dialect = custom("threads", THREADS);
    let told = dialect
        .introduction(r#"{"accessToken":"t","userId":"ann"}"#)
        .unwrap();
    assert_eq!(told.token.as_deref(), Some("t"));
    assert_eq!(told.claimed, Some(UserId::new("ann").unwrap()));
    assert!(dialect.introduction(r#"{"userId":["ann"]}"#).is_err());
}

/// The object travels as it was sent, with the truth in place of what a sender could forge.
#[test]
fn an_object_passes_through() {
    let dialect = custom("direct", DIRECT);
    let relayed = |packet: &str| {
        let Command::Send(send) = decoded(&dialect, packet) else {
            panic!("not a send")
        };
        let event = created(Message {
            content: send.content,
            metadata: send.metadata,
            ..message(1, "")
        });
        dialect.encode(&event, Hearer::Other).remove(0)
    };
    assert_eq!(
        relayed(
            r#"["sendMessage",{"receiverId":"bob","data":{"text":"twelve chars","senderId":"ann","chatId":"x","timestamp":"T","messageId":"k","metadata":{"read":true},"x":[1]}}]"#
        ),
        r#"["getMessage",{"timestamp":"T","messageId":"k","metadata":{"read":true},"x":[1],"text":"twelve cha","senderId":"ann","chatId":"conv-1","type":"text"}]"#
    );
    assert_eq!(
        relayed(
            r#"["sendMessage",{"data":{"id":"k","text":"hi","userId":"ann","chatId":"x","createdAt":5,"te\u0078tual":1,"metadata":null}}]"#
        ),
        r#"["getMessage",{"id":"k","createdAt":5,"textual":1,"text":"hi","senderId":"ann","chatId":"conv-1","messageId":"m-1","timestamp":"2026-01-02T03:04:05.678Z","type":"text","metadata":{"read":false,"delivered":true},"userId":"ann"}]"#
    );
    // The text is cut, not counted twice, and what is left over is bounded.
    let long = |extra: usize| {
        let (text, x) = ("é".repeat(20_000), "x".repeat(extra));
        format!(r#"["sendMessage",{{"data":{{"text":"{text}","chatId":"c","x":"{x}"}}}}]"#)
    };
    match decoded(&dialect, &long(16_000)) {
        Command::Send(send) => {
            assert_eq!(&*send.content, "é".repeat(10));
            assert_eq!(send.metadata.unwrap().get().len(), 16_008);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        outcome(&dialect, &long(17_000)),
        "refused sendMessage: too_large: data: at most 16384 bytes"
    );
    match decoded(
        &dialect,
        r#"["sendMessage",{"data":{"text":"t","chatId":"c"}}]"#,
    ) {
        Command::Send(send) => assert!(send.metadata.is_none()),
        other => panic!("{other:?}"),
    }
    // Sent in another dialect.
    let foreign = dialect.encode(&created(message(1, "hi")), Hearer::Other);
    assert_eq!(
        foreign,
        [
            r#"["getMessage",{"text":"hi","senderId":"ann","chatId":"conv-1","messageId":"m-1","timestamp":"2026-01-02T03:04:05.678Z","type":"text","metadata":{"read":false,"delivered":true}}]"#
        ]
    );
    assert_eq!(
        outcome(
            &dialect,
            r#"["sendMessage",{"data":{"text":"hi","senderId":"ann","userId":"bob","chatId":"c"}}]"#
        ),
        "refused sendMessage: forbidden: the payload names two users"
    );
}

#[test]
fn a_folder_adds_and_replaces() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("threads.toml", THREADS);
    write("standard.toml", DIRECT);
    write("notes.txt", "not a dialect");
    let set = load(dir.path());
    let mut names: Vec<_> = built_in().names().filter(|n| *n != "threads").collect();
    names.push("threads");
    let mut found: Vec<_> = set.names().collect();
    found.sort_by_key(|name| names.iter().position(|n| n == name));
    assert_eq!(found, names);
    for (place, dialect) in set.iter().enumerate() {
        assert_eq!(dialect.index(), place);
        assert_eq!(set.get(dialect.name()).unwrap().index(), place);
    }
    let replaced = set.get("standard").unwrap();
    assert!(replaced.decode(r#"["conversation:join","c"]"#).is_err());
    assert!(standard().decode(r#"["conversation:join","c"]"#).is_ok());
    assert!(set.get("nobody").is_none());

    assert!(check_file(&dir.path().join("threads.toml")).is_ok());
    write("broken.toml", "[ack]\nok = true\n");
    write("Wrong Name.toml", THREADS);
    let errors = Dialects::load(Some(dir.path())).err().unwrap();
    let shown: Vec<_> = errors.iter().map(|e| e.message.as_str()).collect();
    assert_eq!(
        shown,
        [
            "a dialect's file is named by 1 to 32 characters from a-z 0-9 - _",
            "needs `ack_error`, such as `ack_error = { ok = false, error = \"error.message\" }`"
        ]
    );
    assert!(check_file(&dir.path().join("absent.toml")).is_err());
    assert!(Dialects::load(Some(&dir.path().join("absent"))).is_err());
}

/// Who names how participants are has it asked for, and shows what was told.
#[test]
fn participants_tell_how_they_are() {
    let text = |member: &str| {
        format!(
            "[ack]\n[ack_error]\n[shape.person]\nof = \"participant\"\n\
             payload = {{ {member} }}\n[in.a]\ncommand = \"join\"\nargs = {{ conversation = \"$0\" }}\n\
             ack = {{ people = \"conversation.participants | shape person\" }}\n"
        )
    };
    let plain = custom("plain", &text("role = \"participant.role\""));
    assert!(!plain.shows_presence());
    let dialect = custom(
        "present",
        &text("online = \"participant.online\", status = \"participant.status\""),
    );
    assert!(dialect.shows_presence());
    let mut joined = joined();
    joined.conversation.participants[1].presence = Some(PresenceInfo {
        user: UserId::new("bob").unwrap(),
        online: true,
        status: Status::Away,
        last_seen: None,
    });
    let rule = dialect.decode(r#"["a","conv-1"]"#).unwrap().rule;
    assert_eq!(
        dialect.ack(rule, &Reply::Joined(Box::new(joined))),
        r#"[{"people":[{},{"online":true,"status":"away"}]}]"#
    );
    assert!(dialect.types().contains("online?: boolean"));
}
