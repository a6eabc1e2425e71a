//! HS256 tokens: every refusal, the claims read, rotation of secrets.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use porchlight::{
    auth::{AuthError, MAX_TOKEN_LEN},
    chat::{ChatError, ErrorCode, Millis},
};
use serde_json::{Value, json};

use super::support::*;

async fn verify(claims: Value) -> Result<String, &'static str> {
    outcome(authenticator(|_| {}).verify(&token(claims)).await)
}

#[tokio::test]
async fn claims_are_read() {
    let claims = json!({
        "sub": "u1", "name": "Ada", "email": "ada@example.org", "picture": "https://x/y.png",
        "iat": NOW - 10, "exp": NOW + 60, "jti": "t1",
    });
    let identity = authenticator(|_| {}).verify(&token(claims)).await.unwrap();
    assert_eq!(identity.profile.id.as_str(), "u1");
    assert_eq!(&*identity.profile.name, "Ada");
    assert_eq!(identity.profile.email.as_deref(), Some("ada@example.org"));
    assert_eq!(identity.profile.avatar.as_deref(), Some("https://x/y.png"));
    assert_eq!(identity.issued_at, Some(Millis((NOW - 10) * 1000)));
    assert_eq!(identity.expires_at, Some(Millis((NOW + 60) * 1000)));
    assert_eq!(identity.token_id.as_deref(), Some("t1"));
}

#[tokio::test]
async fn a_token_without_expiry_is_accepted() {
    let token = token(json!({"sub": "u1", "exp": null}));
    let identity = authenticator(|_| {}).verify(&token).await.unwrap();
    assert_eq!(identity.expires_at, None);
    assert_eq!(identity.issued_at, None);
    assert_eq!(identity.token_id, None);
    assert_eq!(&*identity.profile.name, "u1");
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    assert_eq!(
        verify(json!({"sub": "u1", "exp": NOW - 60})).await,
        Err("token_expired")
    );
    assert_eq!(
        verify(json!({"sub": "u1", "exp": 0})).await,
        Err("token_expired")
    );
    assert_eq!(
        verify(json!({"sub": "u1", "exp": -1e300})).await,
        Err("token_expired")
    );
}

#[tokio::test]
async fn the_leeway_decides_at_both_ends() {
    let clock = clock();
    let auth = with_clock(clock.clone(), |cfg| {
        cfg.leeway = std::time::Duration::from_secs(5);
    });
    let token = token(json!({"sub": "u1", "nbf": NOW + 5, "exp": NOW as f64 + 10.5}));
    assert_eq!(outcome(auth.verify(&token).await), accepted("u1"));
    clock.advance(-1);
    assert_eq!(
        outcome(auth.verify(&token).await),
        Err("token_not_yet_valid")
    );
    clock.advance(15_500);
    assert_eq!(outcome(auth.verify(&token).await), accepted("u1"));
    clock.advance(1);
    assert_eq!(outcome(auth.verify(&token).await), Err("token_expired"));
}

#[tokio::test]
async fn a_token_for_later_is_refused() {
    assert_eq!(
        verify(json!({"sub": "u1", "nbf": NOW + 60})).await,
        Err("token_not_yet_valid")
    );
}

