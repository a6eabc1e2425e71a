//! The shipped dialects side by side: every event that each encodes, in every role; every event
//! that each decodes, in every shape that was seen, with its ack and its answers; and what it says
//! of a refusal.

use std::{sync::Arc, time::Duration};

use porchlight::{
    chat::{
        ChatError, Command, Conversation, Event, Message, Millis, PresenceChange, Reply, Status,
        Synced, UserId,
    },
    dialect::{Dialect, Hello, Inbound},
};

use super::{
    NOW, check_array, conversation, conversation_id, created, found, heard, joined, json, message,
    outcome, presence, profile, receipt, sent, shipped, typing, with_files,
};

/// By dialect, what its clients say: as documented, then as seen.
const SAID: [(&str, &[&str]); 3] = [
    (
        "standard",
        &[
            r#"["message:send",{"conversationId":"c","content":"Hello","type":"text"}]"#,
            r#"["message:search",{"query":"tea","conversationId":"c","limit":5}]"#,
            r#"["message:read",{"messageId":"m-1"}]"#,
            r#"["message:delivered",{"messageId":"m-1","conversationId":"c"}]"#,
            r#"["typing:start",{"conversationId":"c"}]"#,
            r#"["typing:stop",{"conversationId":"c"}]"#,
            r#"["conversation:join","c"]"#,
            r#"["conversation:leave",{"conversationId":"c"}]"#,
            r#"["conversation:sync",{"conversations":{"c":3}}]"#,
            r#"["user:status","away"]"#,
            r#"["authenticate",{"token":"t"}]"#,
        ],
    ),
    (
        "platform",
        &[
            r#"["conversation:join","c"]"#,
            r#"["conversation:join",{"conversationId":"c"}]"#,
            r#"["conversation:join",{"conversationId":"c","after":7}]"#,
            r#"["conversation:leave","c"]"#,
            r#"["conversation:leave",{"conversationId":"c"}]"#,
            r#"["message:send",{"conversationId":"c","content":"Hello"}]"#,
            r#"["message:send",{"conversationId":"c","content":"Hello","tempId":"k","senderId":"ann","metadata":{"a":1}}]"#,
            r#"["typing:start","c"]"#,
            r#"["typing:start",{"conversationId":"c"}]"#,
            r#"["typing:stop","c"]"#,
            r#"["typing:stop",{"conversationId":"c","userId":"ann"}]"#,
            r#"["message:read",{"conversationId":"c","messageId":"m-1"}]"#,
            r#"["message:read",{"messageId":"m-1"}]"#,
            r#"["message:read",{"conversationId":"c"}]"#,
            r#"["message:read","m-1"]"#,
            r#"["message:send",{"conversationId":"c","content":"","attachments":["u-1"]}]"#,
            r#"["message:send",{"conversationId":"c","content":"x","attachments":["a b"]}]"#,
            r#"["message:search","tea"]"#,
            r#"["message:send",{"conversationId":"c"}]"#,
            r#"["message:send",{"conversationId":"c","content":"x","senderId":["ann"]}]"#,
            r#"["message:send","c","Hello"]"#,
            r#"["conversation:join"]"#,
            r#"["message:read",{}]"#,
        ],
    ),
    (
        "inkspot",
        &[
            r#"["join-conversation","c"]"#,
            r#"["join-conversation",{"conversationId":"c"}]"#,
            r#"["join-conversation",{"conversationId":"c","userId":"ann"}]"#,
            r#"["leave-conversation","c"]"#,
            r#"["leave-conversation",{"conversationId":"c","userId":"ann"}]"#,
            r#"["send-message",{"content":"Hello","messageType":"text","conversationId":"c","senderId":"ann"}]"#,
            r#"["send-message",{"content":"Hello","messageType":"image","conversationId":"c","tempId":"k"}]"#,
            r#"["typing-start",{"conversationId":"c","userId":"ann","isTyping":true,"userName":"Ann"}]"#,
            r#"["typing-stop",{"conversationId":"c","userId":"ann","isTyping":false,"userName":"Ann"}]"#,
            r#"["typing-stop","c"]"#,
            r#"["mark-message-read",{"messageId":"m-1","conversationId":"c"}]"#,
            r#"["mark-message-read",{"messageId":"m-1"}]"#,
            r#"["mark-message-read","m-1"]"#,
            r#"["mark-message-read","m-1","c"]"#,
            r#"["send-message",{"content":"","messageType":"image","conversationId":"c","attachments":["/api/uploads/u-1"]}]"#,
            r#"["search-messages",{"query":"tea","conversationId":"c"}]"#,
            r#"["send-message",{"messageType":"text","conversationId":"c","senderId":"ann"}]"#,
            r#"["send-message",{"content":{"text":"x"},"conversationId":"c","senderId":"ann"}]"#,
            r#"["send-message"]"#,
            r#"["mark-message-read",{}]"#,
            r#"["mark-message-read","m 1","c"]"#,
            r#"["typing-start",{"userId":"ann"}]"#,
        ],
    ),
];

