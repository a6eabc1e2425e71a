//! How clients of the standard dialect are answered. What they hear is in `shipped.rs`.

use std::{sync::Arc, time::Duration};

use porchlight::chat::{ChatError, ConversationId, Message, Reply, Sent, Synced};

use super::{NOW, check_array, found, joined, message, standard};

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
