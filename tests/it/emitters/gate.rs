//! The gate with sockets and a publisher that write down what they are told.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use parking_lot::Mutex;
use porchlight::{
    bus::foreign::{Gate, Publisher, broadcast, gate::OWN_UID},
    chat::{Profile, RawEmit, RawEvent, SocketInfo, Sockets, Target, UserId},
    config::{self, Emitters, Sources},
};
use serde_json::{Value, json};

use crate::support::node::until;

#[derive(Default)]
pub struct Recorder {
    said: Mutex<Vec<String>>,
    published: Mutex<Vec<(String, Vec<u8>)>>,
}

impl Recorder {
    fn say(&self, what: String) {
        self.said.lock().push(what);
    }

    pub fn said(&self) -> Vec<String> {
        std::mem::take(&mut *self.said.lock())
    }

    fn published(&self) -> Vec<(String, Vec<u8>)> {
        std::mem::take(&mut *self.published.lock())
    }
}

fn show(target: &Target) -> String {
    format!("{:?} except {:?}", target.rooms, target.except)
}

impl Sockets for Recorder {
    fn emit(&self, emit: &RawEmit) {
        let (data, target) = (&emit.event.data, show(&emit.target));
        self.say(format!("emit {data} to {target}"));
    }

    fn ask(&self, emit: &RawEmit, patience: Duration) -> (usize, BoxStream<'static, RawEvent>) {
        self.say(format!("ask {} {patience:?}", emit.event.data));
        let with_binary = RawEvent {
            data: r#"[{"_placeholder":true,"num":0},"ignored"]"#.into(),
            attachments: vec![Bytes::from_static(&[1, 2])].into(),
        };
        let acks = [
            RawEvent::text("[\"yes\"]"),
            RawEvent::text("[]"),
            with_binary,
        ];
        (3, stream::iter(acks).boxed())
    }

    fn join(&self, target: &Target, rooms: &[String]) {
        self.say(format!("join {rooms:?} {}", show(target)));
    }

    fn leave(&self, target: &Target, rooms: &[String]) {
        self.say(format!("leave {rooms:?} {}", show(target)));
    }

    fn disconnect(&self, target: &Target) {
        self.say(format!("disconnect {}", show(target)));
    }

    fn list(&self, _: &Target) -> Vec<SocketInfo> {
        vec![SocketInfo {
            id: "0123456789abcdef".into(),
            rooms: vec!["0123456789abcdef".into(), "user:ann".into()],
            user: Profile::unknown(UserId::new("ann").unwrap()),
            dialect: "standard".into(),
        }]
    }

    fn rooms(&self) -> HashSet<String> {
        HashSet::from(["user:ann".to_owned()])
    }
}

impl Publisher for Recorder {
    fn publish(&self, channel: String, payload: Vec<u8>, _: bool) {
        self.published.lock().push((channel, payload));
    }
}

pub fn gate(change: impl FnOnce(&mut Emitters)) -> (Gate, Arc<Recorder>) {
    let mut config = config::load(&Sources::default()).unwrap().config.emitters;
    change(&mut config);
    let recorder = Arc::new(Recorder::default());
    let gate = Gate::new(&config, recorder.clone(), recorder.clone());
    (gate, recorder)
}

const REQUESTS: &str = "socket.io-request#/#";
const RESPONSES: &str = "socket.io-response#/#";

fn json_payload(value: &Value) -> Bytes {
    value.to_string().into_bytes().into()
}

fn emit(name: &str, rooms: &[&str]) -> RawEmit {
    RawEmit {
        event: RawEvent::text(json!([name, 1]).to_string()),
        target: Target {
            rooms: rooms.iter().map(|r| (*r).to_owned()).collect(),
            except: Vec::new(),
        },
        volatile: false,
        compress: true,
    }
}

fn broadcast(emit: &RawEmit) -> Bytes {
    broadcast::encode("abcdef", emit).into()
}

