//! What the real npm packages publish is read as a Node server reads it, and what is written here
//! is read back the same.

use std::{process::Command, sync::LazyLock};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use porchlight::bus::foreign::{
    broadcast,
    channel::{Channel, Channels},
    request::{self, Request},
};
use serde::Deserialize;
use serde_json::Value;

use crate::support::gateway::clients;

/// A line of `emitters_bytes.mjs`.
#[derive(Deserialize)]
struct Published {
    what: String,
    channel: String,
    payload: String,
    heard: Option<Vec<String>>,
}

static PUBLISHED: LazyLock<Vec<Published>> = LazyLock::new(|| {
    let output = Command::new("node")
        .arg(clients().join("emitters_bytes.mjs"))
        .output()
        .expect("node runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
});

fn payload(published: &Published) -> Bytes {
    STANDARD.decode(&published.payload).expect("base64").into()
}

fn find(what: &str) -> &'static Published {
    let found = PUBLISHED.iter().find(|p| p.what == what);
    found.unwrap_or_else(|| panic!("{what} was not published"))
}

fn emit(what: &str) -> porchlight::chat::RawEmit {
    let published = find(what);
    let channels = Channels::new("socket.io");
    let room = match channels.parse(&published.channel) {
        Some(Channel::Room(room)) => Some(room),
        Some(Channel::Everybody) => None,
        other => panic!("{what}: {other:?}"),
    };
    let broadcast = broadcast::decode(&payload(published), room);
    broadcast.expect(what).expect(what).emit.raw
}

/// The packet as a Node server sends it to clients: JSON, and binary data in base64.
fn packet(emit: &porchlight::chat::RawEmit) -> (Value, Vec<String>) {
    let binary = emit.event.attachments.iter().map(|a| STANDARD.encode(a));
    (
        serde_json::from_str(&emit.event.data).expect("JSON"),
        binary.collect(),
    )
}

#[test]
fn clients_hear_what_they_hear_from_a_node_server() {
    let mut compared = 0;
    for published in PUBLISHED.iter() {
        let Some(heard) = &published.heard else {
            continue;
        };
        if published.what == "another namespace" {
            continue;
        }
        let (text, binary) = heard.split_first().expect("a packet");
        let data = match binary.len() {
            0 => text.strip_prefix('2'),
            n => text.strip_prefix(&format!("5{n}-")),
        };
        let data: Value = serde_json::from_str(data.expect(text)).expect("JSON");
        let (ours, ours_binary) = packet(&emit(&published.what));
        assert_eq!(ours, data, "{}", published.what);
        assert_eq!(ours_binary, binary, "{}", published.what);
        compared += 1;
    }
    assert!(compared >= 16, "only {compared}");
}

#[test]
fn targets_and_flags_are_understood() {
    let target = |what| emit(what).target;
    assert!(target("plain").is_everybody());
    assert_eq!(target("one room").rooms, ["user:1"]);
    assert_eq!(target("a room with #").rooms, ["a#b"]);
    assert_eq!(target("two rooms").rooms, ["user:1", "user:2"]);
    assert_eq!(target("a numeric room").rooms, ["42"]);
    assert_eq!(target("two numeric rooms").rooms, ["42", "43"]);
    assert_eq!(target("except").rooms, ["a"]);
    assert_eq!(target("except").except, ["b", "c"]);
    assert!(target("everybody except").is_everybody());
    assert_eq!(target("everybody except").except, ["b"]);
    assert!(emit("volatile").volatile && !emit("plain").volatile);
    assert!(!emit("not compressed").compress && emit("plain").compress);
    let elsewhere = &find("another namespace").channel;
    assert_eq!(Channels::new("socket.io").parse(elsewhere), None);
}

#[test]
fn what_is_written_is_read_back() {
    for published in PUBLISHED.iter().filter(|p| p.heard.is_some()) {
        if published.what == "another namespace" {
            continue;
        }
        let emit = emit(&published.what);
        let written = broadcast::encode("abcdef", &emit).into();
        let read = broadcast::decode(&written, None).unwrap().unwrap();
        assert_eq!(read.uid, "abcdef");
        assert_eq!(read.emit.raw, emit, "{}", published.what);
    }
}

#[test]
fn a_plain_broadcast_is_written_as_node_writes_it() {
    let emit = emit("plain");
    let written = broadcast::encode("emitter", &emit);
    // The same bytes but for the order of the options.
    let theirs = payload(find("plain"));
    let opts_at = theirs.len() - 22;
    assert_eq!(written[..opts_at], theirs[..opts_at]);
    assert_eq!(written.len(), theirs.len());
}

fn request(what: &str) -> Request {
    let published = find(what);
    assert_eq!(published.channel, "socket.io-request#/#", "{what}");
    request::decode(&payload(published))
        .expect(what)
        .expect(what)
}

#[test]
fn requests_are_understood() {
    let Request::Join(target, rooms) = request("socketsJoin") else {
        panic!("no join");
    };
    assert_eq!(
        (&target.rooms[..], &rooms[..]),
        (
            &["a".to_owned()][..],
            &["r1".to_owned(), "r2".to_owned()][..]
        )
    );
    let Request::Leave(target, rooms) = request("socketsLeave") else {
        panic!("no leave");
    };
    assert_eq!(
        (target.except, rooms),
        (vec!["b".to_owned()], vec!["r1".to_owned()])
    );
    assert!(matches!(request("disconnectSockets"), Request::Disconnect(t) if t.rooms == ["a"]));
    assert!(matches!(
        request("serverSideEmit"),
        Request::ServerSideEmit(None)
    ));
    assert!(matches!(
        request("serverSideEmit with an ack"),
        Request::ServerSideEmit(Some(_))
    ));
    assert!(matches!(request("fetchSockets"), Request::Fetch(_, t) if t.except == ["b"]));
    assert!(matches!(request("allRooms"), Request::Rooms(_)));
    let Request::Broadcast(_, emit, patience) = request("emitWithAck") else {
        panic!("no broadcast");
    };
    let emit = emit.expect("an event");
    assert_eq!(patience.as_millis(), 250);
    assert_eq!(&*emit.name, "hello");
    assert_eq!(emit.raw.target.rooms, ["a"]);
    assert_eq!(
        emit.raw.event.attachments[..],
        [Bytes::from_static(&[0, 1, 2, 254, 255])]
    );
}
