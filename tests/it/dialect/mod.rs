//! Dialects: the shipped vocabularies in both directions and as types, what a file can say, and what
//! it is told when it is wrong. How fast it all is: `porchlight-bench dialect`.

mod bad_files;
mod custom;
mod direct;
mod guide;
mod hostile;
mod shipped;
mod standard_in;
mod standard_out;
mod threads;
mod typescript;

use std::{
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};

use porchlight::{
    chat::{
        Attachment, ChatError, Command, Conversation, ConversationId, Dimensions, Event, Hearer,
        Hit, Joined, Message, MessageId, Millis, Participant, PresenceChange, PresenceInfo,
        Profile, Receipt, Reply, Role, SearchPage, Sent, Span, Status, UploadId, UserId,
    },
    dialect::{Dialect, Dialects, Inbound, Refused},
};
use serde_json::value::RawValue;

/// 2026-01-02T03:04:05.678Z
const NOW: Millis = Millis(1_767_323_045_678);

/// The dialects that are shipped.
fn built_in() -> &'static Dialects {
    static BUILT_IN: LazyLock<Dialects> = LazyLock::new(|| Dialects::load(None).unwrap());
    &BUILT_IN
}

fn shipped(name: &str) -> Arc<Dialect> {
    built_in().get(name).unwrap()
}

fn standard() -> Arc<Dialect> {
    shipped("standard")
}

/// A dialect of this text, in a folder of its own.
fn custom(name: &str, text: &str) -> Arc<Dialect> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(format!("{name}.toml")), text).unwrap();
    load(dir.path()).get(name).unwrap()
}

fn load(dir: &Path) -> Dialects {
    Dialects::load(Some(dir)).unwrap_or_else(|errors| {
        panic!(
            "{}",
            errors.iter().map(|e| format!("{e}\n")).collect::<String>()
        )
    })
}

fn profile(id: &str, name: &str) -> Profile {
    Profile {
        id: UserId::new(id).unwrap(),
        name: name.into(),
        email: Some(format!("{id}@example.org").into()),
        avatar: None,
    }
}

fn message(seq: u64, content: &str) -> Message {
    Message {
        id: MessageId::new(&format!("m-{seq}")).unwrap(),
        conversation: conversation_id(),
        seq,
        sender: profile("ann", "Ann \"A\" Lee"),
        client_id: None,
        kind: "text".into(),
        content: content.into(),
        attachments: Arc::from([]),
        metadata: None,
        created_at: NOW,
    }
}

/// The message with a picture and a text.
fn with_files(message: Message) -> Message {
    let (id, text) = (UploadId::trusted("u-1"), "notes \"1\".txt".into());
    let sides = Dimensions {
        width: 640,
        height: 480,
    };
    let picture = Attachment::new(
        UploadId::trusted("u-2"),
        "cat.png".into(),
        "image/png".into(),
        71_000,
        Some(sides),
        true,
    );
    let text = Attachment::new(id, text, "text/plain".into(), 12, None, false);
    Message {
        attachments: Arc::from([picture, text]),
        ..message
    }
}

fn json(text: &str) -> Arc<RawValue> {
    Arc::from(RawValue::from_string(text.to_owned()).unwrap())
}

fn conversation_id() -> ConversationId {
    ConversationId::new("conv-1").unwrap()
}

fn created(message: Message) -> Event {
    Event::MessageCreated {
        message: Arc::new(message),
        participants: Arc::from([]),
    }
}

fn conversation() -> Conversation {
    let participant = |id: &str, name: &str, role| Participant {
        profile: profile(id, name),
        role,
        joined_at: NOW,
        read_seq: 2,
        read_at: Some(NOW),
        delivered_seq: 3,
        last_seen: None,
        presence: None,
    };
    Conversation {
        id: conversation_id(),
        title: Some("Flat 4".into()),
        is_group: true,
        last_seq: 3,
        created_at: NOW,
        updated_at: NOW.plus(1),
        participants: vec![
            participant("ann", "Ann", Role::Admin),
            participant("bob", "Bob", Role::Member),
        ],
    }
}

