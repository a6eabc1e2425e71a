//! Whatever arrives: no panic, and what is accepted is well-formed.

use std::sync::{Arc, LazyLock};

use porchlight::{
    chat::{Command, Hearer, ReceiptTarget, Recipient, is_valid_id},
    dialect::Dialect,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{built_in, created, custom, message, standard};

/// Names of events and members that make it past the first check, and some that do not.
const EVENTS: &[&str] = &[
    "message:send",
    "message:read",
    "message:delivered",
    "typing:start",
    "typing:stop",
    "conversation:join",
    "conversation:leave",
    "conversation:sync",
    "user:status",
    "authenticate",
    "send_message",
    "sendMessage",
    "mark_message_read",
    "join_message_thread",
    "typing_start",
    "update_status",
    "newUser",
    "heartbeat",
    "logout",
    "nothing",
];
const MEMBERS: &[&str] = &[
    "conversationId",
    "content",
    "type",
    "clientId",
    "metadata",
    "messageId",
    "messageIds",
    "after",
    "conversations",
    "token",
    "userId",
    "senderId",
    "data",
    "text",
    "chatId",
    "message",
    "threadId",
    "threadMessageId",
    "messageType",
    "receiverId",
    "status",
    "__proto__",
    "constructor",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
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
    let name = prop::sample::select(EVENTS.to_vec());
    (name, prop::collection::vec(value(), 0..4)).prop_map(|(name, args)| {
        let mut packet = vec![json!(name)];
        packet.extend(args);
        Value::from(packet).to_string()
    })
}

static DIALECTS: LazyLock<[Arc<Dialect>; 5]> = LazyLock::new(|| {
    [
        standard(),
        built_in("threads"),
        built_in("direct"),
        custom("threads", include_str!("fixtures/threads.toml")),
        custom("direct", include_str!("fixtures/direct.toml")),
    ]
});

fn check(dialect: &Dialect, packet: &str) {
    let Ok(inbound) = dialect.decode(packet) else {
        return;
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
        id in "[a-zA-Z0-9._:-]{1,64}",
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
