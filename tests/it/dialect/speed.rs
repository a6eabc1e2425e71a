//! How decoding and encoding compare with structs written by hand. Prints; run it in release:
//! `cargo test --release --test it dialect::speed -- --nocapture`.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use porchlight::chat::{Command, ConversationId, Event, Hearer, SendMessage, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{created, json, message, standard};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Send<'a> {
    conversation_id: &'a str,
    content: std::borrow::Cow<'a, str>,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    client_id: Option<&'a str>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    sender_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct New<'a> {
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

/// What the engine makes of a send, by hand.
fn decode_by_hand(packet: &str) -> Option<(Command, Option<UserId>)> {
    let (name, send): (&str, Send<'_>) = serde_json::from_str(packet).ok()?;
    if name != "message:send" {
        return None;
    }
    let command = Command::Send(SendMessage {
        to: ConversationId::new(send.conversation_id).ok()?.into(),
        content: send.content.into(),
        kind: send.kind.map(Into::into),
        client_id: send.client_id.map(Into::into),
        attachments: Vec::new(),
        metadata: send.metadata.map(|raw| raw.to_owned().into()),
    });
    let claimed = send.sender_id.map(UserId::new).transpose().ok()?;
    Some((command, claimed))
}

fn encode_by_hand(event: &Event) -> String {
    let Event::MessageCreated { message: m, .. } = event else {
        panic!("not a message")
    };
    let payload = New {
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
    };
    serde_json::to_string(&("message:new", payload)).unwrap()
}

/// The fastest of several runs, per call.
fn time(mut f: impl FnMut()) -> Duration {
    const CALLS: u32 = 5_000;
    let run = |_| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| f());
        start.elapsed() / CALLS
    };
    (0..20).map(run).min().unwrap_or_default()
}

#[test]
fn compared_with_hand_written_structs() {
    let dialect = standard();
    let content = "Is the flat on Elm Street still to be had? I could come by on Tuesday.";
    let plain = format!(
        r#"["message:send",{{"conversationId":"0198c0de-7d5e-7c6b-9f0e-3f6f1f8a2b11","content":"{content}","type":"text","clientId":"0198c0de-7d5e-7c6b-9f0e-3f6f1f8a2b12"}}]"#
    );
    let rich = plain.replace("\"type\"", r#""metadata":{"a":[1,2,3],"b":"x"},"type""#);
    let mut with_metadata = message(41, content);
    with_metadata.metadata = Some(json(r#"{"a":[1,2,3],"b":"x"}"#));
    let events = [created(message(41, content)), created(with_metadata)];

    let mut rows = Vec::new();
    for (name, packet) in [("decode", &plain), ("decode with metadata", &rich)] {
        assert!(dialect.decode(packet).is_ok());
        rows.push((
            name,
            time(|| drop(black_box(dialect.decode(black_box(packet))))),
            time(|| drop(black_box(decode_by_hand(black_box(packet))))),
        ));
    }
    for (name, event) in ["encode", "encode with metadata"].into_iter().zip(&events) {
        assert_eq!(
            dialect.encode(event, Hearer::Other),
            [encode_by_hand(event)]
        );
        rows.push((
            name,
            time(|| drop(black_box(dialect.encode(black_box(event), Hearer::Other)))),
            time(|| drop(black_box(encode_by_hand(black_box(event))))),
        ));
    }
    for (name, engine, by_hand) in rows {
        let ratio = engine.as_secs_f64() / by_hand.as_secs_f64();
        println!("{name:22} {engine:>9.0?}   by hand {by_hand:>9.0?}   ratio {ratio:.2}");
    }
}
