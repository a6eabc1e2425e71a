//! The `threads` dialect: every shape that its clients send, and every event in every role.

use porchlight::{
    chat::{Event, Message, PresenceChange, Profile, Reply, Status},
    dialect::Hello,
};

use super::{
    NOW, answered, created, heard, joined, message, outcomes, presence, profile, receipt, refusals,
    sent, shipped, typing,
};

#[test]
fn every_seen_shape() {
    insta::assert_snapshot!(outcomes(
        &shipped("threads"),
        &[
            r#"["join_message_thread","t"]"#,
            r#"["join_message_thread",{"threadId":"t","username":"Ann"}]"#,
            r#"["join_message_thread",{"threadId":"t","after":3}]"#,
            r#"["join_message_thread",{"messageId":"t","before":51}]"#,
            r#"["leave_message_thread","t"]"#,
            r#"["leave_message_thread",{"threadId":"t","username":"Ann"}]"#,
            r#"["send_message",{"messageId":"t","message":"hello","messageType":"text"}]"#,
            r#"["send_message",{"messageId":"t","message":"hello"}]"#,
            r#"["send_message",{"messageId":"t","message":"hello","clientId":"k"}]"#,
            r#"["send_message",{"messageId":"t","message":"hello","clientId":1767323045678}]"#,
            r#"["send_message","t","hello","image"]"#,
            r#"["send_message","t","hello"]"#,
            r#"["typing_start",{"messageId":"t"}]"#,
            r#"["typing_start","t"]"#,
            r#"["typing_stop",{"messageId":"t"}]"#,
            r#"["typing_stop","t"]"#,
            r#"["mark_message_read",{"messageId":"t","threadMessageId":"m-1"}]"#,
            r#"["mark_message_read",{"messageId":"t","threadMessageId":null}]"#,
            r#"["mark_message_read","t","m-1"]"#,
            r#"["mark_message_read","t",null]"#,
            r#"["mark_message_read","t"]"#,
            r#"["update_status","busy"]"#,
            r#"["update_status",{"status":"away"}]"#,
        ],
    ));
}

#[test]
fn every_refusal_names_the_field() {
    insta::assert_snapshot!(outcomes(
        &shipped("threads"),
        &[
            r#"["join_message_thread"]"#,
            r#"["join_message_thread",{}]"#,
            r#"["join_message_thread",{"threadId":"no spaces"}]"#,
            r#"["join_message_thread",7]"#,
            r#"["send_message"]"#,
            r#"["send_message","t"]"#,
            r#"["send_message",{"message":"hello"}]"#,
            r#"["send_message",{"messageId":"t"}]"#,
            r#"["send_message",{"messageId":"t","message":7}]"#,
            r#"["send_message",{"messageId":["t"],"message":"x"}]"#,
            r#"["send_message",{"messageId":"t","message":"x","senderId":"ann","userId":"bob"}]"#,
            r#"["typing_start",{}]"#,
            r#"["mark_message_read"]"#,
            r#"["mark_message_read",{"threadMessageId":7}]"#,
            r#"["update_status","dancing"]"#,
            r#"["update_status","idle"]"#,
            r#"["update_status"]"#,
            r#"["toString"]"#,
        ],
    ));
}

#[test]
fn every_event_in_every_role() {
    let dialect = shipped("threads");
    let mut shown = String::new();
    let nameless = Message {
        sender: Profile {
            email: None,
            ..profile("ann", "ann")
        },
        kind: "image".into(),
        client_id: Some("key".into()),
        ..message(2, "look \"here\"")
    };
    for (name, event) in [
        ("message", created(message(1, "hello"))),
        ("message of another sort", created(nameless)),
        ("delivered", Event::MessageDelivered(receipt())),
        ("read", Event::MessageRead(receipt())),
        ("typing", typing(true)),
        ("typing no more", typing(false)),
        ("online", presence(Status::Online, PresenceChange::Online)),
        (
            "offline",
            presence(Status::Offline, PresenceChange::Offline),
        ),
        ("busy", presence(Status::Busy, PresenceChange::Status)),
        ("idle", presence(Status::Idle, PresenceChange::Status)),
    ] {
        shown.push_str(&format!("# {name}\n{}", heard(&dialect, &event)));
    }
    for greeting in dialect.greet(&Hello {
        profile: &profile("ann", "Ann"),
        device: "sid-1",
        now: NOW,
    }) {
        shown.push_str(&format!("# greeting\n{greeting}\n"));
    }
    insta::assert_snapshot!(shown);
}

/// The history tells the asker which messages are the asker's own.
#[test]
fn acks_answers_and_errors() {
    let dialect = shipped("threads");
    let mut page = joined();
    page.messages.push(
        Message {
            sender: profile("bob", "Bob"),
            ..message(4, "four")
        }
        .into(),
    );
    let mut shown = String::new();
    for (name, packet, reply) in [
        (
            "joined",
            r#"["join_message_thread","t"]"#,
            Reply::Joined(Box::new(page)),
        ),
        (
            "sent",
            r#"["send_message","t","four"]"#,
            sent(message(4, "four")),
        ),
        ("left", r#"["leave_message_thread","t"]"#, Reply::Done),
    ] {
        shown.push_str(&format!("# {name}\n{}", answered(&dialect, packet, &reply)));
    }
    shown.push_str(&format!("# errors\n{}", refusals(&dialect)));
    insta::assert_snapshot!(shown);
}

#[test]
fn the_whole_vocabulary_as_a_table() {
    insta::assert_snapshot!(shipped("threads").describe());
}