#[tokio::test]
async fn every_request_that_is_waited_for_is_answered() {
    let (gate, recorder) = gate(|_| {});
    for (request, answer) in [
        (
            json!({"type": 0, "rooms": ["a"]}),
            json!({"sockets": ["0123456789abcdef"]}),
        ),
        (json!({"type": 1}), json!({"rooms": ["user:ann"]})),
        (
            json!({"type": 5, "opts": {"rooms": [], "except": []}}),
            json!({"sockets": [{
                "id": "0123456789abcdef",
                "handshake": {"headers": {}, "auth": {}, "query": {}},
                "rooms": ["0123456789abcdef", "user:ann"],
                "data": {"user": {"id": "ann", "name": "ann"}, "dialect": "standard"},
            }]}),
        ),
        (
            json!({"type": 6, "data": ["x", 1]}),
            json!({"type": 6, "data": null}),
        ),
        // An event that cannot be passed on reaches no client, and that is said.
        (
            json!({"type": 7, "opts": {}}),
            json!({"type": 8, "clientCount": 0}),
        ),
        (
            json!({"type": 7, "packet": {"type": 2, "data": ["disconnect"]}, "opts": {}}),
            json!({"type": 8, "clientCount": 0}),
        ),
    ] {
        let mut request = request;
        request["uid"] = "abcdef".into();
        request["requestId"] = "r1".into();
        assert!(gate.take(REQUESTS, &json_payload(&request)));
        let published = recorder.published();
        let [(channel, payload)] = &published[..] else {
            panic!("{request}: {published:?}");
        };
        assert_eq!(channel, RESPONSES);
        let mut expected = answer;
        expected["requestId"] = "r1".into();
        let got: Value = serde_json::from_slice(payload).unwrap();
        assert_eq!(got, expected, "{request}");
    }
}

#[tokio::test]
async fn acks_of_clients_are_passed_on() {
    let (gate, recorder) = gate(|_| {});
    let request = json!({
        "uid": "abcdef", "requestId": "r1", "type": 7,
        "packet": {"type": 2, "data": ["hello"], "nsp": "/"},
        "opts": {"rooms": ["a"], "except": [], "flags": {"timeout": 250}},
    });
    gate.take(REQUESTS, &json_payload(&request));
    assert_eq!(recorder.said(), ["ask [\"hello\"] 250ms"]);
    until(
        async || recorder.published.lock().len() == 4,
        || "the acks were not published".into(),
    )
    .await;
    let published = recorder.published();
    let count: Value = serde_json::from_slice(&published[0].1).unwrap();
    assert_eq!(
        count,
        json!({"type": 8, "requestId": "r1", "clientCount": 3})
    );
    let ack = |packet: &[u8]| {
        [
            &b"\x83\xa4type\x09\xa9requestId\xa2r1\xa6packet"[..],
            packet,
        ]
        .concat()
    };
    assert_eq!(published[1].1, ack(b"\xa3yes"));
    assert_eq!(published[2].1, ack(b"\xc0"));
    assert_eq!(published[3].1, ack(b"\xc4\x02\x01\x02"));
}

