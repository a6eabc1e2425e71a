//! The bus: one suite for every way in which Redis is run, the wire format, and what an outage does.

mod others;
mod outages;
mod suite;
mod wire;

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use porchlight::{
    bus::RedisBus,
    chat::{
        Attachment, Bus, Conversation, ConversationId, DeviceId, Dimensions, Envelope, Event,
        Local, Message, MessageId, Millis, NEVER, Order, Participant, PresenceChange, PresenceInfo,
        Profile, Receipt, Role, Status, Subject, TokenKey, Topic, UploadId, UserId,
    },
    redis::Redis,
};
use serde_json::value::RawValue;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::redis::setup::Setup;

const PATIENCE: Duration = Duration::from_secs(20);

/// What a node's sockets were to hear.
#[derive(Default)]
pub struct Heard {
    events: Mutex<Vec<(Topic, Envelope)>>,
    missed: Mutex<u32>,
}

impl Local for Heard {
    fn deliver(&self, envelope: &Envelope, via: Option<&Topic>) {
        let via = via.expect("it came over the bus").clone();
        self.events.lock().push((via, envelope.clone()));
    }

    fn comes_again(&self, _: &MessageId) {}

    fn obey(&self, _: &[Order]) {}

    fn missed(&self) {
        *self.missed.lock() += 1;
    }
}

impl Heard {
    pub fn missed_times(&self) -> u32 {
        *self.missed.lock()
    }

    /// What came so far, as topics and texts.
    pub fn texts(&self) -> Vec<String> {
        let events = self.events.lock();
        events.iter().map(|(t, e)| text(t, e)).collect()
    }
}

/// An event as a test compares it.
pub fn text(topic: &Topic, envelope: &Envelope) -> String {
    format!("{topic:?} {envelope:?}")
}

/// A node with nothing but a bus. It ends when dropped.
pub struct Member {
    pub bus: Arc<RedisBus>,
    pub heard: Arc<Heard>,
    pub redis: Arc<Redis>,
    _end: DropGuard,
}

impl Member {
    /// Joins; not connected yet.
    pub fn new(setup: &Setup) -> Self {
        let redis = Arc::new(Redis::new(&setup.config()).expect("settings that work"));
        let bus = Arc::new(RedisBus::new(redis.clone()));
        let heard = Arc::new(Heard::default());
        let stop = CancellationToken::new();
        let (b, r, h, s) = (bus.clone(), redis.clone(), heard.clone(), stop.clone());
        tokio::spawn(async move { tokio::join!(b.run(h, s.clone()), r.keep(s.clone())) });
        Self {
            bus,
            heard,
            redis,
            _end: stop.drop_guard(),
        }
    }

    /// Joins, and waits until it is connected and has said that it may have missed something.
    pub async fn connected(setup: &Setup) -> Self {
        let member = Self::new(setup);
        member.whole_again(0).await;
        member
    }

    /// Waits until everything is subscribed for the time after so many.
    pub async fn whole_again(&self, times: u32) {
        until(|| async { self.heard.missed_times() > times && self.bus.is_up() }).await;
    }

    pub async fn publish(&self, event: Event) {
        let publishing = self.bus.publish(&from(event));
        publishing.await.expect("it is published");
    }

    /// Waits until exactly these came, in this order.
    pub async fn hears(&self, expected: &[(Topic, Event)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(topic, event)| text(topic, &from(event.clone())))
            .collect();
        until(|| async { self.heard.texts().len() >= expected.len() }).await;
        assert_eq!(self.heard.texts(), expected);
    }
}

fn from(event: Event) -> Envelope {
    Envelope {
        origin: Some(DeviceId::trusted("a-device")),
        event,
    }
}

