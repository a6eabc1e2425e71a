//! Keys published at a URL: fetched when needed, kept, shared, and never asked for too often.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use porchlight::{auth::Authenticator, chat::ManualClock};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::key_server::KeyServer;
use super::support::*;

/// Keys are used for 600 s and asked for at most every 10 s.
fn asking(url: &str, clock: Arc<ManualClock>) -> Authenticator {
    with_clock(clock, |cfg| {
        cfg.jwks_url = url.to_owned();
        cfg.jwks_cache = Duration::from_secs(600);
        cfg.jwks_min_refresh = Duration::from_secs(10);
    })
}

fn by(pair: &KeyPair, kid: &str) -> String {
    pair.sign(Some(kid), json!({"sub": "u1"}))
}

#[tokio::test]
async fn keys_of_every_kind_are_fetched_once() {
    let server = KeyServer::start(&[RSA.jwk("r"), EC.jwk("c"), ED.jwk("d")]).await;
    let auth = asking(&server.url, clock());
    assert_eq!(server.fetches(), 0);
    for (pair, kid) in [(&*RSA, "r"), (&*EC, "c"), (&*ED, "d")] {
        let result = auth.verify(&by(pair, kid)).await;
        assert_eq!(outcome(result), accepted("u1"), "{kid}");
        let unnamed = pair.sign(None, json!({"sub": "u1"}));
        assert_eq!(
            outcome(auth.verify(&unnamed).await),
            accepted("u1"),
            "{kid}"
        );
    }
    assert_eq!(server.fetches(), 1);
}

#[tokio::test]
async fn secrets_need_no_fetch() {
    let server = KeyServer::start(&[]).await;
    let auth = asking(&server.url, clock());
    let result = auth.verify(&token(json!({"sub": "u1"}))).await;
    assert_eq!(outcome(result), accepted("u1"));
    let forged = hs256(b"another secret", json!({"sub": "u1"}));
    assert_eq!(outcome(auth.verify(&forged).await), Err("bad_signature"));
    assert_eq!(server.fetches(), 0);
}

#[tokio::test]
async fn a_key_is_used_with_its_own_name_and_algorithm_only() {
    let other = KeyPair::ec();
    let server = KeyServer::start(&[EC.jwk("c"), other.jwk("o"), RSA.jwk("r")]).await;
    let auth = asking(&server.url, clock());
    assert_eq!(
        outcome(auth.verify(&by(&EC, "o")).await),
        Err("bad_signature")
    );
    assert_eq!(
        outcome(auth.verify(&by(&EC, "r")).await),
        Err("algorithm_not_allowed")
    );
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("r".to_owned());
    let secret = EncodingKey::from_secret(RSA.public_pem.as_bytes());
    let forged = sign(&header, &secret, json!({"sub": "u1"}));
    assert_eq!(outcome(auth.verify(&forged).await), Err("bad_signature"));
}

#[tokio::test]
async fn keys_unfit_for_signatures_are_left_out() {
    let changed = |pair: &KeyPair, kid: &str, field: &str, value: Value| {
        let mut jwk = pair.jwk(kid);
        jwk[field] = value;
        jwk
    };
    let weak = KeyPair::rsa_of(1024);
    let unfit = [
        changed(&EC, "enc", "use", json!("enc")),
        changed(&EC, "ops", "key_ops", json!(["sign"])),
        changed(&EC, "alg", "alg", json!("ES384")),
        changed(&EC, "crv", "crv", json!("P-384")),
        changed(&EC, "off-curve", "y", json!(b64([1; 32]))),
        changed(&EC, "type", "x", json!(7)),
        changed(&RSA, "rs512", "alg", json!("RS512")),
        weak.jwk("weak"),
        changed(&RSA, "e", "e", json!("AQ")),
        changed(&ED, "short", "x", json!(b64([1; 31]))),
        changed(&ED, "crv25519", "crv", json!("X25519")),
        json!({"kty": "oct", "kid": "oct", "k": b64(SECRET)}),
        json!("no object"),
        json!({}),
    ];
    let fit = changed(&EC, "fit", "key_ops", json!(["verify"]));
    let server = KeyServer::start(&[&unfit[..], &[fit]].concat()).await;
    let auth = asking(&server.url, clock());
    assert_eq!(outcome(auth.verify(&by(&EC, "fit")).await), accepted("u1"));
    for (pair, kid) in [
        (&*EC, "enc"),
        (&EC, "ops"),
        (&EC, "alg"),
        (&EC, "crv"),
        (&EC, "off-curve"),
        (&EC, "type"),
        (&RSA, "rs512"),
        (&weak, "weak"),
        (&RSA, "e"),
        (&ED, "short"),
        (&ED, "crv25519"),
    ] {
        let result = auth.verify(&by(pair, kid)).await;
        assert_eq!(outcome(result), Err("unknown_key"), "{kid}");
    }
}

