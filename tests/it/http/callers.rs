//! Who calls: tokens, sessions, API keys, acting for a user; and how often they may.

use axum::http::{Method, StatusCode, header};
use serde_json::json;

use super::{API_KEY, Api, SECRET};

const LIST: &str = "/api/conversations";

#[tokio::test]
async fn nobody_is_anonymous() {
    let api = Api::start().await;
    let expired = {
        use porchlight::chat::{ManualClock, Millis, Profile};
        let mut config = porchlight::config::load(&porchlight::config::Sources::new(
            None,
            [("JWT_SECRET", SECRET)],
        ))
        .unwrap()
        .config;
        config.auth.api_keys.clear();
        let past = std::sync::Arc::new(ManualClock::at(Millis(1_600_000_000_000)));
        let auth = porchlight::auth::Authenticator::new(&config.auth, past).unwrap();
        let profile = Profile::unknown(super::id("alice"));
        let ttl = std::time::Duration::from_secs(60);
        auth.mint(&profile, ttl).unwrap().token
    };
    let forged = api.token("alice").replace('.', ".x");
    let with = |name: &str, value: String| api.ask(Method::GET, LIST).header(name, value);
    for ask in [
        api.ask(Method::GET, LIST),
        with("authorization", String::new()),
        with("authorization", "Bearer ".to_owned()),
        with("authorization", format!("Basic {}", api.token("alice"))),
        with("authorization", format!("Bearer {forged}")),
        with("authorization", format!("Bearer {expired}")),
        with("authorization", format!("Bearer {API_KEY}x")),
        with("x-api-key", "wrong".to_owned()),
        with("x-api-key", String::new()),
        // A wrong key is not made up for by a right token.
        with("x-api-key", "wrong".to_owned()).bearer(&api.token("alice")),
        with("cookie", format!("token={}", api.token("alice"))),
        api.ask(Method::GET, &format!("{LIST}?token={}", api.token("alice"))),
    ] {
        let answer = ask.send().await;
        let problem = answer.refused(401, "unauthorized");
        assert!(
            answer
                .header(header::WWW_AUTHENTICATE)
                .starts_with("Bearer")
        );
        let text = problem.to_string();
        assert!(!text.contains("wrong") && !text.contains(API_KEY) && !text.contains("eyJ"));
    }
    let answer = api
        .ask(Method::GET, LIST)
        .header("authorization", format!("Bearer {expired}"));
    let problem = answer.send().await.refused(401, "unauthorized");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .starts_with("token_expired")
    );
    // The scheme's case does not matter.
    let answer = api
        .ask(Method::GET, LIST)
        .header("authorization", format!("bearer {}", api.token("alice")));
    answer.send().await.expect(StatusCode::OK);
}

#[tokio::test]
async fn configured_places_of_tokens_work() {
    let api = Api::with(&[
        ("PORCHLIGHT_AUTH_COOKIE", "chat"),
        ("PORCHLIGHT_AUTH_QUERY_PARAMETER", "token"),
    ])
    .await;
    let token = api.token("alice");
    let answer = api.ask(Method::GET, LIST).header("cookie", "a=b");
    let answer = answer.header("cookie", format!("chat={token}"));
    answer.send().await.expect(StatusCode::OK);
    let answer = api.ask(Method::GET, &format!("{LIST}?limit=3&token={token}"));
    answer.send().await.expect(StatusCode::OK);
}

/// A page of another site must not be able to act with its visitor's cookie, whatever it manages
/// to make the browser send.
#[tokio::test]
async fn foreign_pages_do_not_act_with_cookies() {
    let api = Api::with(&[
        ("PORCHLIGHT_AUTH_COOKIE", "chat"),
        ("PORCHLIGHT_SERVER_CORS_ORIGINS", "https://app.example"),
    ])
    .await;
    let cookie = format!("chat={}", api.token("alice"));
    let path = "/api/auth/socket-token";
    let from = |origin: &str| {
        let ask = api.ask(Method::POST, path).header("cookie", &cookie);
        ask.header("host", "chat.example").header("origin", origin)
    };
    for origin in [
        "https://evil.example",
        "null",
        "https://app.example.evil.example",
    ] {
        from(origin).send().await.refused(403, "forbidden");
    }
    for origin in ["https://app.example", "https://chat.example"] {
        from(origin).send().await.expect(StatusCode::OK);
    }
    let answer = api.ask(Method::POST, path).header("cookie", &cookie);
    answer.send().await.expect(StatusCode::OK);
    // Who holds the token itself is no confused browser.
    let answer = from("https://evil.example").bearer(&api.token("alice"));
    answer.send().await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_service_acts_for_any_user() {
    let api = Api::start().await;
    for ask in [
        api.service(Method::POST, LIST),
        api.ask(Method::POST, LIST).bearer(API_KEY),
    ] {
        let id = format!("order-{}", api.sockets.take().len());
        let body = json!({"otherUserId": "bob", "id": id});
        let ask = ask.header("x-act-as", "alice");
        let made = ask
            .header("x-act-as-name", "Alice%20Zo%C3%AB")
            .json(body)
            .await;
        assert!(made.status.is_success(), "{}", made.json());
        let conversation = &made.json()["conversation"];
        assert_eq!(conversation["id"], "order-0");
        assert_eq!(conversation["participants"][0]["name"], "Alice Zo\u{eb}");
    }
    // Roles do not bind it.
    let group = api.group("carol", &["dave"]).await;
    let path = format!("{LIST}/{group}");
    let ask = api.service(Method::PATCH, &path).header("x-act-as", "dave");
    let renamed = ask.json(json!({"title": "By the backend"})).await;
    assert_eq!(
        renamed.expect(StatusCode::OK)["conversation"]["title"],
        "By the backend"
    );
    // But it says things as the user, where the user takes part.
    let say = |user: &'static str| {
        let ask = api.service(Method::POST, "/api/messages");
        let body = json!({"conversationId": group, "content": "hi"});
        ask.header("x-act-as", user).json(body)
    };
    let said = say("dave").await.expect(StatusCode::CREATED);
    assert_eq!(said["message"]["senderId"], "dave");
    say("eve").await.refused(403, "forbidden");
    let taken = api.service(Method::POST, LIST).header("x-act-as", "carol");
    let body = json!({"isGroup": true, "title": "x", "id": group});
    taken.json(body).await.refused(409, "conflict");
}

