//! Nodes that hear each other.

use std::time::Instant;

use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use super::{FLOOD, Pair, SOON, contents, given, refusal};
use crate::{
    edge::transport::Polling,
    support::{node::until, sio::Sio},
};

/// What sends bob away, with the body that it takes. `TOKEN` stands for his token.
const SENT_AWAY: [(&str, &str); 4] = [
    ("users/bob/disconnect", "{}"),
    ("users/bob/revoke", "{}"),
    ("users/bob/revoke", r#"{"block":true}"#),
    ("tokens/revoke", r#"{"token":"TOKEN"}"#),
];

fn order(path: &str, body: &str, token: &str) -> (String, Value) {
    let body = serde_json::from_str(&body.replace("TOKEN", token)).unwrap();
    (path.to_owned(), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_sent_away_is_gone_at_once() {
    let mut pair = Pair::start().await;
    for (path, body) in SENT_AWAY {
        let token = pair.b.token("bob");
        let mut bob = pair.bob_with(&token).await;
        let (path, body) = order(path, body, &token);
        pair.order(&path, body).await;
        let since = Instant::now();
        assert!(bob.banned().await, "{path}: it is told to stay away");
        pair.say("secret").await;
        let heard = given(bob).await;
        pair.until_empty(since, SOON).await;
        assert!(heard.is_empty(), "{path}: {heard:?}");
        pair.until_offline().await;
        pair.allow_again().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stopped_reading_is_gone_at_once() {
    let mut pair = Pair::start().await;
    for (path, body) in SENT_AWAY {
        let token = pair.b.token("bob");
        let bob = pair.bob_with(&token).await;
        pair.flood().await;
        let (path, body) = order(path, body, &token);
        pair.order(&path, body).await;
        let since = Instant::now();
        pair.say("secret").await;
        pair.until_empty(since, SOON).await;
        pair.until_offline().await;
        // Only then, because whoever reads again in time is given what was sent before.
        tokio::time::sleep_until((since + SOON).into()).await;
        let heard = given(bob).await;
        let count = heard.len() as u64;
        assert!(count < FLOOD, "{path}: it was not behind");
        assert!(heard.iter().all(|m| m != "secret"), "{path}");
        pair.allow_again().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_polls_is_gone_at_once() {
    let mut pair = Pair::start().await;
    for (path, body) in SENT_AWAY {
        for polls in [true, false] {
            let token = pair.b.token("bob");
            let bob = Polling::open(&pair.b, "127.0.0.1").await;
            let handshake = format!("40{}", json!({ "token": token }));
            bob.post(&handshake).await;
            until(
                async || pair.b.health().await.0 == 1,
                || "bob never connected".into(),
            )
            .await;
            bob.post(&format!("42{}", json!(["conversation:join", pair.room])))
                .await;
            pair.b.until_health(1, 1).await;
            bob.get().await;
            let (path, body) = order(path, body, &token);
            let polling = async || {
                let mut got = String::new();
                while let (200, packets) = bob.get().await {
                    got.push_str(&packets);
                }
                got
            };
            let ordered = async {
                pair.order(&path, body).await;
                let since = Instant::now();
                pair.say("secret").await;
                since
            };
            let (got, since) = if polls {
                tokio::join!(polling(), ordered)
            } else {
                let since = ordered.await;
                tokio::time::sleep_until((since + SOON).into()).await;
                (polling().await, since)
            };
            assert_eq!(got.contains("41"), polls, "{path}: {got}");
            assert!(!got.contains("secret"), "{path}: {got}");
            if polls {
                let took = since.elapsed();
                assert!(took < SOON, "{path}: closed after {took:?}");
            }
            pair.b.until_health(0, 0).await;
            pair.until_offline().await;
            pair.allow_again().await;
        }
    }
}

/// Between the check of their token and the moment from which they are found.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_being_admitted_meanwhile_is_gone_at_once() {
    let pair = Pair::start().await;
    for (path, body) in SENT_AWAY {
        let token = pair.b.token("bob");
        let mut held = PgConnection::connect(&pair.database).await.unwrap();
        held.execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            .await
            .unwrap();
        let (addr, auth) = (pair.b.addr, json!({ "token": token }));
        let connecting = tokio::spawn(async move { Sio::connect(addr, auth).await });
        let mut watching = PgConnection::connect(&pair.database).await.unwrap();
        until(
            async || {
                let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted
                    AND relation = 'users'::regclass";
                let count = sqlx::query_scalar::<_, i64>(waiting);
                count.fetch_one(&mut watching).await.unwrap() > 0
            },
            || "the handshake was not held up".into(),
        )
        .await;
        let (path, body) = order(path, body, &token);
        pair.order(&path, body).await;
        held.execute("COMMIT").await.unwrap();
        let since = Instant::now();
        let mut bob = connecting.await.unwrap().expect("it was admitted");
        bob.closed().await;
        assert!(since.elapsed() < SOON);
        assert!(bob.heard("connected").is_empty(), "{path}: it was live");
        pair.allow_again().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_device_goes_and_the_others_stay() {
    let mut pair = Pair::start().await;
    let (mut stays, goes) = (pair.bob().await, pair.bob().await);
    let path = "/api/service/users/bob/devices";
    let devices = pair.a.service("GET", path, Value::Null).await;
    let devices: Vec<_> = devices["devices"].as_array().unwrap().clone();
    assert_eq!(devices.len(), 2);
    // Ids are made in the order of time; the second connection is the later one.
    let last = devices.iter().max_by_key(|d| d.as_str().unwrap()).unwrap();
    pair.order("users/bob/disconnect", json!({ "device": last }))
        .await;
    assert!(given(goes).await.is_empty());
    pair.say("still there").await;
    assert_eq!(stays.event("message:new").await["content"], "still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_tokens_are_refused_everywhere_and_new_ones_are_not() {
    let pair = Pair::start().await;
    let old = pair.b.token("bob");
    pair.order("users/bob/revoke", json!({})).await;
    assert!(refusal(&pair.a, &old).await.is_some(), "where it was given");
    until(
        async || refusal(&pair.b, &old).await.is_some(),
        || "the other node accepts the token".into(),
    )
    .await;
    let late = pair.late().await;
    for node in [&pair.a, &pair.b, &late] {
        let refused = refusal(node, &old).await.unwrap();
        assert!(
            refused.starts_with("unauthorized: token_revoked: "),
            "{refused}"
        );
        let (status, problem) = node.bearing(&old, "GET", "/api/conversations").await;
        assert_eq!((status, &problem["code"]), (401, &json!("unauthorized")));
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("token_revoked: "), "{detail}");
    }
    // A new one is issued in a later second.
    until(
        async || refusal(&late, &pair.b.token("bob")).await.is_none(),
        || "new tokens are refused for ever".into(),
    )
    .await;
    assert!(refusal(&pair.b, &pair.b.token("cid")).await.is_none());

    pair.order("users/bob/revoke", json!({ "block": true }))
        .await;
    until(
        async || refusal(&pair.b, &pair.b.token("bob")).await.is_some(),
        || "a blocked user is accepted".into(),
    )
    .await;
    pair.order("users/bob/allow", json!({})).await;
    until(
        async || refusal(&late, &old).await.is_none(),
        || "who is allowed again is refused".into(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_removed_hears_nothing_more() {
    let mut pair = Pair::start().await;
    for (stalled, deleted) in [(false, false), (true, false), (false, true), (true, true)] {
        pair.room = pair.a.group(&["ann", "bob", "cid"]).await;
        let room = pair.room.clone();
        pair.ann.call("conversation:join", json!(room)).await;
        let mut bob = pair.bob().await;
        if stalled {
            pair.flood().await;
        }
        let path = match deleted {
            true => format!("/api/conversations/{room}"),
            false => format!("/api/conversations/{room}/participants/bob"),
        };
        pair.a.rest("ann", "DELETE", &path, Value::Null).await;
        let since = Instant::now();
        if !deleted {
            pair.say("secret").await;
        }
        pair.b.until_health(1, 0).await;
        let took = since.elapsed();
        assert!(took < SOON, "out of the room after {took:?}");
        assert_eq!(
            bob.event("conversation:deleted").await["conversationId"],
            room.as_str()
        );
        // Answered after whatever was sent before.
        bob.call("conversation:join", json!(room)).await;
        let heard = contents(&bob);
        assert_eq!(heard.len() as u64, if stalled { FLOOD } else { 0 });
        assert!(heard.iter().all(|m| m != "secret"));
    }
}
