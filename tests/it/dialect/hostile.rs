//! Whatever arrives: no panic, and what is accepted is well-formed.

use std::sync::{Arc, LazyLock};

use porchlight::{
    chat::{Command, ErrorCode, Hearer, ReceiptTarget, Recipient, is_valid_id},
    dialect::{Dialect, Refused},
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{built_in, check_array, created, custom, message, standard};

/// Names that are no events, but something in other languages.
const NO_EVENTS: [&str; 5] = ["nothing", "__proto__", "constructor", "toString", ""];
/// Names of members that make it past the first check, and some that do not.
const MEMBERS: [&str; 30] = [
    "conversationId",
    "content",
    "type",
    "messageType",
    "clientId",
    "tempId",
    "metadata",
    "attachments",
    "messageId",
    "messageIds",
    "threadId",
    "threadMessageId",
    "after",
    "conversations",
    "token",
    "userId",
    "senderId",
    "receiverId",
    "data",
    "text",
    "chatId",
    "message",
    "isTyping",
    "status",
    "c",
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
];

static DIALECTS: LazyLock<Vec<Arc<Dialect>>> = LazyLock::new(|| {
    let mut dialects: Vec<_> = built_in().iter().cloned().collect();
    for (name, text) in [
        ("odd", include_str!("fixtures/odd.toml")),
        ("threads", include_str!("fixtures/threads.toml")),
        ("direct", include_str!("fixtures/direct.toml")),
    ] {
        if dialects.iter().all(|d| d.name() != name) {
            dialects.push(custom(name, text));
        }
    }
    dialects
});

/// The names of every dialect's events.
static EVENTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let dialects = DIALECTS.iter().flat_map(|d| d.events().map(str::to_owned));
    dialects.chain(NO_EVENTS.map(str::to_owned)).collect()
});

/// Stands for half of a surrogate pair, which no Rust text can hold.
const HALF: char = '\u{e000}';

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        "[a-z]{0,3}\u{e000}[a-z]{0,3}".prop_map(Value::from),
        "[a-zA-Z0-9._:-]{1,70}".prop_map(Value::from),
        prop::sample::select(vec!["online", "busy", "", "c", "m-1"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((member(), inner), 0..6)
                .prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

fn member() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => prop::sample::select(MEMBERS.to_vec()).prop_map(str::to_owned),
        1 => ".*",
    ]
}

fn packet() -> impl Strategy<Value = String> {
    let name = prop::sample::select(EVENTS.clone());
    (name, prop::collection::vec(value(), 0..9)).prop_map(|(name, args)| {
        let mut packet = vec![json!(name)];
        packet.extend(args);
        let text = Value::from(packet).to_string();
        text.replace(HALF, "\\ud800")
    })
}

/// A refusal is coded, short, and can be told in the dialect's own words.
fn check_refusal(dialect: &Dialect, refused: &Refused) {
    let error = &refused.error;
    let codes = [
        ErrorCode::Invalid,
        ErrorCode::TooLarge,
        ErrorCode::Forbidden,
    ];
    assert!(codes.contains(&error.code), "{error}");
    assert!(error.message.len() < 500, "{error}");
    check_array(&dialect.ack_error(refused.rule, error));
    if let Some(event) = dialect.error(refused.rule, error) {
        check_array(&event);
    }
}

