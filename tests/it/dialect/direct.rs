//! The `direct` dialect: every shape that its clients send, and what becomes of the object that they
//! hand on.

use porchlight::chat::{Command, Event, Message, PresenceChange, Reply, Status, UserId};

use super::{
    answered, created, decoded, heard, json, message, outcome, outcomes, presence, receipt,
    refusals, sent, shipped, typing,
};

#[test]
fn every_seen_shape() {
    insta::assert_snapshot!(outcomes(
        &shipped("direct"),
        &[
            r#"["newUser","ann"]"#,
            r#"["newUser",{"userId":"ann"}]"#,
            r#"["reconnectUser","ann"]"#,
            r#"["heartbeat","ann"]"#,
            r#"["heartbeat"]"#,
            r#"["heartbeat",{"userId":"ann","at":5}]"#,
            r#"["logout"]"#,
            r#"["logout","ann"]"#,
            r#"["sendMessage",{"receiverId":"bob","data":{"text":"hi","senderId":"ann","chatId":"c","timestamp":"T"}}]"#,
            r#"["sendMessage",{"receiverId":"bob","data":{"text":"hi","senderId":"ann"}}]"#,
            r#"["sendMessage",{"receiverId":"bob","data":{"text":"hi","senderId":"ann","chatId":"c","timestamp":"T","messageId":"k","type":"image","metadata":{"read":false,"delivered":false}}}]"#,
            r#"["sendMessage",{"receiverId":"bob","data":{"id":"k","text":"hi","userId":"ann","chatId":"c","createdAt":"T","extra":{"deep":[1]}}}]"#,
        ],
    ));
}

#[test]
fn every_refusal_names_the_field() {
    insta::assert_snapshot!(outcomes(
        &shipped("direct"),
        &[
            r#"["newUser"]"#,
            r#"["newUser",null]"#,
            r#"["newUser",7]"#,
            r#"["newUser","no spaces"]"#,
            r#"["heartbeat",7]"#,
            r#"["logout","no spaces"]"#,
            r#"["sendMessage"]"#,
            r#"["sendMessage","bob","hi"]"#,
            r#"["sendMessage",{"data":{"text":"hi"}}]"#,
            r#"["sendMessage",{"receiverId":7,"data":{"text":"hi"}}]"#,
            r#"["sendMessage",{"receiverId":"","data":{"text":"hi"}}]"#,
            r#"["sendMessage",{"receiverId":"bob"}]"#,
            r#"["sendMessage",{"receiverId":"bob","data":"hi"}]"#,
            r#"["sendMessage",{"receiverId":"bob","data":{"senderId":"ann"}}]"#,
            r#"["sendMessage",{"receiverId":"bob","data":{"text":7}}]"#,
            r#"["sendMessage",{"receiverId":"bob","data":{"text":"hi","chatId":7}}]"#,
            r#"["sendMessage",{"receiverId":"bob","data":{"text":"hi","senderId":7}}]"#,
            r#"["sendMessage",{"receiverId":"bob","data":{"text":"hi","senderId":"ann","userId":"bob"}}]"#,
            r#"["sendMessage",{"receiverId":"bob","data":{"text":"hi","messageId":""}}]"#,
            r#"["sendMessage",{"receiverId":"bob","data":{"text":"hi","x":"\ud800"}}]"#,
        ],
    ));
}

/// What the receiver hears of what a sender said.
fn relayed(packet: &str) -> String {
    let dialect = shipped("direct");
    let Command::Send(send) = decoded(&dialect, packet) else {
        panic!("not a send")
    };
    heard(
        &dialect,
        &created(Message {
            content: send.content,
            metadata: send.metadata,
            client_id: send.client_id,
            kind: send.kind.unwrap_or("text".into()),
            ..message(1, "")
        }),
    )
}

