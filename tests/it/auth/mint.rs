//! Tokens made by the gateway itself, and the keys of service callers.

use std::time::Duration;

use porchlight::{
    auth::AuthError,
    chat::{Clock, Millis, Profile, UserId},
};
use serde_json::{Value, json};

use super::support::*;

fn ada() -> Profile {
    Profile {
        name: "Ada".into(),
        email: Some("ada@example.org".into()),
        avatar: Some("https://x/y.png".into()),
        ..Profile::unknown(UserId::new("u1").unwrap())
    }
}

#[tokio::test]
async fn a_minted_token_names_the_user_until_it_expires() {
    let clock = clock();
    clock.advance(700);
    let auth = with_clock(clock.clone(), |cfg| cfg.leeway = Duration::ZERO);
    let minted = auth.mint(&ada(), Duration::from_secs(60)).unwrap();
    assert_eq!(minted.expires_at, Millis((NOW + 60) * 1000));

    let identity = auth.verify(&minted.token).await.unwrap();
    assert_eq!(identity.profile, ada());
    assert_eq!(identity.expires_at, Some(minted.expires_at));
    assert_eq!(identity.issued_at, Some(Millis(NOW * 1000)));
    assert!(identity.token_id.is_some());

    clock.advance(minted.expires_at.0 - clock.now().0);
    assert_eq!(
        outcome(auth.verify(&minted.token).await),
        Err("token_expired")
    );
}

#[tokio::test]
async fn tokens_minted_at_one_time_differ() {
    let auth = authenticator(|_| {});
    let mint = || auth.mint(&ada(), Duration::from_secs(60)).unwrap().token;
    assert_ne!(mint(), mint());
}

#[tokio::test]
async fn a_minted_token_satisfies_the_gateways_own_rules() {
    let auth = authenticator(|cfg| {
        cfg.issuer = "https://id.example.org".to_owned();
        cfg.audience = "chat".to_owned();
        cfg.user_id_claims = vec!["uid".to_owned(), "sub".to_owned()];
        cfg.name_claims = vec!["nick".to_owned()];
        cfg.email_claims.clear();
        cfg.avatar_claims = vec!["face".to_owned()];
    });
    let minted = auth.mint(&ada(), Duration::from_secs(60)).unwrap();
    let identity = auth.verify(&minted.token).await.unwrap();
    let expected = Profile {
        email: None,
        ..ada()
    };
    assert_eq!(identity.profile, expected);

    let payload = minted.token.split('.').nth(1).unwrap();
    let payload =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(claims["sub"], json!("u1"));
}

#[tokio::test]
async fn the_first_secret_signs() {
    let (new, old) = ("the new secret", "the old secret");
    let rotating = authenticator(|cfg| cfg.jwt_secrets = vec![new.to_owned(), old.to_owned()]);
    let minted = rotating.mint(&ada(), Duration::from_secs(60)).unwrap();
    let verified_with = |secret: &'static str| {
        let token = minted.token.clone();
        async move {
            let auth = authenticator(|cfg| cfg.jwt_secrets = vec![secret.to_owned()]);
            outcome(auth.verify(&token).await)
        }
    };
    assert_eq!(verified_with(new).await, accepted("u1"));
    assert_eq!(verified_with(old).await, Err("bad_signature"));
}

#[test]
fn without_a_secret_nothing_is_minted() {
    let auth = authenticator(|cfg| {
        cfg.jwt_secrets.clear();
        cfg.nextauth_secret = "a secret".to_owned();
    });
    let refused = auth.mint(&ada(), Duration::from_secs(60)).err();
    assert_eq!(refused, Some(AuthError::CannotMint));
}

#[test]
fn service_keys_are_recognised() {
    let keys = ["k".repeat(32), "l".repeat(40)];
    let auth = authenticator(|cfg| cfg.api_keys = keys.to_vec());
    for key in &keys {
        assert!(auth.is_service(key));
        assert!(!auth.is_service(&key[1..]));
        assert!(!auth.is_service(&format!("{key} ")));
        assert!(!auth.is_service(&key.to_uppercase()));
    }
    assert!(!auth.is_service(""));
    assert!(!auth.is_service(SECRET));
}

#[test]
fn without_service_keys_nobody_is_a_service() {
    let auth = authenticator(|_| {});
    assert!(!auth.is_service(""));
    assert!(!auth.is_service(&"k".repeat(32)));
}
