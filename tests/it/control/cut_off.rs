//! A node that cannot hear the others, but reach the database.

use std::time::Instant;

use serde_json::{Value, json};

use super::{Pair, SOON_CUT_OFF, contents, given, refusal};

#[tokio::test(flavor = "multi_thread")]
async fn it_notices_by_itself_who_is_sent_away() {
    let mut pair = Pair::start().await;
    pair.cut_off().await;
    for (path, code) in [
        ("users/bob/disconnect", None),
        ("users/bob/revoke", Some("token_revoked")),
        ("tokens/revoke", Some("token_revoked")),
    ] {
        let token = pair.b.token("bob");
        let mut bob = pair.bob_with(&token).await;
        let body = match path {
            "tokens/revoke" => json!({ "token": token }),
            _ => json!({}),
        };
        pair.order(path, body).await;
        let since = Instant::now();
        assert!(bob.banned().await, "{path}");
        pair.until_empty(since, SOON_CUT_OFF).await;
        assert!(given(bob).await.is_empty());
        let refused = refusal(&pair.b, &token).await;
        assert_eq!(refused.is_some(), code.is_some(), "{path}: {refused:?}");
        assert!(refused.is_none_or(|r| r.contains("token_revoked")));
        pair.allow_again().await;
    }
    // It comes back and has nothing to make good.
    let mut bob = pair.bob().await;
    pair.reconnect().await;
    pair.say("hello").await;
    assert_eq!(bob.event("message:new").await["content"], "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_notices_by_itself_who_is_removed() {
    for (stalled, deleted) in [(false, false), (true, false), (false, true)] {
        let mut pair = Pair::start().await;
        let mut bob = pair.bob().await;
        if stalled {
            pair.flood().await;
        }
        pair.cut_off().await;
        let path = match deleted {
            true => format!("/api/conversations/{}", pair.room),
            false => format!("/api/conversations/{}/participants/bob", pair.room),
        };
        pair.a.rest("ann", "DELETE", &path, Value::Null).await;
        let since = Instant::now();
        if !deleted {
            pair.say("secret").await;
        }
        pair.b.until_health(1, 0).await;
        let took = since.elapsed();
        assert!(took < SOON_CUT_OFF, "out of the room after {took:?}");
        pair.reconnect().await;
        if !deleted {
            pair.say("another secret").await;
        }
        assert_eq!(
            bob.event("conversation:deleted").await["conversationId"],
            pair.room.as_str()
        );
        bob.call("conversation:join", json!(pair.room)).await;
        let heard = contents(&bob);
        assert!(heard.iter().all(|m| !m.contains("secret")), "{heard:?}");
    }
}