/// Everything that happens, and what it is called in the snapshots.
fn events() -> Vec<(&'static str, Event)> {
    let presence = |status, change, last_seen: Option<Millis>| {
        let mut event = presence(status, change);
        if let Event::Presence { info, .. } = &mut event {
            info.last_seen = last_seen;
        }
        event
    };
    let updated = |conversation, last_message| Event::ConversationUpdated {
        conversation: Arc::new(conversation),
        last_message,
    };
    let everything = Message {
        client_id: Some("key".into()),
        metadata: Some(json(r#"{"a": 1}"#)),
        kind: "image".into(),
        ..message(2, &"é".repeat(141))
    };
    let bare = Conversation {
        title: None,
        is_group: false,
        participants: Vec::new(),
        ..conversation()
    };
    let bob = || UserId::new("bob").unwrap();
    vec![
        (
            "message",
            created(message(1, "Hi \"you\"\\ \n\t\u{1}\u{7f}é😀")),
        ),
        ("message with everything", created(everything)),
        ("message with files", created(with_files(message(3, "")))),
        ("delivered", Event::MessageDelivered(receipt())),
        ("read", Event::MessageRead(receipt())),
        ("typing", typing(true)),
        ("typing no more", typing(false)),
        (
            "online",
            presence(Status::Online, PresenceChange::Online, None),
        ),
        (
            "offline",
            presence(Status::Offline, PresenceChange::Offline, Some(NOW)),
        ),
        ("busy", presence(Status::Busy, PresenceChange::Status, None)),
        (
            "invisible",
            presence(Status::Offline, PresenceChange::Status, None),
        ),
        (
            "updated",
            updated(conversation(), Some(Arc::new(message(3, "three")))),
        ),
        ("updated, empty and direct", updated(bare, None)),
        (
            "deleted",
            Event::ConversationDeleted {
                conversation: conversation_id(),
                audience: Arc::from([]),
            },
        ),
        (
            "removed",
            Event::ParticipantRemoved {
                conversation: conversation_id(),
                user: bob(),
            },
        ),
        ("orders", Event::Orders(Arc::from([]))),
    ]
}

/// What such a command is answered with when it succeeds.
fn reply(command: &Command) -> Reply {
    match command {
        Command::Join { .. } => Reply::Joined(Box::new(joined())),
        Command::Send(_) => sent(Message {
            client_id: Some("key".into()),
            ..message(4, "four")
        }),
        Command::Sync { .. } => Reply::Synced(Synced {
            conversations: vec![joined()],
            gone: vec![conversation_id()],
        }),
        Command::Authenticate { .. } => Reply::Authenticated {
            expires_at: Some(NOW),
        },
        Command::Search(_) => found(Some("m-1~20")),
        _ => Reply::Done,
    }
}

/// An event with what it comes to: the command, or the refusal as an ack and as an event.
fn exchange(dialect: &Dialect, packet: &str) -> String {
    let mut lines = vec![packet.to_owned(), outcome(dialect, packet)];
    let mut told = Vec::new();
    match dialect.decode(packet) {
        Ok(Inbound { rule, command, .. }) => {
            let reply = reply(&command);
            told.extend(
                dialect
                    .answer(rule, &reply)
                    .into_iter()
                    .map(|a| ("answer", a)),
            );
            told.push(("ack", dialect.ack(rule, &reply)));
        }
        Err(refused) => {
            told.push(("ack", dialect.ack_error(refused.rule, &refused.error)));
            let event = dialect.error(refused.rule, &refused.error);
            told.push(("or event", event.expect("every dialect tells of errors")));
        }
    }
    for (what, text) in told {
        check_array(&text);
        lines.push(format!("{what} {text}"));
    }
    lines.join("\n    ") + "\n"
}

#[test]
fn every_event_in_every_role() {
    for (name, _) in SAID {
        let dialect = shipped(name);
        let shown: String = events()
            .iter()
            .map(|(what, event)| format!("-- {what}\n{}", heard(&dialect, event)))
            .collect();
        insta::assert_snapshot!(format!("{name}_hears"), shown);
    }
}

#[test]
fn every_exchange() {
    for (name, said) in SAID {
        let dialect = shipped(name);
        let greeting = dialect.greet(&Hello {
            profile: &profile("ann", "Ann"),
            device: "sid",
            now: NOW,
        });
        let mut shown = format!("greeting {}\n", greeting.join(" "));
        shown.extend(said.iter().map(|packet| exchange(&dialect, packet)));
        insta::assert_snapshot!(format!("{name}_says"), shown);
    }
}

/// Whatever is wrong, and whether or not it is known which event it was.
#[test]
fn every_refusal() {
    for (name, said) in SAID {
        let dialect = shipped(name);
        let mut internal = ChatError::internal(std::io::Error::other("secret"));
        internal.id = Some("log-1".into());
        let errors = [
            ChatError::invalid("content: must be text"),
            ChatError::rate_limited(Duration::from_micros(1500)),
            internal,
        ];
        let rules = said
            .iter()
            .filter_map(|packet| Some(dialect.decode(packet).ok()?.rule));
        for rule in rules.map(Some).chain([None]) {
            for error in &errors {
                let ack = dialect.ack_error(rule, error);
                let event = dialect
                    .error(rule, error)
                    .expect("every dialect tells of errors");
                for told in [&ack, &event] {
                    check_array(told);
                    assert!(told.contains(error.code.as_str()), "{name}: {told}");
                    assert!(told.contains(&*error.message), "{name}: {told}");
                    assert!(!told.contains("secret"), "{name}: {told}");
                }
            }
        }
    }
}

#[test]
fn tables_and_types() {
    for (name, _) in SAID {
        insta::assert_snapshot!(format!("{name}_table"), shipped(name).describe());
        insta::assert_snapshot!(format!("{name}_types"), shipped(name).types());
    }
}

/// What the samples do not decode is not tested.
#[test]
fn the_samples_are_complete() {
    for (name, said) in SAID {
        let dialect = shipped(name);
        for event in dialect.events() {
            let accepted = said
                .iter()
                .filter_map(|packet| dialect.decode(packet).ok())
                .any(|inbound| dialect.event_name(inbound.rule) == event);
            assert!(accepted, "{name}: no sample of {event}");
        }
    }
}
