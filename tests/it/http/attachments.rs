//! Attachments of messages over REST.

use axum::http::StatusCode;
use porchlight::chat::{Attachment, Dimensions, Event, Millis, Upload, UploadId};
use serde_json::{Value, json};

use super::{Api, id};

/// An upload as if it had arrived.
async fn uploaded(api: &Api, name: &str, owner: &str) {
    let sides = Dimensions {
        width: 2,
        height: 1,
    };
    let upload = Upload {
        owner: id(owner),
        file: Attachment::new(
            UploadId::new(name).unwrap(),
            "a.png".into(),
            "image/png".into(),
            70,
            Some(sides),
            true,
        ),
        created_at: Millis(1),
    };
    let (file, store) = (&upload.file, &api.store);
    store
        .begin_upload(&file.id, &upload.owner, Millis(1))
        .await
        .unwrap();
    store.complete_upload(&upload, Millis(2)).await.unwrap();
}

#[tokio::test]
async fn a_message_shows_its_attachments() {
    let api = Api::start().await;
    let group = api.group("alice", &["bob"]).await;
    uploaded(&api, "u-1", "alice").await;
    uploaded(&api, "u-2", "alice").await;
    api.sockets.take();
    let body = json!({"conversationId": group, "clientId": "k",
        "attachments": ["u-1", {"url": "http://x/api/uploads/u-2"}, {"id": "u-1"}]});
    let sent = api.post("alice", "/api/messages").json(body.clone()).await;
    let message = sent.expect(StatusCode::CREATED)["message"].clone();
    assert_eq!(message["content"], "");
    let one = json!({"id": "u-1", "name": "a.png", "type": "image/png", "size": 70, "width": 2,
        "height": 1, "url": "/api/uploads/u-1", "thumbnailUrl": "/api/uploads/u-1/thumbnail"});
    assert_eq!(message["attachments"][0], one);
    assert_eq!(message["attachments"][1]["id"], "u-2");
    assert_eq!(message["attachments"].as_array().unwrap().len(), 2);
    let told = api.sockets.take();
    let [Event::MessageCreated { message: told, .. }] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(told.attachments.len(), 2);
    let again = api.post("alice", "/api/messages").json(body).await;
    assert_eq!(again.expect(StatusCode::OK)["message"], message);
    let path = format!("/api/conversations/{group}/messages");
    let history = api.get("bob", &path).send().await.expect(StatusCode::OK);
    assert_eq!(history["messages"][0], message);
    // A message without them has no such field.
    let plain: Value = api.say("alice", &group, "hi").await;
    assert_eq!(plain.get("attachments"), None);
}

#[tokio::test]
async fn what_cannot_be_attached_is_refused() {
    let api = Api::with(&[("PORCHLIGHT_CHAT_MAX_ATTACHMENTS", "2")]).await;
    let group = api.group("alice", &["bob"]).await;
    for n in 1..=3 {
        uploaded(&api, &format!("u-{n}"), "alice").await;
    }
    uploaded(&api, "theirs", "bob").await;
    for (attachments, status, code) in [
        (json!(["theirs"]), 403, "forbidden"),
        (json!(["u-1", "nobody-s"]), 403, "forbidden"),
        (json!(["https://example.org/cat.png"]), 422, "invalid"),
        (json!([{"name": "u-1"}]), 422, "invalid"),
        (json!([7]), 422, "invalid"),
        (json!("u-1"), 422, "invalid"),
        (json!([]), 422, "invalid"),
        (json!(["u-1", "u-2", "u-3"]), 413, "too_large"),
    ] {
        let body = json!({"conversationId": group, "attachments": attachments});
        let answer = api.post("alice", "/api/messages").json(body).await;
        answer.refused(status, code);
    }
}
