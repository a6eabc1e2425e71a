//! What a dialect's table costs beside structs written by hand for the same events: decoding a
//! send, and encoding the message that comes of it.
//!
//! Needs no server. Both sides are checked to come to the same before they are measured, and take
//! turns; the fastest of many runs counts, because whatever else the machine does only adds.

use std::{
    borrow::Cow,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use porchlight::{
    chat::{
        Command, ConversationId, Event, Hearer, Message, MessageId, Millis, Profile, Recipient,
        SendMessage, UserId,
    },
    dialect::{Dialect, Dialects},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::Outcome;

const CONTENT: &str = "Is the flat on Elm Street still to be had? I could come by on Tuesday.";
const METADATA: &str = r#"{"replyTo":"0198c0de-7d5e-7c6b-9f0e-3f6f1f8a2b10","tags":["a","b"]}"#;
const CONVERSATION: &str = "0198c0de-7d5e-7c6b-9f0e-3f6f1f8a2b11";
const KEY: &str = "0198c0de-7d5e-7c6b-9f0e-3f6f1f8a2b12";
const SENDER: &str = "ann";

/// How to measure dialects.
#[derive(Args)]
pub struct Options {
    /// Fail if a table costs more than this many times the struct.
    #[arg(long, default_value_t = 1.5)]
    limit: f64,
    /// Runs of each, of which the fastest counts.
    #[arg(long, default_value_t = 200)]
    runs: u32,
}

/// One event, both ways.
struct Case {
    name: &'static str,
    by_table: Box<dyn Fn()>,
    by_hand: Box<dyn Fn()>,
}

/// Measures and prints every case.
pub fn run(options: &Options) -> Outcome<()> {
    let dialects = Dialects::load(None).map_err(|_| "a shipped dialect has mistakes")?;
    let [standard, platform, inkspot] =
        ["standard", "platform", "inkspot"].map(|name| dialects.get(name));
    let (Some(standard), Some(platform), Some(inkspot)) = (standard, platform, inkspot) else {
        return Err("a dialect is not shipped".into());
    };
    let plain = format!(r#""type":"text","clientId":"{KEY}""#);
    let rich = format!(r#"{plain},"metadata":{METADATA}"#);
    let temp = format!(r#""messageType":"text","tempId":"{KEY}""#);
    let send = "message:send";
    let cases = [
        decoding("standard decode", standard.clone(), read_send, send, &plain)?,
        decoding(
            "standard decode, metadata",
            standard.clone(),
            read_send,
            send,
            &rich,
        )?,
        decoding("platform decode", platform.clone(), read_send, send, &plain)?,
        decoding(
            "platform decode, metadata",
            platform.clone(),
            read_send,
            send,
            &rich,
        )?,
        decoding(
            "inkspot decode",
            inkspot.clone(),
            read_inkspot_send,
            "send-message",
            &temp,
        )?,
        encoding("standard encode", standard.clone(), None, standard_by_hand)?,
        encoding(
            "standard encode, metadata",
            standard,
            Some(METADATA),
            standard_by_hand,
        )?,
        encoding("platform encode", platform.clone(), None, platform_by_hand)?,
        encoding(
            "platform encode, metadata",
            platform,
            Some(METADATA),
            platform_by_hand,
        )?,
        encoding("inkspot encode", inkspot, None, inkspot_by_hand)?,
    ];
    let mut worst: f64 = 0.0;
    println!("{:27} {:>9} {:>9} {:>6}", "", "table", "struct", "ratio");
    for case in &cases {
        let (table, hand) = case.time(options.runs);
        let ratio = table.as_secs_f64() / hand.as_secs_f64();
        println!("{:27} {table:>9.0?} {hand:>9.0?} {ratio:>6.2}", case.name);
        worst = worst.max(ratio);
    }
    println!("worst ratio {worst:.2}");
    match worst <= options.limit {
        true => Ok(()),
        false => Err(format!(
            "a table costs {worst:.2} times the struct, more than {}",
            options.limit
        )
        .into()),
    }
}

impl Case {
    /// The fastest run of each, per call.
    fn time(&self, runs: u32) -> (Duration, Duration) {
        const CALLS: u32 = 1000;
        let time = |f: &dyn Fn()| {
            let start = Instant::now();
            (0..CALLS).for_each(|_| f());
            start.elapsed() / CALLS
        };
        let (mut table, mut hand) = (Duration::MAX, Duration::MAX);
        for _ in 0..runs {
            table = table.min(time(&*self.by_table));
            hand = hand.min(time(&*self.by_hand));
        }
        (table, hand)
    }
}

// --- decoding ---

/// What any dialect's send comes to.
struct Fields<'a> {
    conversation: &'a str,
    content: Cow<'a, str>,
    kind: Option<&'a str>,
    key: Option<&'a str>,
    metadata: Option<&'a RawValue>,
    sender: Option<&'a str>,
}

/// Reads a packet into a struct: the event's name, and what the struct came to.
type Read = for<'a> fn(&'a str) -> Option<(&'a str, Fields<'a>)>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Send<'a> {
    conversation_id: &'a str,
    content: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    client_id: Option<&'a str>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    sender_id: Option<&'a str>,
}

fn read_send(packet: &str) -> Option<(&str, Fields<'_>)> {
    let (name, send): (&str, Send<'_>) = serde_json::from_str(packet).ok()?;
    let fields = Fields {
        conversation: send.conversation_id,
        content: send.content,
        kind: send.kind,
        key: send.client_id,
        metadata: send.metadata,
        sender: send.sender_id,
    };
    Some((name, fields))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InkspotSend<'a> {
    conversation_id: &'a str,
    content: Cow<'a, str>,
    message_type: Option<&'a str>,
    temp_id: Option<&'a str>,
    sender_id: Option<&'a str>,
}

fn read_inkspot_send(packet: &str) -> Option<(&str, Fields<'_>)> {
    let (name, send): (&str, InkspotSend<'_>) = serde_json::from_str(packet).ok()?;
    let fields = Fields {
        conversation: send.conversation_id,
        content: send.content,
        kind: send.message_type,
        key: send.temp_id,
        metadata: None,
        sender: send.sender_id,
    };
    Some((name, fields))
}

fn decode_by_hand(read: Read, event: &str, packet: &str) -> Option<(Command, Option<UserId>)> {
    let (name, fields) = read(packet)?;
    if name != event {
        return None;
    }
    let command = Command::Send(SendMessage {
        to: Recipient::Conversation(ConversationId::new(fields.conversation).ok()?),
        content: fields.content.into(),
        kind: fields.kind.map(Into::into),
        client_id: fields.key.map(Into::into),
        attachments: Vec::new(),
        metadata: fields.metadata.map(|raw| raw.to_owned().into()),
    });
    let claimed = fields.sender.map(UserId::new).transpose().ok()?;
    Some((command, claimed))
}

fn decoding(
    name: &'static str,
    dialect: Arc<Dialect>,
    read: Read,
    event: &'static str,
    members: &str,
) -> Outcome<Case> {
    let packet: Arc<str> = format!(
        r#"["{event}",{{"conversationId":"{CONVERSATION}","content":"{CONTENT}",{members},"senderId":"{SENDER}"}}]"#
    )
    .into();
    let by_table = dialect.decode(&packet).map_err(|refused| refused.error)?;
    let by_hand = decode_by_hand(read, event, &packet).ok_or("the struct does not fit")?;
    let same = format!("{:?}", (&by_table.command, &by_table.claimed)) == format!("{by_hand:?}");
    if !same {
        return Err(format!("{name}: the table and the struct differ").into());
    }
    let other = packet.clone();
    Ok(Case {
        name,
        by_table: Box::new(move || drop(black_box(dialect.decode(black_box(&packet))))),
        by_hand: Box::new(move || drop(black_box(decode_by_hand(read, event, black_box(&other))))),
    })
}

// --- encoding ---

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Standard<'a> {
    id: &'a str,
    seq: u64,
    conversation_id: &'a str,
    sender_id: &'a str,
    sender_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_avatar: Option<&'a str>,
    content: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
}

fn standard_by_hand(m: &Message) -> String {
    text(
        "message:new",
        &Standard {
            id: m.id.as_str(),
            seq: m.seq,
            conversation_id: m.conversation.as_str(),
            sender_id: m.sender.id.as_str(),
            sender_name: &m.sender.name,
            sender_avatar: m.sender.avatar.as_deref(),
            content: &m.content,
            kind: &m.kind,
            timestamp: m.created_at.to_iso(),
            client_id: m.client_id.as_deref(),
            metadata: m.metadata.as_deref(),
        },
    )
}

#[derive(Serialize)]
struct Person<'a> {
    id: &'a str,
    name: &'a str,
    email: Option<&'a str>,
    image: Option<&'a str>,
}

impl<'a> From<&'a Profile> for Person<'a> {
    fn from(p: &'a Profile) -> Self {
        Self {
            id: p.id.as_str(),
            name: &p.name,
            email: p.email.as_deref(),
            image: p.avatar.as_deref(),
        }
    }
}

/// Twice in one event, so that it is made of references.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Platform<'a> {
    id: &'a str,
    seq: u64,
    conversation_id: &'a str,
    sender_id: &'a str,
    content: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    created_at: &'a str,
    sender: &'a Person<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a Platform<'a>>,
}