#[tokio::test]
async fn fetched_keys_are_used_as_long_as_configured() {
    let (first, second) = (KeyPair::ec(), KeyPair::ec());
    let server = KeyServer::start(&[first.jwk("1")]).await;
    let clock = clock();
    let auth = asking(&server.url, clock.clone());
    assert_eq!(outcome(auth.verify(&by(&first, "1")).await), accepted("u1"));
    server.publish(&[second.jwk("2")]);
    clock.advance(599_999);
    assert_eq!(outcome(auth.verify(&by(&first, "1")).await), accepted("u1"));
    assert_eq!(server.fetches(), 1);
    clock.advance(1);
    assert_eq!(
        outcome(auth.verify(&by(&first, "1")).await),
        Err("unknown_key")
    );
    assert_eq!(
        outcome(auth.verify(&by(&second, "2")).await),
        accepted("u1")
    );
    assert_eq!(server.fetches(), 2);
}

#[tokio::test]
async fn an_unknown_key_is_asked_for_but_not_too_often() {
    let (first, second) = (KeyPair::ec(), KeyPair::ec());
    let server = KeyServer::start(&[first.jwk("1")]).await;
    let clock = clock();
    let auth = asking(&server.url, clock.clone());
    assert_eq!(outcome(auth.verify(&by(&first, "1")).await), accepted("u1"));

    server.publish(&[first.jwk("1"), second.jwk("2")]);
    clock.advance(9_999);
    for kid in ["2", "3", "4"] {
        let result = auth.verify(&by(&second, kid)).await;
        assert_eq!(outcome(result), Err("unknown_key"), "{kid}");
    }
    assert_eq!(server.fetches(), 1);

    clock.advance(1);
    assert_eq!(
        outcome(auth.verify(&by(&second, "2")).await),
        accepted("u1")
    );
    assert_eq!(server.fetches(), 2);
    for kid in ["5", "6", "7"] {
        let result = auth.verify(&by(&second, kid)).await;
        assert_eq!(outcome(result), Err("unknown_key"), "{kid}");
    }
    assert_eq!(server.fetches(), 2);
}

#[tokio::test]
async fn verifications_at_one_time_share_a_fetch() {
    let server = KeyServer::start(&[EC.jwk("c")]).await;
    let auth = asking(&server.url, clock());
    server.hold();
    let token = by(&EC, "c");
    let verifications = join_all((0..50).map(|_| auth.verify(&token)));
    // join! polls in order: all fifty are waiting before the server may answer.
    let (results, ()) = tokio::join!(verifications, async {
        server.asked(1).await;
        server.release();
    });
    for result in results {
        assert_eq!(outcome(result), accepted("u1"));
    }
    assert_eq!(server.fetches(), 1);
}

#[tokio::test]
async fn known_keys_do_not_wait_for_a_fetch_under_way() {
    let server = KeyServer::start(&[EC.jwk("c")]).await;
    let clock = clock();
    let auth = asking(&server.url, clock.clone());
    assert_eq!(outcome(auth.verify(&by(&EC, "c")).await), accepted("u1"));
    clock.advance(10_000);
    server.hold();
    let unknown = by(&EC, "x");
    let (result, ()) = tokio::join!(auth.verify(&unknown), async {
        server.asked(2).await;
        assert_eq!(outcome(auth.verify(&by(&EC, "c")).await), accepted("u1"));
        server.release();
    });
    assert_eq!(outcome(result), Err("unknown_key"));
}

#[tokio::test]
async fn a_fetch_goes_on_when_the_one_who_asked_gives_up() {
    let server = KeyServer::start(&[EC.jwk("c")]).await;
    let auth = asking(&server.url, clock());
    server.hold();
    let token = by(&EC, "c");
    tokio::select! {
        biased;
        result = auth.verify(&token) => panic!("answered by a server on hold: {result:?}"),
        () = server.asked(1) => {}
    }
    server.release();
    assert_eq!(outcome(auth.verify(&token).await), accepted("u1"));
    assert_eq!(server.fetches(), 1);
}