fn check(dialect: &Dialect, packet: &str) {
    let inbound = match dialect.decode(packet) {
        Ok(inbound) => inbound,
        Err(refused) => return check_refusal(dialect, &refused),
    };
    assert!(!dialect.event_name(inbound.rule).is_empty());
    if let Some(user) = &inbound.claimed {
        assert!(is_valid_id(user.as_str()));
    }
    let receipt = |target: &ReceiptTarget| {
        assert!(target.conversation.is_some() || !target.messages.is_empty());
        assert!(target.messages.iter().all(|m| is_valid_id(m.as_str())));
        target.conversation.clone()
    };
    let conversation = match &inbound.command {
        Command::Join { conversation, .. }
        | Command::Leave { conversation }
        | Command::Typing { conversation, .. } => Some(conversation.clone()),
        Command::Send(send) => {
            // Nothing is made up: half a surrogate pair would have become something else.
            assert!(send.content.len() <= packet.len());
            assert!(!send.content.contains('\u{fffd}') || packet.contains('\u{fffd}'));
            if let Some(key) = &send.client_id {
                assert!((1..=128).contains(&key.chars().count()));
                assert!(!key.chars().any(char::is_control));
            }
            if let Some(metadata) = &send.metadata {
                assert!(metadata.get().len() <= 16 * 1024);
                let parsed: Value = serde_json::from_str(metadata.get()).unwrap();
                assert!(parsed.is_object());
            }
            assert!(send.attachments.iter().all(|id| is_valid_id(id.as_str())));
            match &send.to {
                Recipient::Conversation(conversation) => Some(conversation.clone()),
                Recipient::User { user, conversation } => {
                    assert!(is_valid_id(user.as_str()));
                    conversation.clone()
                }
            }
        }
        Command::Read(target) | Command::Delivered(target) => receipt(target),
        Command::Sync { conversations } => {
            assert!(conversations.keys().all(|c| is_valid_id(c.as_str())));
            None
        }
        Command::Search(search) => search.conversation.clone(),
        Command::Introduce { user } => {
            assert!(user.as_ref().is_none_or(|u| is_valid_id(u.as_str())));
            None
        }
        Command::SetStatus(_)
        | Command::Authenticate { .. }
        | Command::Withdraw
        | Command::Heartbeat => None,
    };
    if let Some(conversation) = conversation {
        assert!(is_valid_id(conversation.as_str()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_event_of_any_shape(packets in prop::collection::vec(packet(), 8)) {
        for dialect in DIALECTS.iter() {
            for packet in &packets {
                check(dialect, packet);
            }
        }
    }

    #[test]
    fn any_text(text in ".*", cut in 0usize..200, whole in packet()) {
        let dialect = standard();
        check(&dialect, &text);
        let end = whole.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(whole.len());
        check(&dialect, &whole[..end]);
        check(&dialect, &format!("{}{text}", &whole[..end]));
    }

    #[test]
    fn any_text_is_told(chars in prop::collection::vec(any::<char>(), 0..200), name in ".*", key in prop::option::of(".*")) {
        let content = String::from_iter(chars);
        let mut message = message(1, &content);
        message.sender.name = name.as_str().into();
        message.client_id = key.as_deref().map(Into::into);
        let event = created(message);
        let told = |hearer| -> Value {
            serde_json::from_str(&standard().encode(&event, hearer)[0]).unwrap()
        };
        let new = &told(Hearer::Other)[1];
        prop_assert_eq!(&new["content"], &json!(content));
        prop_assert_eq!(&new["senderName"], &json!(name));
        prop_assert_eq!(new.get("clientId").cloned(), key.map(Value::from));
        let notification = &told(Hearer::Absent)[1];
        let excerpt: String = match content.chars().count() {
            0..=140 => content,
            _ => content.chars().take(139).chain(['…']).collect(),
        };
        prop_assert_eq!(&notification["message"], &json!(excerpt));
    }

    #[test]
    fn a_send_arrives_as_it_was_sent(
        content in ".*",
        kind in prop::option::of(".*"),
        key in prop::option::of("[^\\p{Cc}]{1,128}"),
        metadata in prop::option::of(prop::collection::vec((member(), value()), 0..4)),
        id in "[a-zA-Z0-9._:|@+-]{1,128}",
    ) {
        let metadata = metadata.map(|m| Value::Object(Map::from_iter(m)));
        let packet = json!(["message:send", {
            "conversationId": id, "content": content, "type": kind, "clientId": key,
            "metadata": metadata,
        }]).to_string();
        let Ok(inbound) = standard().decode(&packet) else {
            panic!("{packet}");
        };
        let Command::Send(send) = inbound.command else { panic!("not a send") };
        let to = match send.to {
            Recipient::Conversation(conversation) => Some(conversation),
            Recipient::User { .. } => None,
        };
        prop_assert_eq!(to.as_ref().map(|to| to.as_str()), Some(id.as_str()));
        prop_assert_eq!(&*send.content, content);
        prop_assert_eq!(send.kind.as_deref(), kind.as_deref());
        prop_assert_eq!(send.client_id.as_deref(), key.as_deref());
        let kept = send.metadata.map(|m| m.get().to_owned());
        prop_assert_eq!(kept, metadata.map(|m| m.to_string()));
    }
}

/// Nesting that would overflow a stack is skipped or refused, wherever it is.
#[test]
fn nesting_without_end() {
    let dialect = standard();
    for depth in [100, 200, 100_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let deep = format!("{open}{close}");
        let accepted = [
            format!(r#"["conversation:join","c",{deep}]"#),
            format!(r#"["conversation:join",{{"conversationId":"c","x":{deep}}}]"#),
        ];
        for packet in accepted {
            assert!(dialect.decode(&packet).is_ok(), "{depth}");
        }
        let refused = [
            format!(r#"["conversation:join",{deep}]"#),
            format!(r#"["message:read",{{"messageIds":{deep}}}]"#),
            format!(r#"["conversation:sync",{{"conversations":{{"c":{deep}}}}}]"#),
            format!(r#"["message:send",{{"conversationId":"c","content":{deep}}}]"#),
            format!(
                r#"["message:send",{{"conversationId":"c","content":"x","metadata":{{"a":{deep}}}}}]"#
            ),
            format!(r#"[{deep}]"#),
            deep.clone(),
            open,
        ];
        for packet in refused {
            assert!(dialect.decode(&packet).is_err(), "{depth}");
        }
    }
}

/// Every event of every dialect with arguments that are too deep, too long or too many.
#[test]
fn without_end_in_every_dialect() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let objects = format!("{}1{}", r#"{"data":"#.repeat(50_000), "}".repeat(50_000));
    let long = format!("\"{}\"", "x".repeat(1_000_000));
    let many = format!("[{}]", vec!["\"m\""; 100_000].join(","));
    let wide: Vec<_> = (0..50_000).map(|n| format!("\"k{n}\":{n}")).collect();
    let wide = format!("{{{}}}", wide.join(","));
    let hostile = [deep, objects, long, many, wide];
    for dialect in DIALECTS.iter() {
        for event in dialect.events() {
            let event = json!(event);
            for value in &hostile {
                check(dialect, &format!("[{event},{value}]"));
                check(dialect, &format!(r#"[{event},"c",{value}]"#));
                check(
                    dialect,
                    &format!("[{event}{}]", format!(",{value}").repeat(3)),
                );
                for member in MEMBERS {
                    check(dialect, &format!(r#"[{event},{{"{member}":{value}}}]"#));
                }
            }
            let excess = r#","c""#.repeat(100_000);
            check(dialect, &format!("[{event}{excess}]"));
        }
    }
}

/// What JavaScript would take for an object's own inheritance is a name like any other.
#[test]
fn prototypes_are_names() {
    for dialect in DIALECTS.iter() {
        for name in ["__proto__", "constructor", "toString", "hasOwnProperty"] {
            let refused = dialect.decode(&format!(r#"["{name}",{{}}]"#)).unwrap_err();
            assert!(refused.unknown_event, "{name}");
        }
    }
    let packet = r#"["message:send",{"__proto__":{"content":"y","conversationId":"z"},"constructor":{"prototype":{}},"conversationId":"c","content":"x"}]"#;
    let Command::Send(send) = standard().decode(packet).unwrap().command else {
        panic!("not a send")
    };
    assert!(matches!(&send.to, Recipient::Conversation(c) if c.as_str() == "c"));
    assert_eq!(&*send.content, "x");
    let inherited = r#"["message:send",{"__proto__":{"content":"y","conversationId":"z"}}]"#;
    assert!(standard().decode(inherited).is_err());
}
