//! Signed tokens in compact form (RFC 7515): taking them apart, before anything is believed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::AuthError;

/// A token taken apart. Nothing in it is verified.
pub(super) struct Jws<'a> {
    /// The algorithm that the token claims; a key decides whether it applies.
    pub(super) algorithm: Algorithm,
    /// Which key the token claims.
    pub(super) kid: Option<String>,
    /// What is signed: header and payload as they came.
    pub(super) signed: &'a str,
    /// The signature, in base64.
    pub(super) signature: &'a str,
    payload: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl<'a> Jws<'a> {
    /// Splits `header.payload.signature` and reads the header.
    pub(super) fn parse(token: &'a str) -> Result<Self, AuthError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(AuthError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(AuthError::Malformed)?;
        let header: Header = decode_json(header)?;
        // RFC 7515 section 4.1.11: extensions that are critical and not understood refuse the
        // token; none is understood here.
        if header.crit.is_some() {
            return Err(AuthError::Malformed);
        }
        let algorithm = parse_algorithm(&header.alg).ok_or(AuthError::AlgorithmNotAllowed)?;
        decode(signature)?;
        Ok(Self {
            algorithm,
            kid: header.kid,
            signed,
            signature,
            payload,
        })
    }

    /// The claims. Call after a key has verified the signature.
    pub(super) fn claims(&self) -> Result<Map<String, Value>, AuthError> {
        decode_json(self.payload)
    }
}

/// The algorithm of that name, if it is one that a key can be bound to. RFC 9864 renames EdDSA
/// with an Ed25519 key to `Ed25519`.
pub(super) fn parse_algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "HS256" => Some(Algorithm::HS256),
        "RS256" => Some(Algorithm::RS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" | "Ed25519" => Some(Algorithm::EdDSA),
        _ => None,
    }
}

/// Base64url without padding, strictly: one text for one value.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, AuthError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| AuthError::Malformed)
}

/// JSON in base64url.
pub(super) fn decode_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, AuthError> {
    serde_json::from_slice(&decode(text)?).map_err(|_| AuthError::Malformed)
}