#[tokio::test]
async fn keys_once_known_are_used_while_the_fetch_fails() {
    let server = KeyServer::start(&[EC.jwk("c")]).await;
    let clock = clock();
    let auth = asking(&server.url, clock.clone());
    assert_eq!(outcome(auth.verify(&by(&EC, "c")).await), accepted("u1"));

    server.fail(StatusCode::SERVICE_UNAVAILABLE, "");
    clock.advance(3_600_000);
    for _ in 0..3 {
        assert_eq!(outcome(auth.verify(&by(&EC, "c")).await), accepted("u1"));
    }
    assert_eq!(
        server.fetches(),
        2,
        "a failed fetch counts for the least time"
    );
    // Whether that key exists cannot be known now.
    assert_eq!(
        outcome(auth.verify(&by(&EC, "x")).await),
        Err("keys_unavailable")
    );

    server.publish(&[ED.jwk("d")]);
    clock.advance(10_000);
    assert_eq!(
        outcome(auth.verify(&by(&EC, "c")).await),
        Err("unknown_key")
    );
    assert_eq!(outcome(auth.verify(&by(&ED, "d")).await), accepted("u1"));
    assert_eq!(server.fetches(), 3);
}

#[tokio::test]
async fn answers_that_are_no_keys_leave_the_keys_unavailable() {
    let huge = format!(r#"{{"keys":[],"padding":"{}"}}"#, "x".repeat(300_000));
    let server = KeyServer::start(&[]).await;
    let clock = clock();
    let auth = asking(&server.url, clock.clone());
    for (status, body) in [
        (StatusCode::NOT_FOUND, "{\"keys\":[]}"),
        (StatusCode::FOUND, "{\"keys\":[]}"),
        (StatusCode::OK, "<html>"),
        (StatusCode::OK, "{}"),
        (StatusCode::OK, &huge),
    ] {
        server.fail(status, body);
        let before = server.fetches();
        assert_eq!(
            outcome(auth.verify(&by(&EC, "c")).await),
            Err("keys_unavailable"),
            "{status}"
        );
        assert_eq!(server.fetches(), before + 1, "{status}");
        clock.advance(10_000);
    }
    server.publish(&[EC.jwk("c")]);
    assert_eq!(outcome(auth.verify(&by(&EC, "c")).await), accepted("u1"));
}

#[tokio::test]
async fn a_server_that_is_not_there_leaves_the_keys_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    drop(listener);
    let auth = asking(&url, clock());
    assert_eq!(
        outcome(auth.verify(&by(&EC, "c")).await),
        Err("keys_unavailable")
    );
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let server = KeyServer::start(&[EC.jwk("c")]).await;
    let auth = asking(&server.url, clock());
    server.hold();
    let token = by(&EC, "c");
    let result = tokio::time::timeout(Duration::from_secs(60), auth.verify(&token)).await;
    assert_eq!(outcome(result.expect("an end")), Err("keys_unavailable"));
}

#[tokio::test]
async fn a_clock_set_back_does_not_stop_fetches() {
    let (first, second) = (KeyPair::ec(), KeyPair::ec());
    let server = KeyServer::start(&[first.jwk("1")]).await;
    let clock = clock();
    let auth = asking(&server.url, clock.clone());
    assert_eq!(outcome(auth.verify(&by(&first, "1")).await), accepted("u1"));
    server.publish(&[second.jwk("2")]);
    clock.advance(-86_400_000);
    assert_eq!(
        outcome(auth.verify(&by(&second, "2")).await),
        accepted("u1")
    );
    assert_eq!(server.fetches(), 2);
}

#[tokio::test]
async fn key_files_are_tried_before_anything_is_fetched() {
    let server = KeyServer::start(&[EC.jwk("c")]).await;
    let (_folder, paths) = super::public_keys::files(&[&RSA.public_pem]);
    let auth = with_clock(clock(), |cfg| {
        cfg.public_key_files = paths;
        cfg.jwks_url = server.url.clone();
    });
    assert_eq!(outcome(auth.verify(&by(&RSA, "any")).await), accepted("u1"));
    assert_eq!(server.fetches(), 0);
    assert_eq!(outcome(auth.verify(&by(&EC, "c")).await), accepted("u1"));
}
