//! What a revoked token takes with it, and what it leaves.

use std::time::Instant;

use serde_json::{Value, json};

use super::{Pair, SOON, given, refusal};
use crate::support::{
    node::{Node, until},
    sio::Sio,
};

/// The socket token that a node makes for the holder of another one.
async fn socket_token(node: &Node, token: &str) -> Option<String> {
    let path = "/api/auth/socket-token";
    let (status, body) = node.bearing(token, "POST", path).await;
    (status == 200).then(|| body["token"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_minted_from_it_ends_with_it() {
    let pair = Pair::start().await;
    // Two sign-ins, and what grew out of each.
    let (session, other) = (pair.b.token("bob"), pair.b.token("bob"));
    let first = socket_token(&pair.a, &session).await.unwrap();
    let renewed = socket_token(&pair.b, &first).await.unwrap();
    let sibling = socket_token(&pair.b, &session).await.unwrap();
    let others = socket_token(&pair.b, &other).await.unwrap();
    let accepted = async |token: &str| refusal(&pair.b, token).await.is_none();

    // A socket token takes those that renew it, and leaves the session and what else it made.
    let live = pair.bob_with(&renewed).await;
    pair.order("tokens/revoke", json!({ "token": first })).await;
    assert!(given(live).await.is_empty());
    let all = [&first, &renewed, &sibling, &session, &others];
    for (token, stays) in all.into_iter().zip([false, false, true, true, true]) {
        assert_eq!(accepted(token).await, stays);
    }
    assert_eq!(socket_token(&pair.b, &renewed).await, None);
    // The session takes all that was made from it.
    pair.order("tokens/revoke", json!({ "token": session }))
        .await;
    until(
        async || !accepted(&sibling).await,
        || "it slipped through".into(),
    )
    .await;
    for (token, stays) in all.into_iter().zip([false, false, false, false, true]) {
        assert_eq!(accepted(token).await, stays);
    }
    // And gives it back.
    let lifted = pair
        .order("tokens/allow", json!({ "token": session }))
        .await;
    assert_eq!(lifted["lifted"], true);
    until(async || accepted(&sibling).await, || "it is refused".into()).await;
    assert!(!accepted(&renewed).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_user_takes_socket_tokens_made_afterwards_from_older_sessions() {
    let pair = Pair::start().await;
    let session = pair.b.token("bob");
    // Made by a node that does not know yet: its time of issue is after the revocation.
    let before = pair.a.now().plus(1);
    until(
        async || pair.a.now().0 / 1000 > before.0 / 1000 + 1,
        || "time stands still".into(),
    )
    .await;
    let made = socket_token(&pair.b, &session).await.unwrap();
    let body = json!({ "issuedBefore": before.plus(1000).to_iso() });
    pair.order("users/bob/revoke", body).await;
    until(
        async || refusal(&pair.b, &made).await.is_some(),
        || "it slipped through".into(),
    )
    .await;
    assert!(refusal(&pair.b, &pair.b.token("bob")).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_goes_with_any_token_that_it_showed() {
    let pair = Pair::start().await;
    for which in 0..3 {
        let tokens = [(); 3].map(|()| pair.b.token("bob"));
        let mut bob = pair.bob_with(&tokens[0]).await;
        for token in &tokens[1..] {
            let renewed = bob.call("authenticate", json!({ "token": token })).await;
            assert_eq!(renewed["ok"], true, "{renewed}");
        }
        pair.order("tokens/revoke", json!({ "token": tokens[which] }))
            .await;
        let since = Instant::now();
        assert!(bob.banned().await);
        pair.until_empty(since, SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_renews_nothing() {
    let pair = Pair::start().await;
    let revoked = pair.b.token("bob");
    pair.order("tokens/revoke", json!({ "token": revoked }))
        .await;
    let mut bob = pair.bob().await;
    until(
        async || refusal(&pair.b, &revoked).await.is_some(),
        || "it is accepted".into(),
    )
    .await;
    let refused = bob.call("authenticate", json!({ "token": revoked })).await;
    assert_eq!(refused["error"]["code"], "unauthorized");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("token_revoked: "), "{message}");
    // The connection stands on another one.
    pair.a
        .service("GET", "/api/service/stats", Value::Null)
        .await;
    assert_eq!(
        bob.call("conversation:join", json!(pair.room)).await["ok"],
        true
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_ends_when_it_says() {
    let pair = Pair::start().await;
    let token = pair.b.token("bob");
    let until_then = pair.a.now().plus(1500);
    let body = json!({ "block": true, "until": until_then.to_iso() });
    pair.order("users/bob/revoke", body).await;
    assert!(refusal(&pair.a, &token).await.is_some());
    until(
        async || refusal(&pair.a, &token).await.is_none(),
        || "it never ends".into(),
    )
    .await;
    assert!(pair.a.now() >= until_then);
}

/// What no token stands behind goes with the user as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_believed_without_a_token_is_not_when_revoked() {
    let node = Node::with(|c| c.auth.trust_new_user = true).await;
    let nobody = json!({ "dialect": "direct" });
    let connect = async || Sio::connect(node.addr, nobody.clone()).await.unwrap();
    let mut bob = connect().await;
    assert_eq!(bob.call("newUser", json!("bob")).await["ok"], true);
    node.service("POST", "/api/service/users/bob/revoke", Value::Null)
        .await;
    assert!(bob.banned().await);
    node.until_health(0, 0).await;
    let refused = connect().await.call("newUser", json!("bob")).await;
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("token_revoked: "), "{message}");
    let accepted = connect().await.call("newUser", json!("cid")).await;
    assert_eq!(accepted["ok"], true);
}