fn platform_by_hand(m: &Message) -> String {
    let (sender, created_at) = (Person::from(&m.sender), m.created_at.to_iso());
    let inner = |message| Platform {
        id: m.id.as_str(),
        seq: m.seq,
        conversation_id: m.conversation.as_str(),
        sender_id: m.sender.id.as_str(),
        content: &m.content,
        kind: &m.kind,
        created_at: &created_at,
        sender: &sender,
        client_id: m.client_id.as_deref(),
        metadata: m.metadata.as_deref(),
        message,
    };
    text("message:received", &inner(Some(&inner(None))))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Inkspot<'a> {
    id: &'a str,
    seq: u64,
    conversation_id: &'a str,
    sender_id: &'a str,
    content: &'a str,
    message_type: &'a str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    sender: Person<'a>,
}

fn inkspot_by_hand(m: &Message) -> String {
    text(
        "new-message",
        &Inkspot {
            id: m.id.as_str(),
            seq: m.seq,
            conversation_id: m.conversation.as_str(),
            sender_id: m.sender.id.as_str(),
            content: &m.content,
            message_type: &m.kind,
            created_at: m.created_at.to_iso(),
            client_id: m.client_id.as_deref(),
            sender: Person::from(&m.sender),
        },
    )
}

/// A struct without maps is always written.
fn text(event: &str, payload: &impl Serialize) -> String {
    serde_json::to_string(&(event, payload)).unwrap_or_default()
}

