//! Configurations that cannot be used, and what the errors tell.

use porchlight::{auth::Authenticator, config::Auth};

use super::{public_keys::files, support::*};

/// The error of the configuration changed by `edit`.
fn error(edit: impl FnOnce(&mut Auth)) -> String {
    let mut cfg = config();
    edit(&mut cfg);
    match Authenticator::new(&cfg, clock()) {
        Ok(_) => panic!("the configuration was accepted"),
        Err(e) => e.to_string(),
    }
}

/// The error of one key file, without the path.
fn file_error(text: &str) -> String {
    let (folder, paths) = files(&["", text]);
    let error = error(|cfg| cfg.public_key_files = paths[1..].to_vec());
    let folder = format!("{}/", folder.path().display());
    error.replace(&folder, "")
}

#[test]
fn unfit_key_files_are_named_with_the_reason() {
    let ec = |curve: &str| {
        let curve = format!("ec_paramgen_curve:{curve}");
        public_half(&generate(&["-algorithm", "EC", "-pkeyopt", &curve]))
    };
    let certificate = openssl(
        &[
            "req",
            "-x509",
            "-new",
            "-key",
            "/dev/stdin",
            "-subj",
            "/CN=test",
        ],
        &EC.private_pem,
    );
    let x25519 = public_half(&generate(&["-algorithm", "X25519"]));
    for (text, expected) in [
        (String::new(), "holds no PEM block"),
        ("not a key".to_owned(), "holds no PEM block"),
        (
            EC.public_pem.replace("MFkw", "MFkx"),
            "holds a key that is not RSA, EC P-256 or Ed25519",
        ),
        (
            EC.private_pem.clone(),
            "holds a private key; only public keys belong here",
        ),
        (
            format!("{}{}", EC.public_pem, RSA.private_pem),
            "holds a private key; only public keys belong here",
        ),
        (certificate, "holds a certificate; extract its public key"),
        (
            KeyPair::rsa_of(1024).public_pem,
            "is an RSA key that does not have 2048 to 4096 bits",
        ),
        (
            ec("P-384"),
            "is not on the curve of ES256 (P-256) or EdDSA (Ed25519)",
        ),
        (
            ec("secp256k1"),
            "is not on the curve of ES256 (P-256) or EdDSA (Ed25519)",
        ),
        (x25519, "holds a key that is not RSA, EC P-256 or Ed25519"),
    ] {
        let expected = format!("auth.public_key_files[0]: 1.pem {expected}");
        assert_eq!(file_error(&text), expected, "{text}");
    }
}

#[test]
fn a_missing_key_file_is_named() {
    let error = error(|cfg| cfg.public_key_files = vec!["/nowhere/key.pem".into()]);
    assert!(
        error.starts_with("auth.public_key_files[0]: /nowhere/key.pem cannot be read: "),
        "{error}"
    );
}

#[test]
fn a_gateway_that_could_verify_nothing_does_not_start() {
    let error = error(|cfg| cfg.jwt_secrets.clear());
    assert_eq!(
        error,
        "auth.jwt_secrets: is empty, and no other key to verify tokens with is configured"
    );
}

#[test]
fn unusable_secrets_are_named_and_not_shown() {
    assert_eq!(
        error(|cfg| cfg.jwt_secrets.push(String::new())),
        "auth.jwt_secrets[1]: is empty"
    );
    let pem = EC.public_pem.clone();
    assert_eq!(
        error(|cfg| cfg.jwt_secrets[0] = pem),
        "auth.jwt_secrets[0]: is a PEM key, not a secret; public keys belong in \
         auth.public_key_files"
    );
    assert_eq!(
        error(|cfg| cfg.api_keys = vec!["k".repeat(32), String::new()]),
        "auth.api_keys[1]: is empty"
    );
}

#[test]
fn an_unusable_jwks_url_is_named() {
    assert_eq!(
        error(|cfg| cfg.jwks_url = "keys.json".to_owned()),
        "auth.jwks_url: is no URL: relative URL without a base"
    );
}

#[test]
fn an_https_jwks_url_is_usable() {
    let mut cfg = config();
    cfg.jwks_url = "https://id.example.org/jwks.json".to_owned();
    if let Err(e) = Authenticator::new(&cfg, clock()) {
        panic!("{e}");
    }
}