#[tokio::test]
async fn times_that_are_no_numbers_are_refused() {
    for name in ["exp", "nbf", "iat"] {
        assert_eq!(
            verify(json!({"sub": "u1", name: "tomorrow"})).await,
            Err("malformed"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_issuer_must_match() {
    let auth = authenticator(|cfg| cfg.issuer = "https://id.example.org".to_owned());
    for (iss, expected) in [
        (json!("https://id.example.org"), accepted("u1")),
        (json!("https://id.example.org/"), Err("wrong_issuer")),
        (json!(["https://id.example.org"]), Err("wrong_issuer")),
        (json!(null), Err("wrong_issuer")),
    ] {
        let token = token(json!({"sub": "u1", "iss": iss}));
        assert_eq!(outcome(auth.verify(&token).await), expected, "{iss}");
    }
}

#[tokio::test]
async fn a_missing_issuer_is_refused() {
    let auth = authenticator(|cfg| cfg.issuer = "https://id.example.org".to_owned());
    let result = auth.verify(&token(json!({"sub": "u1"}))).await;
    assert_eq!(outcome(result), Err("wrong_issuer"));
}

#[tokio::test]
async fn the_audience_must_be_named() {
    let auth = authenticator(|cfg| cfg.audience = "chat".to_owned());
    for (aud, expected) in [
        (json!("chat"), accepted("u1")),
        (json!(["web", "chat"]), accepted("u1")),
        (json!("web"), Err("wrong_audience")),
        (json!(["web"]), Err("wrong_audience")),
        (json!([]), Err("wrong_audience")),
        (json!({"chat": true}), Err("wrong_audience")),
    ] {
        let token = token(json!({"sub": "u1", "aud": aud}));
        assert_eq!(outcome(auth.verify(&token).await), expected, "{aud}");
    }
}

#[tokio::test]
async fn a_missing_audience_is_refused() {
    let auth = authenticator(|cfg| cfg.audience = "chat".to_owned());
    let result = auth.verify(&token(json!({"sub": "u1"}))).await;
    assert_eq!(outcome(result), Err("wrong_audience"));
}

#[tokio::test]
async fn another_secret_is_refused() {
    let token = hs256(
        b"another secret, which is long enough",
        json!({"sub": "u1"}),
    );
    let result = authenticator(|_| {}).verify(&token).await;
    assert_eq!(outcome(result), Err("bad_signature"));
}

#[tokio::test]
async fn a_changed_payload_is_refused() {
    let token = token(json!({"sub": "u1"}));
    let parts: Vec<&str> = token.split('.').collect();
    let forged = format!("{}.{}.{}", parts[0], b64(r#"{"sub":"u2"}"#), parts[2]);
    let result = authenticator(|_| {}).verify(&forged).await;
    assert_eq!(outcome(result), Err("bad_signature"));
}

#[tokio::test]
async fn a_token_without_algorithm_or_signature_is_refused() {
    let auth = authenticator(|_| {});
    for alg in ["none", "None", "NONE", "", "HS257"] {
        let unsigned = format!(
            "{}.{}.",
            b64(json!({"alg": alg}).to_string()),
            b64(r#"{"sub":"u1"}"#)
        );
        let result = auth.verify(&unsigned).await;
        assert_eq!(outcome(result), Err("algorithm_not_allowed"), "{alg:?}");
    }
    let emptied = token(json!({"sub": "u1"}));
    let emptied = &emptied[..=emptied.rfind('.').unwrap()];
    assert_eq!(outcome(auth.verify(emptied).await), Err("bad_signature"));
}

#[tokio::test]
async fn other_hmac_algorithms_are_refused() {
    let auth = authenticator(|_| {});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let token = sign(&Header::new(algorithm), &key, json!({"sub": "u1"}));
        let result = auth.verify(&token).await;
        assert_eq!(outcome(result), Err("algorithm_not_allowed"));
    }
}

#[tokio::test]
async fn critical_extensions_are_refused() {
    let header = json!({"alg": "HS256", "crit": ["b64"], "b64": false});
    let token = with_raw_header(header, SECRET.as_bytes(), json!({"sub": "u1"}));
    let result = authenticator(|_| {}).verify(&token).await;
    assert_eq!(outcome(result), Err("malformed"));
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let auth = authenticator(|_| {});
    assert_eq!(outcome(auth.verify("").await), Err("missing"));
    let valid = token(json!({"sub": "u1"}));
    for text in [
        "x".to_owned(),
        "..".to_owned(),
        "a.b".to_owned(),
        "a.b.c.d".to_owned(),
        "\0.\u{1F600}.\u{FFFD}".to_owned(),
        format!("{valid}="),
        format!("{valid}."),
        format!(" {valid}"),
        with_raw_header(json!("HS256"), SECRET.as_bytes(), json!({"sub": "u1"})),
        with_raw_header(json!({}), SECRET.as_bytes(), json!({"sub": "u1"})),
        with_raw_header(json!({"alg": 1}), SECRET.as_bytes(), json!({"sub": "u1"})),
        token(json!(["sub", "u1"])),
        token(json!({"sub": "u1", "padding": "x".repeat(MAX_TOKEN_LEN)})),
    ] {
        let shown = &text[..text.len().min(80)];
        assert_eq!(
            outcome(auth.verify(&text).await),
            Err("malformed"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn the_first_id_claim_present_wins() {
    assert_eq!(
        verify(json!({"id": "i", "userId": "u", "sub": "s"})).await,
        accepted("s")
    );
    assert_eq!(
        verify(json!({"id": "i", "userId": "u", "sub": null})).await,
        accepted("i")
    );
    assert_eq!(verify(json!({"userId": 42})).await, accepted("42"));
    assert_eq!(
        verify(json!({"id": u64::MAX})).await,
        accepted("18446744073709551615")
    );
}

#[tokio::test]
async fn a_token_without_an_acceptable_user_id_is_refused() {
    for claims in [
        json!({}),
        json!({"sub": ""}),
        json!({"sub": "two words"}),
        json!({"sub": "x".repeat(129)}),
        json!({"sub": 1.5}),
        json!({"sub": true}),
        json!({"sub": ["u1"]}),
        // Not even with an acceptable one in a later claim.
        json!({"sub": "two words", "id": "u1"}),
        json!({"sub": {}, "id": "u1"}),
    ] {
        assert_eq!(verify(claims.clone()).await, Err("no_user_id"), "{claims}");
    }
}

#[tokio::test]
async fn texts_that_are_blank_or_too_long_count_as_absent() {
    let claims = json!({
        "sub": "u1", "name": "  ", "username": " ada ", "email": "e".repeat(321),
        "picture": format!("data:image/png;base64,{}", "A".repeat(4000)), "avatar": "https://a",
        "jti": "j".repeat(257),
    });
    let identity = authenticator(|_| {}).verify(&token(claims)).await.unwrap();
    assert_eq!(&*identity.profile.name, "ada");
    assert_eq!(identity.profile.email, None);
    assert_eq!(identity.profile.avatar.as_deref(), Some("https://a"));
    assert_eq!(identity.token_id, None);
}

#[tokio::test]
async fn every_secret_in_rotation_is_accepted() {
    let (old, new, gone) = (
        "the old secret, still good",
        "the new secret",
        "a secret gone",
    );
    let auth = authenticator(|cfg| cfg.jwt_secrets = vec![new.to_owned(), old.to_owned()]);
    for (secret, expected) in [
        (new, accepted("u1")),
        (old, accepted("u1")),
        (gone, Err("bad_signature")),
    ] {
        let token = hs256(secret.as_bytes(), json!({"sub": "u1"}));
        assert_eq!(outcome(auth.verify(&token).await), expected, "{secret}");
    }
}

#[test]
fn refusals_have_stable_reasons_and_codes() {
    let mut reasons: Vec<&str> = AuthError::ALL.map(AuthError::reason).into();
    for error in AuthError::ALL {
        let refusal = ChatError::from(error);
        let expected = match error {
            AuthError::KeysUnavailable | AuthError::CannotMint => ErrorCode::Unavailable,
            _ => ErrorCode::Unauthorized,
        };
        assert_eq!(refusal.code, expected);
        assert_eq!(refusal.message, format!("{}: {error}", error.reason()));
    }
    reasons.sort_unstable();
    assert_eq!(
        reasons.join(" "),
        "algorithm_not_allowed bad_signature cannot_mint keys_unavailable malformed missing \
         no_user_id token_expired token_not_yet_valid token_revoked unknown_key wrong_audience \
         wrong_issuer"
    );
}