#[tokio::test]
async fn only_what_is_allowed_passes() {
    let (gate, recorder) = gate(|config| {
        config.events = vec!["order:*".into(), "ping".into()];
        config.rooms = vec!["user:*".into(), "*-news-*".into()];
        config.everybody = false;
    });
    let send = |emit: &RawEmit| {
        let channel = match &emit.target.rooms[..] {
            [room] => format!("socket.io#/#{room}#"),
            _ => "socket.io#/#".to_owned(),
        };
        assert!(gate.take(&channel, &broadcast(emit)));
        recorder.said()
    };
    for event in ["order:", "order:paid", "ping"] {
        assert_eq!(send(&emit(event, &["user:1"])).len(), 1, "{event}");
    }
    for event in [
        "order",
        "pings",
        "xping",
        "message:new",
        "connect",
        "order:\n",
    ] {
        assert!(send(&emit(event, &["user:1"])).is_empty(), "{event}");
    }
    for room in ["user:", "user:1", "the-news-today", "0123456789abcdef"] {
        assert_eq!(send(&emit("ping", &[room])).len(), 1, "{room}");
    }
    for room in ["user", "conversation:1", "news", "-news"] {
        assert!(send(&emit("ping", &[room])).is_empty(), "{room}");
    }
    assert!(send(&emit("ping", &[])).is_empty(), "everybody");
    assert_eq!(
        send(&emit("ping", &["secret", "user:1"])),
        [r#"emit ["ping",1] to ["user:1"] except []"#]
    );
    assert!(
        send(&emit("ping", &["secret", "hidden"])).is_empty(),
        "nobody left is not everybody"
    );
    let request =
        json!({"type": 2, "opts": {"rooms": ["user:1"]}, "rooms": ["secret", "a-news-b"]});
    gate.take(REQUESTS, &json_payload(&request));
    assert_eq!(
        recorder.said(),
        [r#"join ["a-news-b"] ["user:1"] except []"#]
    );
    let request = json!({"type": 4, "opts": {"rooms": [], "except": []}, "close": true});
    gate.take(REQUESTS, &json_payload(&request));
    assert!(recorder.said().is_empty(), "everybody is not disconnected");
}

#[tokio::test]
async fn tolerates_what_other_emitters_leave_out() {
    let (gate, recorder) = gate(|_| {});
    let packet = json!({"type": 2, "data": ["a"]});
    for (channel, message, heard) in [
        ("socket.io#/#", json!(["x", packet, {}]), "[] except []"),
        ("socket.io#/#", json!(["x", packet]), "[] except []"),
        (
            "socket.io#/#",
            json!(["x", packet, {"rooms": "", "flags": ""}]),
            "[] except []",
        ),
        (
            "socket.io#/#",
            json!(["x", packet, {"rooms": "r"}]),
            r#"["r"] except []"#,
        ),
        (
            "socket.io#/#",
            json!(["x", packet, {"rooms": ["r", 7, "r"]}]),
            r#"["r", "7"] except []"#,
        ),
        (
            "socket.io#/#r#",
            json!(["x", packet, {}]),
            r#"["r"] except []"#,
        ),
        (
            "socket.io#/#r#",
            json!(["x", packet, {"rooms": ["r", "s"]}]),
            r#"["r"] except []"#,
        ),
        (
            "socket.io#/#42#",
            json!(["x", packet, {"rooms": [42]}]),
            r#"["42"] except []"#,
        ),
    ] {
        assert!(gate.take(channel, &json_payload(&message)));
        assert_eq!(
            recorder.said(),
            [format!("emit [\"a\"] to {heard}")],
            "{message}"
        );
    }
    let elsewhere = json!(["x", {"type": 2, "data": ["a"], "nsp": "/admin"}, {}]);
    assert!(gate.take("socket.io#/#", &json_payload(&elsewhere)));
    let own = broadcast::encode(OWN_UID, &emit("a", &[])).into();
    assert!(gate.take("socket.io#/#", &own));
    assert!(recorder.said().is_empty());
    assert!(!gate.take("socket.io#/admin#", &json_payload(&json!(["x", packet]))));
}

#[tokio::test]
async fn python_managers_are_understood() {
    let (gate, recorder) = gate(|_| {});
    let emit = |data: Value, more: Value| {
        let mut message = json!({
            "method": "emit", "event": "ev", "data": data, "binary": false, "namespace": "/",
            "room": "r1", "skip_sid": null, "callback": null, "host_id": "0123",
        });
        for (key, value) in more.as_object().unwrap() {
            message[key] = value.clone();
        }
        message
    };
    let b64 = "AQID";
    for (message, heard) in [
        (
            emit(json!([{"a": 1}]), json!({})),
            r#"emit ["ev",{"a":1}] to ["r1"] except []"#,
        ),
        (
            emit(json!([1, "b"]), json!({})),
            r#"emit ["ev",1,"b"] to ["r1"] except []"#,
        ),
        (
            emit(json!([null]), json!({})),
            r#"emit ["ev"] to ["r1"] except []"#,
        ),
        (
            emit(json!([]), json!({})),
            r#"emit ["ev"] to ["r1"] except []"#,
        ),
        (
            emit(json!({"a": 1}), json!({})),
            r#"emit ["ev",{"a":1}] to ["r1"] except []"#,
        ),
        (
            emit(json!("x"), json!({"room": null})),
            r#"emit ["ev","x"] to [] except []"#,
        ),
        (
            emit(json!(["x"]), json!({"room": ["a", "b"], "skip_sid": "s"})),
            r#"emit ["ev","x"] to ["a", "b"] except ["s"]"#,
        ),
        (
            emit(
                json!([[{"f": {"_placeholder": true, "num": 0}}], b64]),
                json!({"binary": true}),
            ),
            r#"emit ["ev",{"f":{"_placeholder":true,"num":0}}] to ["r1"] except []"#,
        ),
        (
            json!({"method": "enter_room", "sid": "s", "room": "news", "namespace": "/"}),
            r#"join ["news"] ["s"] except []"#,
        ),
        (
            json!({"method": "leave_room", "sid": "s", "room": "news", "namespace": "/"}),
            r#"leave ["news"] ["s"] except []"#,
        ),
        (
            json!({"method": "close_room", "room": "news", "namespace": "/"}),
            r#"leave ["news"] ["news"] except []"#,
        ),
        (
            json!({"method": "disconnect", "sid": "s", "namespace": "/"}),
            r#"disconnect ["s"] except []"#,
        ),
    ] {
        assert!(gate.take("socketio", &json_payload(&message)));
        assert_eq!(recorder.said(), [heard], "{message}");
    }
    for nothing in [
        emit(json!([1]), json!({"namespace": "/admin"})),
        json!({"method": "callback", "id": 1}),
        json!({"method": "disconnect", "namespace": "/"}),
        json!({"method": "close_room", "room": null, "namespace": "/"}),
        emit(json!([[], "!"]), json!({"binary": true})),
        emit(json!([1]), json!({"event": 1})),
    ] {
        assert!(gate.take("socketio", &json_payload(&nothing)));
        assert!(recorder.said().is_empty(), "{nothing}");
    }
}
