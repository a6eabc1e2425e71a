//! What the tests of identity share: a configuration, a clock, key pairs made on the spot.

use std::{
    io::Write,
    process::{Command, Stdio},
    sync::{Arc, LazyLock},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use porchlight::{
    auth::{AuthError, Authenticator, Identity},
    chat::{ManualClock, Millis},
    config::{Auth, Config},
};
use serde_json::{Value, json};

/// The time at which tests begin, in seconds.
pub const NOW: i64 = 1_800_000_000;
pub const SECRET: &str = "a-test-secret-of-more-than-32-bytes";

/// The default `[auth]` section with one secret.
pub fn config() -> Auth {
    let mut auth = toml::from_str::<Config>(include_str!("../../../config/default.toml"))
        .expect("the default configuration")
        .auth;
    auth.jwt_secrets = vec![SECRET.to_owned()];
    auth
}

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Millis(NOW * 1000)))
}

/// An authenticator with the configuration changed by `edit`, at [`NOW`].
pub fn authenticator(edit: impl FnOnce(&mut Auth)) -> Authenticator {
    with_clock(clock(), edit)
}

pub fn with_clock(clock: Arc<ManualClock>, edit: impl FnOnce(&mut Auth)) -> Authenticator {
    let mut cfg = config();
    edit(&mut cfg);
    Authenticator::new(&cfg, clock).expect("a usable configuration")
}

/// The user id that the outcome names, or the reason of the refusal.
pub fn outcome(result: Result<Identity, AuthError>) -> Result<String, &'static str> {
    result
        .map(|identity| identity.profile.id.as_str().to_owned())
        .map_err(AuthError::reason)
}

pub fn accepted(user: &str) -> Result<String, &'static str> {
    Ok(user.to_owned())
}

/// A token signed by [`SECRET`].
pub fn token(claims: Value) -> String {
    hs256(SECRET.as_bytes(), claims)
}

pub fn hs256(secret: &[u8], claims: Value) -> String {
    sign(
        &Header::new(Algorithm::HS256),
        &EncodingKey::from_secret(secret),
        claims,
    )
}

pub fn sign(header: &Header, key: &EncodingKey, claims: Value) -> String {
    jsonwebtoken::encode(header, &claims, key).expect("a signed token")
}

/// A token with this very header, signed by HMAC with `secret`.
pub fn with_raw_header(header: Value, secret: &[u8], claims: Value) -> String {
    let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let signature = jsonwebtoken::crypto::sign(
        signed.as_bytes(),
        &EncodingKey::from_secret(secret),
        Algorithm::HS256,
    );
    format!("{signed}.{}", signature.expect("a signature"))
}

pub fn b64(data: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(data)
}

/// A key pair made by the openssl command.
pub struct KeyPair {
    pub algorithm: Algorithm,
    pub private_pem: String,
    pub public_pem: String,
    pub encoding: EncodingKey,
}

pub static RSA: LazyLock<KeyPair> = LazyLock::new(KeyPair::rsa);
pub static EC: LazyLock<KeyPair> = LazyLock::new(KeyPair::ec);
pub static ED: LazyLock<KeyPair> = LazyLock::new(KeyPair::ed);

impl KeyPair {
    pub fn rsa() -> Self {
        Self::rsa_of(2048)
    }

    pub fn rsa_of(bits: u32) -> Self {
        let bits = format!("rsa_keygen_bits:{bits}");
        let pem = generate(&["-algorithm", "RSA", "-pkeyopt", &bits]);
        Self::new(Algorithm::RS256, pem, EncodingKey::from_rsa_pem)
    }

    pub fn ec() -> Self {
        let pem = generate(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        Self::new(Algorithm::ES256, pem, EncodingKey::from_ec_pem)
    }

    pub fn ed() -> Self {
        let pem = generate(&["-algorithm", "ED25519"]);
        Self::new(Algorithm::EdDSA, pem, EncodingKey::from_ed_pem)
    }

    fn new(
        algorithm: Algorithm,
        private_pem: String,
        read: fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>,
    ) -> Self {
        Self {
            algorithm,
            public_pem: public_half(&private_pem),
            encoding: read(private_pem.as_bytes()).expect("a private key"),
            private_pem,
        }
    }

    pub fn sign(&self, kid: Option<&str>, claims: Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = kid.map(str::to_owned);
        sign(&header, &self.encoding, claims)
    }

    /// The public half as published in a JWKS.
    pub fn jwk(&self, kid: &str) -> Value {
        let jwk = Jwk::from_encoding_key(&self.encoding, self.algorithm).expect("a JWK");
        let mut jwk = json!(jwk);
        jwk["kid"] = json!(kid);
        jwk["use"] = json!("sig");
        jwk
    }
}

/// A private key in PEM, by `openssl genpkey`.
pub fn generate(arguments: &[&str]) -> String {
    openssl(&[&["genpkey"], arguments].concat(), "")
}

/// The public key of a private one, in PEM.
pub fn public_half(private_pem: &str) -> String {
    openssl(&["pkey", "-pubout"], private_pem)
}

pub fn openssl(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the openssl command");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("a listener");
    drop(stdin);
    let output = child.wait_with_output().expect("an end");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}
