//! Tokens signed with private keys whose public halves are configured as PEM files.

use std::path::PathBuf;

use jsonwebtoken::{Algorithm, Header};
use porchlight::auth::Authenticator;
use serde_json::json;
use tempfile::TempDir;

use super::support::*;

/// One file for each text, in a folder that lasts as long as the first value.
pub fn files(texts: &[&str]) -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let paths = texts.iter().enumerate().map(|(i, text)| {
        let path = folder.path().join(format!("{i}.pem"));
        std::fs::write(&path, text).unwrap();
        path
    });
    let paths = paths.collect();
    (folder, paths)
}

/// An authenticator that knows these public keys and nothing else.
pub fn knowing(texts: &[&str]) -> Authenticator {
    let (_folder, paths) = files(texts);
    authenticator(|cfg| {
        cfg.jwt_secrets.clear();
        cfg.public_key_files = paths;
    })
}

async fn accepts(pair: &KeyPair) {
    let auth = knowing(&[&pair.public_pem]);
    let token = pair.sign(Some("any"), json!({"sub": "u1", "exp": NOW + 60}));
    assert_eq!(outcome(auth.verify(&token).await), accepted("u1"));

    let expired = pair.sign(None, json!({"sub": "u1", "exp": NOW - 60}));
    assert_eq!(outcome(auth.verify(&expired).await), Err("token_expired"));

    let cut = token.rfind('.').unwrap();
    let other = pair.sign(None, json!({"sub": "u2"}));
    let forged = format!("{}{}", &token[..cut], &other[other.rfind('.').unwrap()..]);
    assert_eq!(outcome(auth.verify(&forged).await), Err("bad_signature"));
}

#[tokio::test]
async fn rs256_is_accepted() {
    accepts(&RSA).await;
}

#[tokio::test]
async fn es256_is_accepted() {
    accepts(&EC).await;
}

#[tokio::test]
async fn eddsa_is_accepted() {
    accepts(&ED).await;
}

#[tokio::test]
async fn eddsa_is_accepted_under_its_newer_name() {
    let auth = knowing(&[&ED.public_pem]);
    let signed = format!("{}.{}", b64(r#"{"alg":"Ed25519"}"#), b64(r#"{"sub":"u1"}"#));
    let signature =
        jsonwebtoken::crypto::sign(signed.as_bytes(), &ED.encoding, Algorithm::EdDSA).unwrap();
    let result = auth.verify(&format!("{signed}.{signature}")).await;
    assert_eq!(outcome(result), accepted("u1"));
}

#[tokio::test]
async fn pkcs1_rsa_keys_are_accepted() {
    let pkcs1 = openssl(&["rsa", "-pubin", "-RSAPublicKey_out"], &RSA.public_pem);
    assert!(pkcs1.starts_with("-----BEGIN RSA PUBLIC KEY"));
    let result = knowing(&[&pkcs1])
        .verify(&RSA.sign(None, json!({"sub": "u1"})))
        .await;
    assert_eq!(outcome(result), accepted("u1"));
}

#[tokio::test]
async fn a_file_may_hold_several_keys_and_several_files_count() {
    let both = format!("# first\n{}\n# second\n{}", RSA.public_pem, EC.public_pem);
    let auth = knowing(&[&both, &ED.public_pem]);
    for pair in [&*RSA, &EC, &ED] {
        let result = auth.verify(&pair.sign(None, json!({"sub": "u1"}))).await;
        assert_eq!(outcome(result), accepted("u1"), "{:?}", pair.algorithm);
    }
}

#[tokio::test]
async fn another_key_of_the_algorithm_is_refused() {
    let result = knowing(&[&EC.public_pem])
        .verify(&KeyPair::ec().sign(None, json!({"sub": "u1"})))
        .await;
    assert_eq!(outcome(result), Err("bad_signature"));
}

#[tokio::test]
async fn algorithms_of_no_configured_key_are_refused() {
    let auth = knowing(&[&EC.public_pem]);
    for token in [
        RSA.sign(None, json!({"sub": "u1"})),
        ED.sign(None, json!({"sub": "u1"})),
        token(json!({"sub": "u1"})),
    ] {
        let result = auth.verify(&token).await;
        assert_eq!(outcome(result), Err("algorithm_not_allowed"));
    }
}

#[tokio::test]
async fn an_rsa_key_verifies_rs256_only() {
    let auth = knowing(&[&RSA.public_pem]);
    for algorithm in [
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
    ] {
        let token = sign(&Header::new(algorithm), &RSA.encoding, json!({"sub": "u1"}));
        let result = auth.verify(&token).await;
        assert_eq!(
            outcome(result),
            Err("algorithm_not_allowed"),
            "{algorithm:?}"
        );
    }
}

#[tokio::test]
async fn a_public_key_is_no_hmac_secret() {
    for pair in [&*RSA, &EC, &ED] {
        let (_folder, paths) = files(&[&pair.public_pem]);
        // A secret beside it makes HS256 an algorithm that is tried at all.
        let auth = authenticator(|cfg| cfg.public_key_files = paths);
        let body: String = pair
            .public_pem
            .lines()
            .filter(|l| !l.starts_with('-'))
            .collect();
        let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap();
        for secret in [
            pair.public_pem.as_bytes(),
            pair.public_pem.trim_end().as_bytes(),
            &der,
            &der[der.len() - 32..],
        ] {
            let forged = hs256(secret, json!({"sub": "u1"}));
            assert_eq!(outcome(auth.verify(&forged).await), Err("bad_signature"));
        }
    }
}

#[tokio::test]
async fn a_header_that_names_another_algorithm_changes_nothing() {
    let auth = knowing(&[&RSA.public_pem, &EC.public_pem, &ED.public_pem]);
    let genuine = EC.sign(None, json!({"sub": "u1"}));
    let rest = &genuine[genuine.find('.').unwrap()..];
    for (alg, expected) in [
        ("RS256", "bad_signature"),
        ("EdDSA", "bad_signature"),
        ("ES384", "algorithm_not_allowed"),
        ("HS256", "algorithm_not_allowed"),
    ] {
        let forged = format!("{}{rest}", b64(json!({"alg": alg}).to_string()));
        assert_eq!(outcome(auth.verify(&forged).await), Err(expected), "{alg}");
    }
}
