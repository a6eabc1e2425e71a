//! Whatever is published: no panic, nothing passed on that makes no sense, and one line in the log
//! per kind.

use bytes::Bytes;
use porchlight::bus::foreign::{broadcast, dropped::Dropped, msgpack, python, request};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::gate::gate;

const CHANNELS: [&str; 4] = [
    "socket.io#/#",
    "socket.io#/#r#",
    "socket.io-request#/#",
    "socketio",
];

/// MessagePack that gets further than random bytes.
fn message_like() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z/#:]{0,6}".prop_map(Value::from),
        Just(json!({"_placeholder": true, "num": 0})),
        Just(json!({"_placeholder": true, "num": 9})),
    ];
    let key = prop::sample::select(vec![
        "type",
        "data",
        "nsp",
        "rooms",
        "except",
        "flags",
        "opts",
        "packet",
        "requestId",
        "method",
        "event",
        "room",
        "sid",
        "binary",
        "timeout",
        "volatile",
        "uid",
    ]);
    let tree = leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|fields| fields
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    });
    let attachments = [Bytes::from_static(&[1, 2, 3])];
    (tree, any::<bool>()).prop_map(move |(value, json)| {
        if json {
            value.to_string().into_bytes()
        } else {
            msgpack::write(&value, &attachments)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (gate, _) = gate(|_| {});
        let bytes = Bytes::from(bytes);
        for channel in CHANNELS {
            gate.take(channel, &bytes);
        }
    }

    #[test]
    fn nor_does_what_looks_like_messages(bytes in message_like()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let (gate, _) = gate(|_| {});
        let bytes = Bytes::from(bytes);
        for channel in CHANNELS {
            gate.take(channel, &bytes);
        }
        if let Ok(Some(broadcast)) = broadcast::decode(&bytes, None) {
            let event: Value = serde_json::from_str(&broadcast.emit.raw.event.data).unwrap();
            prop_assert_eq!(event[0].as_str(), Some(&*broadcast.emit.name));
        }
    }

    #[test]
    fn a_message_cut_short_is_malformed(cut in 0usize..100) {
        let whole = msgpack::write(
            &json!(["emitter", {"type": 2, "data": ["hello", {"a": [1, 2.5, "x"]}], "nsp": "/"}, {"rooms": ["a"]}]),
            &[],
        );
        let cut = Bytes::copy_from_slice(&whole[..cut % whole.len()]);
        prop_assert_eq!(broadcast::decode(&cut, None), Err(Dropped::Malformed));
    }
}

#[test]
fn deep_and_boundless_messages_are_refused() {
    let deep = Bytes::from([vec![0x91; 100_000], vec![0xc0]].concat());
    assert_eq!(broadcast::decode(&deep, None), Err(Dropped::Malformed));
    let deep_json = Bytes::from(["[".repeat(100_000), "]".repeat(100_000)].concat());
    assert_eq!(broadcast::decode(&deep_json, None), Err(Dropped::Malformed));
    // Four billion entries in five bytes, and text and binary data of that length.
    for head in [0xdd, 0xdf, 0xdb, 0xc6, 0xc9] {
        let bytes = Bytes::from(vec![head, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(broadcast::decode(&bytes, None), Err(Dropped::Malformed));
    }
    let trailing = Bytes::from_static(&[0x90, 0xc0]);
    assert_eq!(broadcast::decode(&trailing, None), Err(Dropped::Malformed));
}

#[test]
fn attachments_always_fit_the_placeholders() {
    // A client closes its connection over a packet where they do not.
    let bin = Bytes::from_static(&[7]);
    let forged = json!({"_placeholder": true, "num": 5});
    let real = json!({"_placeholder": true, "num": 0});
    let packet = json!({"type": 2, "data": ["a", forged, real, real], "extra": real});
    let message = msgpack::write(&json!(["x", packet, {}]), std::slice::from_ref(&bin)).into();
    let emit = broadcast::decode(&message, None).unwrap().unwrap().emit.raw;
    assert_eq!(
        serde_json::from_str::<Value>(&emit.event.data).unwrap(),
        json!(["a", null, real, {"_placeholder": true, "num": 1}])
    );
    assert_eq!(emit.event.attachments[..], [bin.clone(), bin]);
}

#[test]
fn each_kind_of_refusal_is_told_apart() {
    let msgpack = |value: Value| Bytes::from(msgpack::write(&value, &[]));
    let map = msgpack(json!({"uid": "x", "nsp": "/", "type": "3", "data": {}}));
    assert_eq!(broadcast::decode(&map, None), Err(Dropped::ForeignVersion));
    for malformed in [
        json!([]),
        json!("text"),
        json!([1, {"type": 2, "data": ["a"]}, {}]),
        json!(["x", {"type": 3, "data": ["a"]}, {}]),
        json!(["x", {"type": 2, "data": []}, {}]),
        json!(["x", {"type": 2, "data": [1]}, {}]),
        json!(["x", {"type": 2, "data": "a"}, {}]),
        json!(["x", {"type": 2, "data": ["a"]}, {"rooms": [{}]}]),
        json!(["x", null, {}]),
    ] {
        let bytes = msgpack(malformed.clone());
        assert_eq!(
            broadcast::decode(&bytes, None),
            Err(Dropped::Malformed),
            "{malformed}"
        );
    }
    // `pickle.dumps({'method': 'emit'})`
    let pickle = Bytes::from_static(
        b"\x80\x04\x95\x14\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x06method\x94\x8c\x04emit\x94s.",
    );
    assert_eq!(python::decode(&pickle), Err(Dropped::Pickle));
    let request = |value: Value| request::decode(&msgpack(value));
    assert_eq!(
        request(json!({"type": 99, "requestId": "r"})),
        Err(Dropped::ForeignVersion)
    );
    let old = json!({"type": 2, "sid": "s", "room": "r", "requestId": "r"});
    assert_eq!(request(old), Err(Dropped::ForeignVersion));
    assert_eq!(request(json!({"type": 1})), Err(Dropped::Malformed));
    assert_eq!(
        request(json!({"type": 1, "requestId": "r".repeat(65)})),
        Err(Dropped::Malformed)
    );
    assert_eq!(request(json!({})), Err(Dropped::Malformed));
    assert_eq!(request(json!({"type": 8, "requestId": "r"})), Ok(None));
}

#[test]
fn what_is_too_large_is_not_read() {
    let (gate, recorder) = gate(|config| config.max_bytes = 100);
    let message = |text: usize| {
        let packet = json!({"type": 2, "data": ["a", "x".repeat(text)]});
        Bytes::from(msgpack::write(&json!(["x", packet, {}]), &[]))
    };
    gate.take("socket.io#/#", &message(10));
    assert_eq!(recorder.said().len(), 1);
    gate.take("socket.io#/#", &message(100));
    assert!(recorder.said().is_empty());
}
