//! Presence, socket tokens, health.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::{Method, StatusCode};
use porchlight::chat::{
    Absence, DeviceId, Millis, Presence, PresenceInfo, PresenceNews, Status, Unavailable, UserId,
};
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

/// The session cookies that NextAuth v4 (next-auth 4.24) and Auth.js v5 (@auth/core 0.41) made of
/// `{"sub":"alice","name":"Alice"}` with this secret, good for a hundred years.
const NEXTAUTH_SECRET: &str = "a NextAuth secret for the tests of REST 0123";
const SESSIONS: [&str; 2] = [
    "next-auth.session-token=eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..yzt5796OUm5_m_Jv.okg6hCTumAUfF5ijrlrWpGj9SbNqIZ0LkS6QcDR_HPdQam1mMKJnYrVThi77ACsUBvZuJBFMOw3bCB7Byyu1GH_OvUQnUoDpzIfDxDVCWuuXREgVbpuX8iMuXR1XSfZw3fRtQYH4domRok0t9A.3KL6pm_da-bmn_sqDiYSKg",
    "authjs.session-token=eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2Q0JDLUhTNTEyIiwia2lkIjoiS05LbVVlbWFub2pHOUY2djZJRERTdktnVmtMX0hnMkJBdFhtRUQ4b2xVNV9EWnV3QVZidlRjQ0FRcDJDOTAyaG1HN2hkR25KamJUZVRTczV5YjZBVFEifQ..Pc5NcItkvnZuD4UZUOXMSw.kPBnVi2OL65NDl15VHrdkJo8-gX0csUZJQcWZhFqjbaTjzPTIE54yr0Yvq9FopXa0gZ76aKR1MM10PzAAK-TbclxFGiDDczLOi4ACh8frUZ8aOrkczsT0JhT0Sft5sHZ6TwYVTdVgV0rgsFwibnx6g.vZtWXFecaoq4zw3_fWdD4Wdrc5bsI-uidmDc2eS5808",
];

#[tokio::test]
async fn a_session_cookie_gets_a_socket_token() {
    let api = Api::with(&[("NEXTAUTH_SECRET", NEXTAUTH_SECRET)]).await;
    let path = "/api/auth/socket-token";
    for session in SESSIONS {
        let ask = api.ask(Method::POST, path).header("cookie", session);
        let minted = ask.send().await.expect(StatusCode::OK);
        let token = minted["token"].as_str().unwrap();
        let identity = api.auth.verify(token).await.unwrap();
        assert_eq!(&*identity.profile.name, "Alice");
        let me = api.ask(Method::GET, "/api/conversations").bearer(token);
        me.send().await.expect(StatusCode::OK);
        let changed = session.replace("..", "..x");
        let ask = api.ask(Method::POST, path).header("cookie", changed);
        ask.send().await.refused(401, "unauthorized");
    }
}

/// What is missing: whoever knows who is connected.
struct NoPresence;

fn down<T>() -> Result<T, Unavailable> {
    Err(Unavailable {
        what: "redis",
        source: "connection refused".into(),
    })
}

#[async_trait]
impl Presence for NoPresence {
    async fn enter(&self, _: &UserId, _: &DeviceId) -> Result<bool, Unavailable> {
        down()
    }
    async fn leave(&self, _: &UserId, _: &DeviceId) -> Result<Option<Absence>, Unavailable> {
        down()
    }
    async fn settle(&self, _: &UserId, _: Absence) -> Result<bool, Unavailable> {
        down()
    }
    async fn set_status(&self, _: &UserId, _: Status) -> Result<bool, Unavailable> {
        down()
    }
    async fn get(&self, _: &[UserId]) -> Result<Vec<PresenceInfo>, Unavailable> {
        down()
    }
    async fn devices(&self, _: &UserId) -> Result<Vec<DeviceId>, Unavailable> {
        down()
    }
    async fn changes(&self) -> Vec<PresenceNews> {
        std::future::pending().await
    }
    fn heard(&self, _: &UserId, _: bool) -> bool {
        true
    }
    fn missed(&self) {}

    fn concerns(&self, _: Vec<UserId>) {}
    async fn close(&self) {}
    async fn online(&self, _: Option<&UserId>, _: u32) -> Result<Vec<UserId>, Unavailable> {
        down()
    }
}

#[tokio::test]
async fn conversations_are_shown_without_presence() {
    let api = Api::on(&[], Arc::new(NoPresence)).await;
    let group = api.group("alice", &["bob"]).await;
    let list = api.get("bob", "/api/conversations").send().await;
    let list = list.expect(StatusCode::OK);
    assert_eq!(list["conversations"][0]["id"], group.as_str());
    let participant = &list["conversations"][0]["participants"][0];
    assert_eq!(participant["online"], Value::Null);
    assert_eq!(participant["status"], Value::Null);
    // Asked for nothing else, it cannot be answered.
    let answer = api.get("bob", "/api/presence?users=alice").send().await;
    answer.refused(503, "unavailable");
}
