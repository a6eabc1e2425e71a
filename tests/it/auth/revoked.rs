//! Tokens and users that were revoked.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use porchlight::{
    auth::{AuthError, Authenticator},
    chat::{Clock, Controls, ManualClock, Millis, NEVER, Order, Subject, TokenKey, UserId},
};
use serde_json::{Value, json};

use super::{public_keys::knowing, support::*};

const TTL: Duration = Duration::from_secs(3600);

struct Scene {
    clock: Arc<ManualClock>,
    controls: Arc<Controls>,
    auth: Authenticator,
    version: i64,
}

impl Scene {
    fn new() -> Self {
        Self::of(clock(), |clock| with_clock(clock, |_| {}))
    }

    fn of(clock: Arc<ManualClock>, auth: impl FnOnce(Arc<ManualClock>) -> Authenticator) -> Self {
        let controls = Controls::new(clock.clone());
        Self {
            auth: auth(clock.clone()).with_controls(controls.clone()),
            clock,
            controls,
            version: 0,
        }
    }

    fn order(&mut self, subject: Subject, issued_before: Millis, ends_at: Millis) {
        self.version += 1;
        self.controls.learn(&[Order {
            version: self.version,
            subject,
            issued_before,
            ends_at,
        }]);
    }

    fn revoke(&mut self, key: TokenKey) {
        self.order(Subject::Token(key), Millis(0), NEVER);
    }

    async fn key(&self, token: &str) -> TokenKey {
        self.auth.examine(token).await.unwrap().key().unwrap()
    }