fn joined() -> Joined {
    Joined {
        viewer: UserId::new("ann").unwrap(),
        conversation: conversation(),
        messages: vec![
            Arc::new(message(2, "two")),
            Arc::new(Message {
                client_id: Some("key-3".into()),
                metadata: Some(json(r#"{"a":[1, 2]}"#)),
                ..message(3, "three")
            }),
        ],
        last_seq: 3,
        has_more: true,
    }
}

/// That somebody's presence changed.
fn presence(status: Status, change: PresenceChange) -> Event {
    Event::Presence {
        info: PresenceInfo {
            user: UserId::new("bob").unwrap(),
            online: change != PresenceChange::Offline,
            status,
            last_seen: None,
        },
        change,
        at: NOW,
        audience: Arc::from([]),
    }
}

/// That somebody types or does so no more.
fn typing(on: bool) -> Event {
    Event::Typing {
        conversation: conversation_id(),
        user: profile("bob", "Bob"),
        on,
    }
}

/// A committed send as its sender's connection is answered.
fn sent(message: Message) -> Reply {
    Reply::Sent(Sent {
        message: Arc::new(message),
        duplicate: false,
    })
}

/// The ack to a decoded packet, then the events that answer it; every line is checked.
fn answered(dialect: &Dialect, packet: &str, reply: &Reply) -> String {
    let rule = dialect
        .decode(packet)
        .unwrap_or_else(|e| panic!("{packet}: {}", e.error))
        .rule;
    let mut lines = vec![dialect.ack(rule, reply)];
    lines.extend(dialect.answer(rule, reply));
    lines
        .iter()
        .inspect(|line| check_array(line))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Every error's ack and event.
fn refusals(dialect: &Dialect) -> String {
    let mut internal = ChatError::internal(std::io::Error::other("secret"));
    internal.id = Some("log-1".into());
    let mut shown = String::new();
    for error in [
        ChatError::forbidden("not yours"),
        ChatError::rate_limited(Duration::from_millis(1500)),
        internal,
    ] {
        let mut lines = vec![dialect.ack_error(None, &error)];
        lines.extend(dialect.error(None, &error));
        for line in lines {
            check_array(&line);
            shown.push_str(&format!("{line}\n"));
        }
    }
    shown
}

fn receipt() -> Arc<Receipt> {
    Arc::new(Receipt {
        conversation: conversation_id(),
        message: MessageId::new("m-3").unwrap(),
        seq: 3,
        sender: UserId::new("ann").unwrap(),
        by: profile("bob", "Bob"),
        at: NOW,
    })
}

/// What each role hears, one line each; every line is checked to be a JSON array.
fn heard(dialect: &Dialect, event: &Event) -> String {
    let mut text = String::new();
    for hearer in Hearer::ALL {
        for packet in dialect.encode(event, hearer) {
            check_array(&packet);
            text.push_str(&format!("{hearer:?}: {packet}\n"));
        }
    }
    text
}

fn check_array(text: &str) {
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    assert!(value.is_array(), "{text}");
    assert_eq!(text, text.trim());
}

/// The outcome of decoding, in one line.
fn outcome(dialect: &Dialect, packet: &str) -> String {
    match dialect.decode(packet) {
        Ok(Inbound {
            command, claimed, ..
        }) => {
            let claimed = claimed.map(|u| format!(" claimed by {u}"));
            format!("{command:?}{}", claimed.unwrap_or_default())
        }
        Err(Refused {
            error,
            unknown_event,
            rule,
        }) => {
            let unknown = if unknown_event {
                " (unknown event)"
            } else {
                ""
            };
            let rule = rule.map_or("", |rule| dialect.event_name(rule));
            format!("refused {rule}{unknown}: {error}")
        }
    }
}

/// Packets with their outcomes, for a snapshot.
fn outcomes(dialect: &Dialect, packets: &[&str]) -> String {
    packets
        .iter()
        .map(|packet| format!("{packet}\n    {}\n", outcome(dialect, packet)))
        .collect()
}

fn decoded(dialect: &Dialect, packet: &str) -> Command {
    dialect
        .decode(packet)
        .unwrap_or_else(|e| panic!("{packet}: {}", e.error))
        .command
}

/// What a search by "ann" found: one message, and where the next page begins.
fn found(next: Option<&str>) -> Reply {
    Reply::Found(SearchPage {
        viewer: UserId::new("ann").unwrap(),
        hits: vec![Hit {
            message: Arc::new(message(4, "one \"two\" four")),
            excerpt: "\"two\" four".into(),
            spans: vec![Span { start: 6, end: 10 }],
        }],
        next: next.map(str::to_owned),
    })
}
