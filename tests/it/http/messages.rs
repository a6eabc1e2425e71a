//! Messages over REST: sending once, history in pages, reading.

use axum::http::{Method, StatusCode};
use porchlight::chat::Event;
use serde_json::{Value, json};

use super::Api;

fn seqs(page: &Value) -> Vec<u64> {
    let messages = page["messages"].as_array().unwrap();
    messages.iter().map(|m| m["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_message_is_committed_announced_and_answered() {
    let api = Api::start().await;
    let group = api.group("alice", &["bob"]).await;
    api.sockets.take();
    let body = json!({"conversationId": group, "content": "H\u{e9}llo", "type": "image",
        "clientId": "c-1", "metadata": {"b": 1, "a": [2, {"deep": null}]}, "senderName": "Mallory"});
    let sent = api.post("alice", "/api/messages").json(body.clone()).await;
    let message = sent.expect(StatusCode::CREATED)["message"].clone();
    assert_eq!(message["seq"], 1);
    assert_eq!(message["conversationId"], group.as_str());
    assert_eq!(message["senderId"], "alice");
    assert_eq!(message["senderName"], "Alice");
    assert_eq!(message["content"], "H\u{e9}llo");
    assert_eq!(message["type"], "image");
    assert_eq!(message["clientId"], "c-1");
    assert_eq!(
        message["metadata"].to_string(),
        r#"{"b":1,"a":[2,{"deep":null}]}"#
    );
    assert!(message["timestamp"].as_str().unwrap().ends_with('Z'));
    let told = api.sockets.take();
    let [Event::MessageCreated { participants, .. }] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(participants.len(), 2);

    let again = api.post("alice", "/api/messages").json(body).await;
    assert_eq!(again.expect(StatusCode::OK)["message"], message);
    assert!(api.sockets.take().is_empty());

    // Another sender's keys are their own.
    let body = json!({"conversationId": group, "content": "hi", "clientId": "c-1"});
    let sent = api.post("bob", "/api/messages").json(body).await;
    let other = sent.expect(StatusCode::CREATED)["message"].clone();
    assert_eq!((&other["seq"], &other["type"]), (&json!(2), &json!("text")));
    assert_eq!(other.get("metadata"), None);

    let elsewhere = api.group("alice", &[]).await;
    let body = json!({"conversationId": elsewhere, "content": "hi", "clientId": "c-1"});
    let answer = api.post("alice", "/api/messages").json(body).await;
    answer.refused(409, "conflict");
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let api = Api::start().await;
    let group = api.group("alice", &[]).await;
    let long = "x".repeat(10_001);
    for (fields, status, code) in [
        (json!({"content": " \n"}), 422, "invalid"),
        (json!({"content": 7}), 422, "invalid"),
        (json!({}), 422, "invalid"),
        (json!({"content": long}), 413, "too_large"),
        (json!({"content": "a\u{0}b"}), 422, "invalid"),
        (json!({"content": "a", "type": ""}), 422, "invalid"),
        (json!({"content": "a", "type": "x".repeat(33)}), 422, "invalid"),
        (json!({"content": "a", "clientId": "x".repeat(129)}), 422, "invalid"),
        (json!({"content": "a", "metadata": [1]}), 422, "invalid"),
        (json!({"content": "a", "metadata": "x"}), 422, "invalid"),
        (json!({"content": "a", "conversationId": ""}), 422, "invalid"),
    ] {
        let mut body = json!({"conversationId": group});
        for (key, value) in fields.as_object().unwrap() {
            body[key] = value.clone();
        }
        let answer = api.post("alice", "/api/messages").json(body).await;
        answer.refused(status, code);
    }
    let path = format!("/api/conversations/{group}/messages");
    let page = api.get("alice", &path).send().await.expect(StatusCode::OK);
    assert_eq!(page, json!({"messages": [], "hasMore": false}));
}

#[tokio::test]
async fn history_comes_in_pages_both_ways() {
    let api = Api::start().await;
    let group = api.group("alice", &["bob"]).await;
    for n in 1..=7 {
        api.say("alice", &group, &format!("m{n}")).await;
    }
    let path = format!("/api/conversations/{group}/messages");
    for (query, wanted, more) in [
        ("", vec![1, 2, 3, 4, 5, 6, 7], false),
        ("?limit=3", vec![5, 6, 7], true),
        ("?limit=3&before=5", vec![2, 3, 4], true),
        ("?limit=3&before=2", vec![1], false),
        ("?limit=3&after=0", vec![1, 2, 3], true),
        ("?limit=3&after=4", vec![5, 6, 7], false),
        ("?after=7", vec![], false),
        ("?limit=0", vec![7], true),
    ] {
        let page = api.get("bob", &format!("{path}{query}")).send().await;
        let page = page.expect(StatusCode::OK);
        assert_eq!(seqs(&page), wanted, "{query}");
        assert_eq!(page["hasMore"], more, "{query}");
    }
    for query in ["?before=3&after=1", "?before=x", "?after=-1"] {
        let answer = api.get("bob", &format!("{path}{query}")).send().await;
        answer.refused(422, "invalid");
    }
}

#[tokio::test]
async fn reading_moves_the_cursor_and_tells() {
    let api = Api::start().await;
    let group = api.group("alice", &["bob"]).await;
    let mut messages = Vec::new();
    for n in 1..=3 {
        messages.push(api.say("alice", &group, &format!("m{n}")).await);
    }
    let path = format!("/api/conversations/{group}");
    let read = format!("{path}/read");
    let state = || async {
        let shown = api.get("bob", &path).send().await.expect(StatusCode::OK);
        let conversation = &shown["conversation"];
        let bob = &conversation["participants"][1];
        (
            bob["readSeq"].as_u64().unwrap(),
            bob["deliveredSeq"].as_u64().unwrap(),
            conversation["unreadCount"].as_u64().unwrap(),
        )
    };
    assert_eq!(state().await, (0, 0, 3));
    api.sockets.take();

    let body = json!({"messageId": messages[0]["id"]});
    let answer = api.post("bob", &read).json(body).await;
    answer.expect(StatusCode::NO_CONTENT);
    assert_eq!(state().await, (1, 1, 2));
    assert!(matches!(&api.sockets.take()[..], [Event::MessageRead(r)] if r.seq == 1));

    let ids = [&messages[1]["id"], &messages[0]["id"]];
    let answer = api.post("bob", &read).json(json!({"messageIds": ids})).await;
    answer.expect(StatusCode::NO_CONTENT);
    assert_eq!(state().await, (2, 2, 1));

    // Without a body: all of it.
    let answer = api.by("bob", Method::POST, &read).send().await;
    answer.expect(StatusCode::NO_CONTENT);
    assert_eq!(state().await, (3, 3, 0));
    let shown = api.get("bob", &path).send().await.expect(StatusCode::OK);
    let bob = &shown["conversation"]["participants"][1];
    assert!(bob["readAt"].is_string());

    let unknown = json!({"messageId": "no-such"});
    let answer = api.post("bob", &read).json(unknown).await;
    answer.refused(404, "not_found");
    let many: Vec<_> = (0..201).map(|n| n.to_string()).collect();
    let answer = api.post("bob", &read).json(json!({"messageIds": many})).await;
    answer.refused(413, "too_large");
}