    async fn accepts(&self, token: &str) -> bool {
        match self.auth.verify(token).await {
            Ok(_) => true,
            Err(AuthError::TokenRevoked) => false,
            Err(e) => panic!("{e}"),
        }
    }
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

#[tokio::test]
async fn a_users_tokens_are_refused_by_when_they_were_issued() {
    let mut scene = Scene::new();
    let cut = Millis(NOW * 1000);
    scene.order(Subject::Tokens(user("u1")), cut, cut.plus(500));
    let issued = |iat: Value| token(json!({"sub": "u1", "iat": iat}));
    for (iat, accepted) in [
        (json!(NOW - 1), false),
        (json!(NOW as f64 - 0.001), false),
        (Value::Null, false),
        (json!(NOW), true),
        (json!(NOW + 1), true),
    ] {
        assert_eq!(scene.accepts(&issued(iat.clone())).await, accepted, "{iat}");
    }
    assert!(scene.auth.believe(user("u1")).is_err(), "without a token");
    assert!(scene.auth.believe(user("u2")).is_ok());
    assert!(scene.accepts(&token(json!({"sub": "u2"}))).await);
    scene.order(Subject::User(user("u1")), Millis(0), cut.plus(500));
    assert!(!scene.accepts(&issued(json!(NOW + 1))).await, "blocked");
    scene.clock.advance(500);
    assert!(scene.accepts(&issued(Value::Null)).await, "until then");
}

/// What arrives late does not undo what is newer.
#[tokio::test]
async fn the_newest_order_counts() {
    let mut scene = Scene::new();
    let token = token(json!({"sub": "u1"}));
    scene.order(Subject::User(user("u1")), Millis(0), NEVER);
    scene.order(Subject::User(user("u1")), Millis(0), Millis(0));
    assert!(scene.accepts(&token).await, "lifted");
    scene.version = 0;
    scene.order(Subject::User(user("u1")), Millis(0), NEVER);
    assert!(scene.accepts(&token).await, "still lifted");
}

#[tokio::test]
async fn a_token_is_refused_and_no_other() {
    let mut scene = Scene::new();
    let of = |jti: Value, n: i64| token(json!({"sub": "u1", "jti": jti, "n": n}));
    // An issuer that gives all tokens one id.
    let (one, same_id) = (of(json!("id"), 1), of(json!("id"), 2));
    let (without, other) = (of(Value::Null, 1), of(Value::Null, 2));
    for token in [&one, &without] {
        let key = scene.key(token).await;
        scene.revoke(key);
        assert!(!scene.accepts(token).await);
    }
    assert!(scene.accepts(&same_id).await && scene.accepts(&other).await);
    scene.revoke(Authenticator::key_of_id("id").unwrap());
    assert!(!scene.accepts(&same_id).await);
    assert!(scene.accepts(&other).await);
}

/// Whoever holds an ECDSA signature (r, s) can write (r, n - s), which is as good.
#[tokio::test]
async fn a_signature_written_otherwise_helps_nobody() {
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let mut scene = Scene::of(clock(), |_| knowing(&[&EC.public_pem]));
    let token = EC.sign(None, json!({"sub": "u1"}));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = 0;
    for (at, n) in N.iter().enumerate().rev() {
        let left = i16::from(*n) - i16::from(signature[32 + at]) - borrow;
        borrow = i16::from(left < 0);
        signature[32 + at] = left.rem_euclid(256) as u8;
    }
    let twin = format!("{signed}.{}", b64(signature));
    assert_ne!(twin, token);
    assert!(scene.accepts(&twin).await, "it is as good");
    let key = scene.key(&token).await;
    scene.revoke(key);
    assert!(!scene.accepts(&twin).await);
}

/// Clocks may differ by the leeway, so a token outlives its `exp` by that.
#[tokio::test]
async fn a_revoked_token_is_refused_for_as_long_as_it_would_be_accepted() {
    let mut scene = Scene::of(clock(), |clock| {
        with_clock(clock, |cfg| cfg.leeway = Duration::from_secs(5))
    });
    let token = token(json!({"sub": "u1", "exp": NOW + 10}));
    let identity = scene.auth.examine(&token).await.unwrap();
    let until = scene.auth.accepted_until(&identity).unwrap();
    let subject = Subject::Token(identity.key().unwrap());
    scene.order(subject, Millis(0), until);
    for _ in 0..14 {
        assert!(!scene.accepts(&token).await, "{:?}", scene.clock.now());
        scene.clock.advance(1000);
    }
    scene.clock.advance(999);
    assert!(!scene.accepts(&token).await);
    scene.clock.advance(1);
    let refused = scene.auth.verify(&token).await;
    assert_eq!(refused.unwrap_err(), AuthError::TokenExpired);
}

#[tokio::test]
async fn minted_tokens_stand_and_fall_with_what_they_were_minted_from() {
    let mut scene = Scene::new();
    let root = token(json!({"sub": "u1", "iat": NOW - 100, "jti": "root"}));
    let mint = async |scene: &Scene, from: &str| {
        let parent = scene.auth.verify(from).await.unwrap();
        let minted = scene.auth.mint_from(Some(&parent), &parent.profile, TTL);
        minted.unwrap().token
    };
    let first = mint(&scene, &root).await;
    scene.clock.advance(50_000);
    let renewed = mint(&scene, &first).await;
    let identity = scene.auth.verify(&renewed).await.unwrap();
    assert_eq!(identity.issued_at, Some(Millis((NOW + 50) * 1000)));
    assert_eq!(identity.proof.issued_at, Some(Millis((NOW - 100) * 1000)));
    // The user was revoked between the session and what was minted from it.
    let between = Millis((NOW - 50) * 1000);
    scene.order(Subject::Tokens(user("u1")), between, between.plus(200_000));
    for token in [&root, &first, &renewed] {
        assert!(!scene.accepts(token).await);
    }
    scene.order(Subject::Tokens(user("u1")), between, Millis(0));
    // By its id, the root takes them all; each of the line takes the line.
    for token in [&first, &renewed] {
        let mut line = Scene::new();
        line.revoke(scene.key(token).await);
        assert!(line.accepts(&root).await);
        assert!(!line.accepts(&first).await && !line.accepts(&renewed).await);
    }
    scene.revoke(Authenticator::key_of_id("root").unwrap());
    for token in [&root, &first, &renewed] {
        assert!(!scene.accepts(token).await);
    }
}

/// A session that does not say when it began lends no time to what is minted from it.
#[tokio::test]
async fn what_is_minted_from_a_token_without_a_time_has_none() {
    let mut scene = Scene::new();
    let parent = scene.auth.verify(&token(json!({"sub": "u1"}))).await;
    let parent = parent.unwrap();
    let minted = scene.auth.mint_from(Some(&parent), &parent.profile, TTL);
    let minted = minted.unwrap().token;
    scene.order(Subject::Tokens(user("u1")), Millis(1), NEVER);
    assert!(!scene.accepts(&minted).await);
}

#[tokio::test]
async fn a_root_that_cannot_be_read_refuses_the_token() {
    let auth = authenticator(|_| {});
    let key = "0".repeat(32);
    for (root, jti) in [
        (json!("x"), json!("id")),
        (json!({}), json!("id")),
        (json!({"issued_at": 1, "keys": ["x"]}), json!("id")),
        (
            json!({"issued_at": 1, "keys": vec![key.clone(); 5]}),
            json!("id"),
        ),
        (json!({"issued_at": 1, "keys": [key]}), Value::Null),
    ] {
        let token = token(json!({"sub": "u1", "jti": jti, "minted_from": root}));
        assert_eq!(
            outcome(auth.verify(&token).await),
            Err("malformed"),
            "{root}"
        );
    }
}
