//! Verification keys. Each is bound to one algorithm, decided by the key and never by a token, so
//! that no token can have a public key used as an HMAC secret.

use std::path::Path;

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind,
    crypto::{self, rust_crypto},
};

use super::{error::AuthConfigError, jws::Jws};

/// RSA moduli accepted, in bits. Less is weak (NIST SP 800-131A); more is not verified by the RSA
/// implementation.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A key with the only algorithm that it verifies.
pub(super) struct Key {
    algorithm: Algorithm,
    decoding: DecodingKey,
}

impl Key {
    /// An HS256 secret.
    pub(super) fn hs256(secret: &str) -> Self {
        Self {
            algorithm: Algorithm::HS256,
            decoding: DecodingKey::from_secret(secret.as_bytes()),
        }
    }

    /// Binds a public key to its algorithm, or says why it is unfit.
    pub(super) fn public(
        algorithm: Algorithm,
        decoding: DecodingKey,
    ) -> Result<Self, &'static str> {
        match algorithm {
            Algorithm::RS256 => check_rsa(&decoding)?,
            // The length comes first: the library slices the bytes before it looks at them.
            Algorithm::EdDSA => match decoding.try_get_as_bytes() {
                Ok(bytes) if bytes.len() == 32 => {}
                _ => return Err("is not an Ed25519 key of 32 bytes"),
            },
            Algorithm::ES256 => {}
            _ => return Err("is for an algorithm that is not supported"),
        }
        // Fails where the bytes are no point of the algorithm's curve.
        crypto::verify("", b"", &decoding, algorithm)
            .map_err(|_| "is not on the curve of ES256 (P-256) or EdDSA (Ed25519)")?;
        Ok(Self {
            algorithm,
            decoding,
        })
    }

    /// The only algorithm that this key verifies.
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether this key made the token's signature, with this key's algorithm.
    pub(super) fn verifies(&self, jws: &Jws<'_>) -> bool {
        jws.algorithm == self.algorithm
            && crypto::verify(
                jws.signature,
                jws.signed.as_bytes(),
                &self.decoding,
                self.algorithm,
            )
            .unwrap_or(false)
    }
}

fn check_rsa(key: &DecodingKey) -> Result<(), &'static str> {
    let of_der;
    let (n, e) = match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, e } => (n, e),
        DecodingKeyKind::SecretOrDer(der) => {
            let components = rust_crypto::DEFAULT_PROVIDER
                .key_utils
                .rsa_pub_components_from_public_key;
            of_der =
                components(der).map_err(|_| "is not an RSA public key of at most 4096 bits")?;
            (&of_der.0, &of_der.1)
        }
    };
    let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
    let bits = n
        .first()
        .map_or(0, |top| n.len() * 8 - top.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err("is an RSA key that does not have 2048 to 4096 bits");
    }
    // Four bytes hold every exponent in use (65537, 3); even ones and 1 make no RSA key.
    let odd = |number: &[u8]| number.last().is_some_and(|b| b % 2 == 1);
    if !odd(n) || !odd(e) || e.len() > 4 || e == [1] {
        return Err("is an RSA key with an unusable modulus or exponent");
    }
    Ok(())
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    &bytes[zeros..]
}

/// Reads every public key in a PEM file. `config_key` is named in errors.
pub(super) fn read_pem_file(config_key: &str, path: &Path) -> Result<Vec<Key>, AuthConfigError> {
    let wrong =
        |problem: String| AuthConfigError::new(config_key, format!("{} {problem}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    let keys: Vec<Key> = pem_blocks(&text)
        .map(|(label, block)| from_pem(label, block))
        .collect::<Result<_, _>>()
        .map_err(|problem| wrong(problem.to_owned()))?;
    if keys.is_empty() {
        return Err(wrong("holds no PEM block".to_owned()));
    }
    Ok(keys)
}

const BEGIN: &str = "-----BEGIN ";

/// Every block of the text with its label, up to where the next one begins.
fn pem_blocks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices(BEGIN).map(|(start, _)| {
        let rest = &text[start + BEGIN.len()..];
        let label = rest.split("-----").next().unwrap_or_default();
        let end = rest
            .find(BEGIN)
            .map_or(text.len(), |i| start + BEGIN.len() + i);
        (label, &text[start..end])
    })
}

/// Whether a text that should be a secret is a PEM key.
pub(super) fn looks_like_pem(text: &str) -> bool {
    text.contains(BEGIN)
}

fn from_pem(label: &str, block: &str) -> Result<Key, &'static str> {
    match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => {}
        "CERTIFICATE" => return Err("holds a certificate; extract its public key"),
        other if other.ends_with("PRIVATE KEY") => {
            return Err("holds a private key; only public keys belong here");
        }
        _ => return Err("holds a PEM block that is no public key"),
    }
    let pem = block.as_bytes();
    if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
        Key::public(Algorithm::RS256, key)
    } else if let Ok(key) = DecodingKey::from_ec_pem(pem) {
        Key::public(Algorithm::ES256, key)
    } else if let Ok(key) = DecodingKey::from_ed_pem(pem) {
        Key::public(Algorithm::EdDSA, key)
    } else {
        Err("holds a key that is not RSA, EC P-256 or Ed25519")
    }
}