#[tokio::test]
async fn acting_for_somebody_is_said_clearly() {
    let api = Api::start().await;
    let answer = api.service(Method::GET, LIST).send().await;
    answer.refused(422, "invalid");
    for (name, value) in [
        ("x-act-as", "not an id"),
        ("x-act-as", ""),
        ("x-act-as-name", "%zz"),
        ("x-act-as-name", "%20"),
        ("x-act-as-name", "a%00b"),
    ] {
        let mut ask = api.service(Method::GET, LIST).header(name, value);
        if name != "x-act-as" {
            ask = ask.header("x-act-as", "alice");
        }
        ask.send().await.refused(422, "invalid");
    }
    let answer = api
        .get("eve", LIST)
        .header("x-act-as", "alice")
        .send()
        .await;
    answer.refused(403, "forbidden");
    let answer = api.ask(Method::GET, LIST).header("x-act-as", "alice");
    answer.send().await.refused(403, "forbidden");
}

#[tokio::test]
async fn callers_are_limited_each_on_their_own() {
    let api = Api::with(&[
        ("PORCHLIGHT_LIMITS_REQUESTS_PER_SECOND", "1"),
        ("PORCHLIGHT_LIMITS_REQUESTS_BURST", "3"),
    ])
    .await;
    let get = |user: &str| api.get(user, LIST).send();
    for _ in 0..3 {
        get("alice").await.expect(StatusCode::OK);
    }
    let refused = get("alice").await;
    let problem = refused.refused(429, "rate_limited");
    let ms = problem["retryAfterMs"].as_u64().unwrap();
    assert!((1..=1000).contains(&ms), "{ms}");
    assert_eq!(refused.header(header::RETRY_AFTER), "1");
    get("bob").await.expect(StatusCode::OK);

    // Whoever acts for alice uses up what is hers; the service itself is not held back.
    let acting = api.service(Method::GET, LIST).header("x-act-as", "alice");
    acting.send().await.refused(429, "rate_limited");
    for _ in 0..5 {
        let answer = api.service(Method::GET, "/api/service/stats").send().await;
        answer.expect(StatusCode::OK);
    }

    // Nobody known: by address, health and failed attempts together.
    let health = |n| {
        api.ask(Method::GET, "/api/socket/health")
            .from([192, 0, 2, n])
    };
    health(1).send().await.expect(StatusCode::OK);
    for _ in 0..2 {
        let guess = api.ask(Method::GET, LIST).bearer("guess");
        let answer = guess.from([192, 0, 2, 1]).send().await;
        answer.refused(401, "unauthorized");
    }
    let guess = api.ask(Method::GET, LIST).bearer("guess");
    let answer = guess.from([192, 0, 2, 1]).send().await;
    answer.refused(429, "rate_limited");
    health(1).send().await.refused(429, "rate_limited");
    health(2).send().await.expect(StatusCode::OK);
    // A user behind that address is not held back.
    let answer = api.get("carol", LIST).from([192, 0, 2, 1]).send().await;
    answer.expect(StatusCode::OK);
}

#[tokio::test]
async fn messages_are_limited_apart_from_requests() {
    let api = Api::with(&[
        ("PORCHLIGHT_LIMITS_MESSAGES_PER_SECOND", "1"),
        ("PORCHLIGHT_LIMITS_MESSAGES_BURST", "2"),
    ])
    .await;
    let group = api.group("alice", &["bob"]).await;
    let body = json!({"conversationId": group, "content": "hi"});
    for _ in 0..2 {
        let sent = api.post("alice", "/api/messages").json(body.clone()).await;
        sent.expect(StatusCode::CREATED);
    }
    let refused = api.post("alice", "/api/messages").json(body.clone()).await;
    refused.refused(429, "rate_limited");
    let sent = api.post("bob", "/api/messages").json(body).await;
    sent.expect(StatusCode::CREATED);
    api.get("alice", LIST).send().await.expect(StatusCode::OK);
}