#[test]
fn the_object_travels_as_it_was_sent() {
    let shown: String = [
        r#"["sendMessage",{"receiverId":"bob","data":{"text":"hi","senderId":"ann","chatId":"conv-1","timestamp":"T","messageId":"k","type":"image","metadata":{"read":true,"delivered":false,"x":1}}}]"#,
        r#"["sendMessage",{"receiverId":"bob","data":{"text":"hi","senderId":"ann","chatId":"conv-1","timestamp":"T","metadata":{"x":1}}}]"#,
        r#"["sendMessage",{"receiverId":"bob","data":{"id":"k","text":"hi","userId":"ann","chatId":"conv-1","createdAt":5,"extra":{"deep":[1]}}}]"#,
        r#"["sendMessage",{"receiverId":"bob","data":{"text":"hi","timestamp":null,"metadata":null}}]"#,
    ]
    .map(relayed)
    .concat();
    insta::assert_snapshot!(shown);
}

#[test]
fn text_is_cut_at_a_thousand_characters() {
    for (length, kept) in [(999, 999), (1000, 1000), (1001, 1000), (50_000, 1000)] {
        let text = "é".repeat(length);
        let packet =
            format!(r#"["sendMessage",{{"receiverId":"bob","data":{{"text":"{text}"}}}}]"#);
        let Command::Send(send) = decoded(&shipped("direct"), &packet) else {
            panic!("not a send")
        };
        assert_eq!(&*send.content, "é".repeat(kept));
        assert!(send.metadata.is_none());
    }
    let packet = format!(
        r#"["sendMessage",{{"receiverId":"bob","data":{{"text":"hi","x":"{}"}}}}]"#,
        "x".repeat(17_000)
    );
    assert_eq!(
        outcome(&shipped("direct"), &packet),
        "refused sendMessage: too_large: data: at most 16384 bytes"
    );
}

/// Messages of other dialects, and events that this one has no words for.
#[test]
fn every_event_in_every_role() {
    let dialect = shipped("direct");
    let foreign = Message {
        kind: "image".into(),
        client_id: Some("key".into()),
        // What another dialect's sender might put there in the hope that it counts.
        metadata: Some(json(
            r#"{"text":"forged","senderId":"bob","userId":"bob","chatId":"other","replyTo":"m-1"}"#,
        )),
        ..message(2, "look")
    };
    let mut shown = String::new();
    for (name, event) in [
        ("message", created(message(1, "hello \"you\""))),
        ("message with another dialect's metadata", created(foreign)),
        ("delivered", Event::MessageDelivered(receipt())),
        ("read", Event::MessageRead(receipt())),
        ("typing", typing(true)),
        ("online", presence(Status::Online, PresenceChange::Online)),
    ] {
        shown.push_str(&format!("# {name}\n{}", heard(&dialect, &event)));
    }
    for users in [&[][..], &["ann", "bob"]] {
        let users: Vec<_> = users.iter().map(|u| UserId::new(u).unwrap()).collect();
        let words = dialect.encode_online(&users).concat();
        shown.push_str(&format!("# online users\n{words}\n"));
    }
    insta::assert_snapshot!(shown);
    assert!(dialect.follows() && dialect.hears_online());
}

#[test]
fn acks_and_errors() {
    let dialect = shipped("direct");
    let mut shown = String::new();
    let send = r#"["sendMessage",{"receiverId":"bob","data":{"text":"hi","messageId":"k"}}]"#;
    let keyed = Message {
        client_id: Some("k".into()),
        ..message(4, "hi")
    };
    for (name, packet, reply) in [
        ("introduced", r#"["newUser","ann"]"#, Reply::Done),
        ("sent", send, sent(message(4, "hi"))),
        ("sent with a key", send, sent(keyed)),
    ] {
        shown.push_str(&format!("# {name}\n{}", answered(&dialect, packet, &reply)));
    }
    shown.push_str(&format!("# errors\n{}", refusals(&dialect)));
    insta::assert_snapshot!(shown);
}

#[test]
fn the_whole_vocabulary_as_a_table() {
    insta::assert_snapshot!(shipped("direct").describe());
}