fn encoding(
    name: &'static str,
    dialect: Arc<Dialect>,
    metadata: Option<&str>,
    by_hand: fn(&Message) -> String,
) -> Outcome<Case> {
    let metadata = metadata.map(|json| RawValue::from_string(json.to_owned()));
    let message = Arc::new(Message {
        id: MessageId::trusted(KEY),
        conversation: ConversationId::trusted(CONVERSATION),
        seq: 41,
        sender: Profile {
            name: "Ann Lee".into(),
            email: Some("ann@example.org".into()),
            ..Profile::unknown(UserId::trusted(SENDER))
        },
        client_id: Some(KEY.into()),
        kind: "text".into(),
        content: CONTENT.into(),
        attachments: Arc::from([]),
        metadata: metadata.transpose()?.map(Arc::from),
        created_at: Millis(1_767_323_045_678),
    });
    let event = Event::MessageCreated {
        message: message.clone(),
        participants: Arc::from([]),
    };
    let by_table = dialect.encode(&event, Hearer::Other).concat();
    let (table, hand): (Value, Value) = (
        serde_json::from_str(&by_table)?,
        serde_json::from_str(&by_hand(&message))?,
    );
    if table != hand {
        return Err(format!("{name}: the table and the struct differ\n{table}\n{hand}").into());
    }
    Ok(Case {
        name,
        by_table: Box::new(move || {
            drop(black_box(dialect.encode(black_box(&event), Hearer::Other)))
        }),
        by_hand: Box::new(move || drop(black_box(by_hand(black_box(&message))))),
    })
}
