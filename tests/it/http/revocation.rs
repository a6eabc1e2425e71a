//! Revoking users and tokens: what backends may ask, and what their users are answered then.

use axum::http::{Method, StatusCode};
use porchlight::{
    auth::Authenticator,
    chat::{Clock, Millis, SystemClock},
};
use serde_json::{Value, json};

use super::{Answer, Api};

async fn post(api: &Api, path: &str, body: Value) -> Answer {
    let path = format!("/api/service/{path}");
    api.service(Method::POST, &path).json(body).await
}

async fn listed(api: &Api, token: &str) -> Answer {
    let ask = api.ask(Method::GET, "/api/conversations");
    ask.bearer(token).send().await
}

#[tokio::test]
async fn a_revoked_user_is_refused_until_allowed_again() {
    let api = Api::start().await;
    let (bob, ann) = (api.token("bob"), api.token("ann"));
    let before = SystemClock.now();
    let revoke = api.service(Method::POST, "/api/service/users/bob/revoke");
    let revoked = revoke.send().await.expect(StatusCode::ACCEPTED);
    assert_eq!(revoked["until"], Value::Null);
    let cut = Millis::from_iso(revoked["issuedBefore"].as_str().unwrap()).unwrap();
    assert_eq!(cut.0 % 1000, 0, "a whole second");
    assert!((1..=2000).contains(&(cut.0 - before.0)));
    let problem = listed(&api, &bob).await.refused(401, "unauthorized");
    let detail = "token_revoked: the token or its user was revoked";
    assert_eq!(problem["detail"], detail);
    let mint = api.ask(Method::POST, "/api/auth/socket-token").bearer(&bob);
    mint.send().await.refused(401, "unauthorized");
    listed(&api, &ann).await.expect(StatusCode::OK);
    // A backend is trusted with whom it acts for.
    let acting = api.service(Method::GET, "/api/conversations");
    let acting = acting.header("x-act-as", "bob").send().await;
    acting.expect(StatusCode::OK);

    let shown = async || {
        let user = api.service(Method::GET, "/api/service/users/bob");
        user.send().await.expect(StatusCode::OK)["revocation"].clone()
    };
    assert_eq!(shown().await, revoked);
    let until = before.plus(3_600_000).to_iso();
    let body = json!({ "block": true, "until": until });
    let blocked = post(&api, "users/bob/revoke", body).await;
    let blocked = blocked.expect(StatusCode::ACCEPTED);
    assert_eq!(blocked, json!({ "issuedBefore": null, "until": until }));
    assert_eq!(shown().await, blocked);
    for lifted in [true, false] {
        let allowed = post(&api, "users/bob/allow", json!({})).await;
        assert_eq!(allowed.expect(StatusCode::OK), json!({ "lifted": lifted }));
    }
    assert_eq!(shown().await, Value::Null);
    listed(&api, &bob).await.expect(StatusCode::OK);
    let wanted = ["tokens:bob", "user:bob", "tokens:bob", "user:bob"];
    assert_eq!(api.sockets.take_subjects(), wanted);
}

#[tokio::test]
async fn tokens_issued_after_a_time_are_spared() {
    let api = Api::start().await;
    let bob = api.token("bob");
    let revoke = async |ms: i64| {
        let before = SystemClock.now().plus(ms).to_iso();
        let body = json!({ "issuedBefore": before });
        post(&api, "users/bob/revoke", body)
            .await
            .expect(StatusCode::ACCEPTED);
    };
    revoke(-60_000).await;
    listed(&api, &bob).await.expect(StatusCode::OK);
    revoke(60_000).await;
    listed(&api, &bob).await.refused(401, "unauthorized");
    // What was revoked stays so.
    revoke(-60_000).await;
    listed(&api, &bob).await.refused(401, "unauthorized");
}

#[tokio::test]
async fn a_token_is_revoked_by_itself_or_by_its_id() {
    let api = Api::start().await;
    let [by_itself, by_id, spared] = [(); 3].map(|()| api.token("bob"));
    let id = api.auth.verify(&by_id).await.unwrap().token_id.unwrap();
    for body in [json!({ "token": by_itself }), json!({ "jti": &*id })] {
        let answer = post(&api, "tokens/revoke", body.clone()).await;
        answer.expect(StatusCode::ACCEPTED);
        // Again is as good.
        let answer = post(&api, "tokens/revoke", body).await;
        answer.expect(StatusCode::ACCEPTED);
    }
    for token in [&by_itself, &by_id] {
        listed(&api, token).await.refused(401, "unauthorized");
    }
    listed(&api, &spared).await.expect(StatusCode::OK);
    let lifted = post(&api, "tokens/allow", json!({ "token": by_itself })).await;
    assert_eq!(lifted.expect(StatusCode::OK), json!({ "lifted": true }));
    listed(&api, &by_itself).await.expect(StatusCode::OK);
    let kept = tokio::fs::read(api.dir.path().join("chat.db"))
        .await
        .unwrap();
    let wal = tokio::fs::read(api.dir.path().join("chat.db-wal"))
        .await
        .unwrap_or_default();
    for token in [&by_itself, &by_id] {
        let part = &token.as_bytes()[token.len() - 20..];
        let found = [&kept, &wal].map(|f| f.windows(20).any(|w| w == part));
        assert_eq!(found, [false, false], "no token is kept");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let api = Api::start().await;
    let past = SystemClock.now().plus(-1000).to_iso();
    for body in [
        json!({ "until": past }),
        json!({ "until": "tomorrow" }),
        json!({ "issuedBefore": 7 }),
        json!({ "block": true, "issuedBefore": past }),
        json!({ "block": "yes" }),
    ] {
        let answer = post(&api, "users/bob/revoke", body).await;
        answer.refused(422, "invalid");
    }
    let token = api.token("bob");
    let mut forged = token.clone();
    forged.pop();
    forged.push(if token.ends_with('A') { 'E' } else { 'A' });
    for body in [
        json!({}),
        json!({ "token": token, "jti": "x" }),
        json!({ "token": token, "until": "2100-01-01T00:00:00Z" }),
        json!({ "token": "x" }),
        json!({ "token": forged }),
        json!({ "jti": "" }),
        json!({ "jti": "x", "until": past }),
    ] {
        let answer = post(&api, "tokens/revoke", body.clone()).await;
        let problem = answer.refused(422, "invalid").to_string();
        assert!(!problem.contains(&token), "{problem}");
    }
    assert!(api.sockets.take().is_empty());
    assert!(Authenticator::key_of_id("x").is_ok());
}
