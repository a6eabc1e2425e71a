//! What clients of the standard dialect hear, in every role, and how they are answered.

use std::{sync::Arc, time::Duration};

use porchlight::{
    chat::{
        ChatError, ConversationId, Event, Hearer, Hit, Message, Millis, PresenceChange,
        PresenceInfo, Reply, SearchPage, Sent, Span, Status, Synced, UserId,
    },
    dialect::Hello,
};

use super::{
    NOW, check_array, conversation, conversation_id, created, heard, joined, json, message,
    profile, receipt, standard, with_files,
};

#[test]
fn every_event_in_every_role() {
    let dialect = standard();
    let presence = |status, change, last_seen: Option<Millis>| Event::Presence {
        info: PresenceInfo {
            user: UserId::new("bob").unwrap(),
            online: status != Status::Offline,
            status,
            last_seen,
        },
        change,
        at: NOW,
        audience: Arc::from([]),
    };
    let typing = |on| Event::Typing {
        conversation: conversation_id(),
        user: profile("bob", "Bob"),
        on,
    };
    let events = [
        (
            "message",
            created(message(1, "Hi \"you\"\\ \n\t\u{1}\u{7f}é😀")),
        ),
        (
            "message with everything",
            created(Message {
                client_id: Some("key".into()),
                metadata: Some(json(r#"{"a": 1}"#)),
                kind: "image".into(),
                ..message(2, &"é".repeat(141))
            }),
        ),
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
            Event::ConversationUpdated {
                conversation: Arc::new(conversation()),
                last_message: Some(Arc::new(message(3, "three"))),
            },
        ),
        (
            "updated, empty and direct",
            Event::ConversationUpdated {
                conversation: Arc::new(porchlight::chat::Conversation {
                    title: None,
                    is_group: false,
                    participants: Vec::new(),
                    ..conversation()
                }),
                last_message: None,
            },
        ),
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
                user: UserId::new("bob").unwrap(),
            },
        ),
        (
            "disconnect",
            Event::Disconnect {
                user: UserId::new("bob").unwrap(),
                device: None,
            },
        ),
    ];
    let shown: String = events
        .iter()
        .map(|(name, event)| format!("-- {name}\n{}", heard(&dialect, event)))
        .collect();
    insta::assert_snapshot!(shown);
}

#[test]
fn acks_and_errors() {
    let dialect = standard();
    let rule = |packet: &str| dialect.decode(packet).unwrap().rule;
    let join = rule(r#"["conversation:join","c"]"#);
    let send = rule(r#"["message:send",{"conversationId":"c","content":"x"}]"#);
    let sync = rule(r#"["conversation:sync",{"conversations":{}}]"#);
    let authenticate = rule(r#"["authenticate",{"token":"t"}]"#);
    let read = rule(r#"["message:read","m"]"#);
    let search = rule(r#"["message:search","four"]"#);
    let found = |next: Option<&str>| {
        Reply::Found(SearchPage {
            viewer: UserId::new("ann").unwrap(),
            hits: vec![Hit {
                message: Arc::new(message(4, "one \"two\" four")),
                excerpt: "\"two\" four".into(),
                spans: vec![Span { start: 6, end: 10 }],
            }],
            next: next.map(str::to_owned),
        })
    };
    let sent = |client_id: Option<&str>| {
        Reply::Sent(Sent {
            message: Arc::new(Message {
                client_id: client_id.map(Into::into),
                ..message(4, "four")
            }),
            duplicate: false,
        })
    };
    let acks = [
        dialect.ack(join, &Reply::Joined(Box::new(joined()))),
        dialect.ack(send, &sent(Some("key"))),
        dialect.ack(send, &sent(None)),
        dialect.ack(
            sync,
            &Reply::Synced(Synced {
                conversations: vec![joined()],
                gone: vec![ConversationId::new("old").unwrap()],
            }),
        ),
        dialect.ack(
            sync,
            &Reply::Synced(Synced {
                conversations: Vec::new(),
                gone: Vec::new(),
            }),
        ),
        dialect.ack(
            authenticate,
            &Reply::Authenticated {
                expires_at: Some(NOW),
            },
        ),
        dialect.ack(authenticate, &Reply::Authenticated { expires_at: None }),
        dialect.ack(read, &Reply::Done),
        dialect.ack(search, &found(Some("m-1~20"))),
        dialect.ack(search, &found(None)),
    ];
    let mut internal = ChatError::internal(std::io::Error::other("secret"));
    internal.id = Some("log-1".into());
    let errors = [
        ChatError::invalid("content: must be text"),
        ChatError::rate_limited(Duration::from_micros(1500)),
        internal,
    ];
    let mut shown = String::new();
    for ack in &acks {
        check_array(ack);
        shown.push_str(&format!("{ack}\n"));
    }
    for error in &errors {
        for rule in [None, Some(send)] {
            let ack = dialect.ack_error(rule, error);
            let event = dialect.error(rule, error).unwrap();
            check_array(&ack);
            check_array(&event);
            shown.push_str(&format!("{ack}\n{event}\n"));
        }
    }
    insta::assert_snapshot!(shown);
    for rule in [join, send, sync, authenticate, read] {
        assert!(dialect.answer(rule, &sent(None)).is_empty());
    }
}

#[test]
fn the_greeting() {
    let ann = profile("ann", "Ann");
    let greeting = standard().greet(&Hello {
        profile: &ann,
        device: "sid-1",
        now: NOW,
    });
    assert_eq!(
        greeting,
        [
            r#"["connected",{"userId":"ann","socketId":"sid-1","serverTime":"2026-01-02T03:04:05.678Z"}]"#
        ]
    );
}

#[test]
fn a_backends_own_events_pass_through() {
    let emit = |args: &str| Event::Emit {
        user: UserId::new("ann").unwrap(),
        name: "order \"paid\"".into(),
        args: json(args),
    };
    let dialect = standard();
    for hearer in Hearer::ALL {
        for (args, packet) in [
            ("[]", r#"["order \"paid\""]"#),
            (" [ ] ", r#"["order \"paid\""]"#),
            (r#"[{"a":[1]},"b"]"#, r#"["order \"paid\"",{"a":[1]},"b"]"#),
        ] {
            assert_eq!(dialect.encode(&emit(args), hearer), [packet]);
        }
    }
}

#[test]
fn the_whole_vocabulary_as_a_table() {
    insta::assert_snapshot!(standard().describe());
}