/// Waits for a condition.
pub async fn until<F: Future<Output = bool>>(mut what: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !what().await {
        assert!(Instant::now() < deadline, "it never came about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn room(name: &str) -> ConversationId {
    ConversationId::trusted(name)
}

pub fn user(name: &str) -> UserId {
    UserId::trusted(name)
}

pub fn profile(name: &str) -> Profile {
    Profile {
        id: user(name),
        name: format!("{name} Ünlü 🏮").into(),
        email: Some(format!("{name}@example.org").into()),
        avatar: None,
    }
}

pub fn message(conversation: &str, seq: u64) -> Arc<Message> {
    let json = r#"{"reply_to":[1,2.5,null],"😀":true}"#.to_owned();
    let raw: Arc<RawValue> = RawValue::from_string(json).expect("JSON").into();
    Arc::new(Message {
        id: MessageId::trusted(format!("m-{seq}")),
        conversation: room(conversation),
        seq,
        sender: profile("ann"),
        client_id: Some("key-1".into()),
        kind: "text".into(),
        content: "so \"it\" goes\u{0}\n".into(),
        attachments: Arc::new([Attachment::new(
            UploadId::trusted("up-1"),
            "cat.png".into(),
            "image/png".into(),
            123_456,
            Some(Dimensions {
                width: 640,
                height: 480,
            }),
            true,
        )]),
        metadata: Some(raw),
        created_at: Millis(1_700_000_000_123),
    })
}

pub fn created(conversation: &str, seq: u64) -> Event {
    Event::MessageCreated {
        message: message(conversation, seq),
        participants: Arc::default(),
    }
}

pub fn receipt() -> Arc<Receipt> {
    Arc::new(Receipt {
        conversation: room("r"),
        message: MessageId::trusted("m-1"),
        seq: 1,
        sender: user("ann"),
        by: profile("bob"),
        at: Millis(-5),
    })
}

pub fn conversation(users: &[&str]) -> Arc<Conversation> {
    let participant = |name: &&str| Participant {
        presence: None,
        profile: profile(name),
        role: Role::Admin,
        joined_at: Millis(1),
        read_seq: 3,
        read_at: Some(Millis(2)),
        delivered_seq: u64::MAX,
        last_seen: None,
    };
    Arc::new(Conversation {
        id: room("r"),
        title: Some("Team".into()),
        is_group: true,
        last_seq: 9,
        created_at: Millis(1),
        updated_at: Millis(2),
        participants: users.iter().map(participant).collect(),
    })
}

/// One of each, for these users, as the publisher has them.
pub fn every_event(users: &[&str]) -> Vec<Event> {
    let ids: Arc<[UserId]> = users.iter().map(|u| user(u)).collect();
    let args = RawValue::from_string(r#"[1,{"a":"b"}]"#.to_owned()).expect("JSON");
    let first = ids[0].clone();
    vec![
        Event::MessageCreated {
            message: message("r", 1),
            participants: ids.clone(),
        },
        Event::MessageDelivered(receipt()),
        Event::MessageRead(receipt()),
        Event::Typing {
            conversation: room("r"),
            user: profile("ann"),
            on: true,
        },
        Event::Presence {
            info: PresenceInfo {
                user: user("ann"),
                online: false,
                status: Status::Busy,
                last_seen: Some(Millis(7)),
            },
            change: PresenceChange::Offline,
            at: Millis(8),
            audience: ids.clone(),
        },
        Event::OnlineChanged,
        Event::ConversationUpdated {
            conversation: conversation(users),
            last_message: Some(message("r", 1)),
        },
        Event::ConversationDeleted {
            conversation: room("r"),
            audience: ids,
        },
        Event::ParticipantRemoved {
            conversation: room("r"),
            user: first.clone(),
        },
        Event::Orders(
            [
                Subject::Tokens(first.clone()),
                Subject::Device(first.clone(), DeviceId::trusted("d")),
                Subject::Token(TokenKey::new([9; 16])),
            ]
            .map(|subject| Order {
                version: 7,
                subject,
                issued_before: Millis(-8),
                ends_at: NEVER,
            })
            .into(),
        ),
        Event::Emit {
            user: first,
            name: "hello".into(),
            args: args.into(),
        },
    ]
}

/// The event as it arrives: without the lists of those whom it is for.
pub fn arrived(event: &Event) -> Event {
    let none: Arc<[UserId]> = Arc::default();
    let mut event = event.clone();
    match &mut event {
        Event::MessageCreated { participants, .. } => *participants = none,
        Event::Presence { audience, .. } | Event::ConversationDeleted { audience, .. } => {
            *audience = none;
        }
        _ => {}
    }
    event
}
