//! Presence, socket tokens, health.

use axum::http::{Method, StatusCode};
use porchlight::chat::Millis;
use serde_json::{Value, json};

use super::{Api, id};

#[tokio::test]
async fn presence_is_for_those_who_know_each_other() {
    let api = Api::start().await;
    api.group("alice", &["bob", "carol"]).await;
    api.group("eve", &["mallory"]).await;
    api.connect("bob").await;
    api.connect("eve").await;
    let seen = Millis(1_700_000_000_123);
    api.store.set_last_seen(&id("carol"), seen).await.unwrap();

    let path = "/api/presence?users=bob,carol,eve,alice,nobody,";
    let shown = api.get("alice", path).send().await.expect(StatusCode::OK);
    let bob = json!({"userId": "bob", "online": true, "status": "online", "lastSeen": null});
    let carol = json!({"userId": "carol", "online": false, "status": "offline",
        "lastSeen": "2023-11-14T22:13:20.123Z"});
    let alice = json!({"userId": "alice", "online": false, "status": "offline", "lastSeen": null});
    assert_eq!(shown, json!({"presence": [bob, carol, alice]}));

    let asked = api.service(Method::GET, path).header("x-act-as", "alice");
    let all = asked.send().await.expect(StatusCode::OK);
    let users = all["presence"].as_array().unwrap().iter();
    let users: Vec<&Value> = users.map(|p| &p["userId"]).collect();
    assert_eq!(
        json!(users),
        json!(["bob", "carol", "eve", "alice", "nobody"])
    );

    let none = api.get("alice", "/api/presence?users=").send().await;
    assert_eq!(none.expect(StatusCode::OK), json!({"presence": []}));
    for query in ["", "?users=a%20b", "?users=a&users=b"] {
        let path = format!("/api/presence{query}");
        api.get("alice", &path).send().await.refused(422, "invalid");
    }
    let many: Vec<_> = (0..501).map(|n| n.to_string()).collect();
    let path = format!("/api/presence?users={}", many.join(","));
    api.get("alice", &path)
        .send()
        .await
        .refused(413, "too_large");
}

#[tokio::test]
async fn a_session_gets_a_socket_token() {
    let api = Api::start().await;
    let path = "/api/auth/socket-token";
    let before = api.chat.now();
    let minted = api.by("alice", Method::POST, path).send().await;
    let minted = minted.expect(StatusCode::OK);
    let token = minted["token"].as_str().unwrap();
    let identity = api.auth.verify(token).await.unwrap();
    assert_eq!(identity.profile.id, id("alice"));
    assert_eq!(&*identity.profile.name, "Alice");
    let expires = Millis::from_iso(minted["expiresAt"].as_str().unwrap()).unwrap();
    assert_eq!(identity.expires_at, Some(expires));
    let lives = (expires.0 - before.0) / 1000;
    assert!((86_390..=86_410).contains(&lives), "{lives} s");

    // It proves a session itself.
    let again = api.ask(Method::POST, path).bearer(token).send().await;
    again.expect(StatusCode::OK);
    let nobody = api.ask(Method::POST, path).send().await;
    nobody.refused(401, "unauthorized");
    let acting = api.service(Method::POST, path).header("x-act-as", "bob");
    let acting = acting.send().await.expect(StatusCode::OK);
    let identity = api.auth.verify(acting["token"].as_str().unwrap()).await;
    assert_eq!(identity.unwrap().profile.id, id("bob"));
}

#[tokio::test]
async fn health_has_the_shape_that_apps_check() {
    let api = Api::start().await;
    let answer = api.ask(Method::GET, "/api/socket/health").send().await;
    let socket = json!({"initialized": true, "connected": 5, "rooms": 12});
    assert_eq!(
        answer.expect(StatusCode::OK),
        json!({"status": "ok", "socket": socket})
    );
}
