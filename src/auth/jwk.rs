//! Published keys as JSON (RFC 7517, 7518 section 6, 8037): which of a set are fit for use.

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::{
    jws::{Jws, parse_algorithm},
    keys::Key,
};

/// A fit key of a set.
pub(super) struct PublishedKey {
    kid: Option<String>,
    key: Key,
}

impl PublishedKey {
    /// Whether a token that names `kid` could mean this key: names that are missing on either
    /// side exclude nothing.
    fn is_named(&self, kid: Option<&str>) -> bool {
        match (&self.kid, kid) {
            (Some(own), Some(asked)) => own == asked,
            _ => true,
        }
    }
}

/// Whether any key goes by that name, whatever its algorithm.
pub(super) fn any_named(keys: &[PublishedKey], kid: Option<&str>) -> bool {
    keys.iter().any(|k| k.is_named(kid))
}

/// The keys of that name and algorithm.
pub(super) fn matching<'a>(
    keys: &'a [PublishedKey],
    algorithm: Algorithm,
    kid: Option<&'a str>,
) -> impl Iterator<Item = &'a Key> {
    keys.iter()
        .filter(move |k| k.is_named(kid) && k.key.algorithm() == algorithm)
        .map(|k| &k.key)
}

/// Whether one of the keys that the token could mean made its signature.
pub(super) fn any_verifies(keys: &[PublishedKey], jws: &Jws<'_>) -> bool {
    matching(keys, jws.algorithm, jws.kid.as_deref()).any(|key| key.verifies(jws))
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Reads a set. Keys for other purposes, of other kinds or malformed are left out, as RFC 7517
/// section 5 asks.
pub(super) fn read_set(json: &[u8]) -> Result<Vec<PublishedKey>, serde_json::Error> {
    let set: Set = serde_json::from_slice(json)?;
    Ok(set
        .keys
        .into_iter()
        .filter_map(|key| {
            read_key(key)
                .inspect_err(|problem| tracing::debug!(problem, "key of auth.jwks_url left out"))
                .ok()
        })
        .collect())
}

fn read_key(json: Value) -> Result<PublishedKey, &'static str> {
    let jwk: Jwk = serde_json::from_value(json).map_err(|_| "is malformed")?;
    let signs = jwk.usage.as_deref().is_none_or(|u| u == "sig");
    let verifies = jwk
        .key_ops
        .as_ref()
        .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    if !signs || !verifies {
        return Err("is not for signatures");
    }
    let decoding = |key: Result<DecodingKey, jsonwebtoken::errors::Error>| {
        key.map_err(|_| "has malformed parameters")
    };
    let (algorithm, key) = match (jwk.kty.as_str(), jwk.crv.as_deref(), &jwk.x, &jwk.y) {
        ("RSA", ..) => {
            let (Some(n), Some(e)) = (&jwk.n, &jwk.e) else {
                return Err("has malformed parameters");
            };
            let key = decoding(DecodingKey::from_rsa_components(n, e))?;
            (Algorithm::RS256, key)
        }
        ("EC", Some("P-256"), Some(x), Some(y)) => {
            let key = decoding(DecodingKey::from_ec_components(x, y))?;
            (Algorithm::ES256, key)
        }
        ("OKP", Some("Ed25519"), Some(x), _) => {
            let key = decoding(DecodingKey::from_ed_components(x))?;
            (Algorithm::EdDSA, key)
        }
        _ => return Err("is of a kind that is not supported"),
    };
    if let Some(alg) = &jwk.alg
        && parse_algorithm(alg) != Some(algorithm)
    {
        return Err("is for an algorithm that is not supported");
    }
    Ok(PublishedKey {
        kid: jwk.kid,
        key: Key::public(algorithm, key)?,
    })
}
