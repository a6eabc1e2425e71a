//! Where credentials are looked for, and which one counts.

use porchlight::auth::Credentials;
use serde_json::json;

use super::support::*;

fn for_user(user: &str) -> String {
    token(json!({"sub": user}))
}

#[tokio::test]
async fn the_first_place_that_holds_a_token_counts() {
    let auth = authenticator(|cfg| {
        cfg.query_parameter = "token".to_owned();
        cfg.cookie = "session".to_owned();
    });
    let mut credentials = Credentials {
        handshake_token: Some(for_user("handshake")),
        authorization: Some(format!("Bearer {}", for_user("header"))),
        query: Some(format!("EIO=4&token={}&t=1", for_user("query"))),
        cookies: Some(format!("a=b; session={}; c", for_user("cookie"))),
    };
    let empty = |text: &str| Some(text.to_owned());
    assert_eq!(
        outcome(auth.identify(&credentials).await),
        accepted("handshake")
    );
    credentials.handshake_token = empty(" ");
    assert_eq!(
        outcome(auth.identify(&credentials).await),
        accepted("header")
    );
    credentials.authorization = empty("Basic dTpw");
    assert_eq!(
        outcome(auth.identify(&credentials).await),
        accepted("query")
    );
    credentials.query = empty("EIO=4&token=");
    assert_eq!(
        outcome(auth.identify(&credentials).await),
        accepted("cookie")
    );
    credentials.cookies = empty("a=b; session=");
    assert_eq!(outcome(auth.identify(&credentials).await), Err("missing"));
    assert_eq!(
        outcome(auth.identify(&Credentials::default()).await),
        Err("missing")
    );
}

#[tokio::test]
async fn a_refused_token_is_not_made_up_for_by_a_later_place() {
    let auth = authenticator(|_| {});
    let credentials = Credentials {
        handshake_token: Some(token(json!({"sub": "u1", "exp": NOW - 60}))),
        authorization: Some(format!("Bearer {}", for_user("u1"))),
        ..Credentials::default()
    };
    assert_eq!(
        outcome(auth.identify(&credentials).await),
        Err("token_expired")
    );
}

#[tokio::test]
async fn query_and_cookie_are_off_by_default() {
    let credentials = Credentials {
        query: Some(format!("token={0}&=={0}&={0}", for_user("u1"))),
        cookies: Some(format!(
            "token={0}; ={0}; next-auth.session-token={0}; authjs.session-token={0}",
            for_user("u1")
        )),
        ..Credentials::default()
    };
    let result = authenticator(|_| {}).identify(&credentials).await;
    assert_eq!(outcome(result), Err("missing"));
}

#[tokio::test]
async fn the_handshake_token_may_carry_the_scheme() {
    let credentials = Credentials {
        handshake_token: Some(format!("Bearer {}", for_user("u1"))),
        ..Credentials::default()
    };
    let result = authenticator(|_| {}).identify(&credentials).await;
    assert_eq!(outcome(result), accepted("u1"));
}

#[tokio::test]
async fn malformed_headers_are_refused_without_harm() {
    let auth = authenticator(|cfg| {
        cfg.query_parameter = "token".to_owned();
        cfg.cookie = "session".to_owned();
        cfg.nextauth_secret = "a secret".to_owned();
    });
    for text in [
        ";;;===;;",
        "=",
        "session",
        "session=;session=\"",
        "token=&token&&",
        "Bearer",
        "Bearer ",
        "\u{0}\u{FFFD}; \u{1F600}=\u{1F600}",
        "next-auth.session-token.0",
    ] {
        let text = Some(text.to_owned());
        let credentials = Credentials {
            handshake_token: None,
            authorization: text.clone(),
            query: text.clone(),
            cookies: text.clone(),
        };
        let result = auth.identify(&credentials).await;
        assert_eq!(outcome(result), Err("missing"), "{text:?}");
    }
}
