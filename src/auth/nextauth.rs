//! Session tokens of NextAuth v4 and Auth.js v5: claims encrypted with a key derived from the
//! app's secret (JWE, RFC 7516; `alg` is `dir`, the key itself encrypts).
//!
//! Sources: `next-auth` 4.24 `jwt/index.js` and `@auth/core` 0.41 `jwt.js`. Both derive by
//! HKDF-SHA256. v4 encrypts with A256GCM and takes no salt; v5 encrypts with A256CBC-HS512
//! (RFC 7518 section 5.2.5) and salts with the cookie's name.

use aes_gcm::{Aes256Gcm, Nonce, aead::Aead};
use cbc::cipher::{BlockModeDecrypt, KeyIvInit, block_padding::Pkcs7};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Sha256, Sha512};

use super::{
    AuthError,
    claims::Claims,
    jws::{decode, decode_json},
};

/// v5's cookies, the one of HTTPS sites first.
const V5_COOKIES: [&str; 2] = ["__Secure-authjs.session-token", "authjs.session-token"];

/// Every cookie that may hold a session token, in the order in which they are tried.
pub(super) const SESSION_COOKIES: [&str; 4] = [
    V5_COOKIES[0],
    V5_COOKIES[1],
    "__Secure-next-auth.session-token",
    "next-auth.session-token",
];

/// The keys of one NextAuth secret.
pub(super) struct SessionKeys {
    v4: [u8; 32],
    v5: [[u8; 64]; 2],
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    enc: String,
    crit: Option<Value>,
    zip: Option<Value>,
}

impl SessionKeys {
    pub(super) fn derive(secret: &str) -> Self {
        Self {
            v4: derive(secret, "", "NextAuth.js Generated Encryption Key"),
            v5: V5_COOKIES.map(|cookie| {
                let info = format!("Auth.js Generated Encryption Key ({cookie})");
                derive(secret, cookie, &info)
            }),
        }
    }

    /// Decrypts `header..iv.ciphertext.tag` and returns the claims, authentic but not checked.
    pub(super) fn decrypt(&self, token: &str) -> Result<Claims, AuthError> {
        let parts: Vec<&str> = token.split('.').collect();
        let [header_text, "", iv, ciphertext, tag] = parts[..] else {
            return Err(AuthError::Malformed);
        };
        let header: Header = decode_json(header_text)?;
        if header.crit.is_some() || header.zip.is_some() {
            return Err(AuthError::Malformed);
        }
        let sealed = Sealed {
            aad: header_text.as_bytes(),
            iv: decode(iv)?,
            ciphertext: decode(ciphertext)?,
            tag: decode(tag)?,
        };
        let claims = match (header.alg.as_str(), header.enc.as_str()) {
            ("dir", "A256GCM") => sealed.open_gcm(&self.v4),
            ("dir", "A256CBC-HS512") => self.v5.iter().find_map(|key| sealed.open_cbc(key)),
            _ => return Err(AuthError::AlgorithmNotAllowed),
        }
        .ok_or(AuthError::BadSignature)?;
        serde_json::from_slice(&claims).map_err(|_| AuthError::Malformed)
    }
}

fn derive<const N: usize>(secret: &str, salt: &str, info: &str) -> [u8; N] {
    let mut key = [0; N];
    Hkdf::<Sha256>::new(Some(salt.as_bytes()), secret.as_bytes())
        .expand(info.as_bytes(), &mut key)
        .expect("HKDF-SHA256 gives up to 8160 bytes; N is 32 or 64");
    key
}

/// An encrypted content with what authenticates it.
struct Sealed<'a> {
    aad: &'a [u8],
    iv: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
}

impl Sealed<'_> {
    fn open_gcm(&self, key: &[u8; 32]) -> Option<Vec<u8>> {
        let nonce = Nonce::try_from(self.iv.as_slice()).ok()?;
        if self.tag.len() != 16 {
            return None;
        }
        let sealed = [self.ciphertext.as_slice(), &self.tag].concat();
        let payload = aes_gcm::aead::Payload {
            msg: &sealed,
            aad: self.aad,
        };
        Aes256Gcm::new(key.into()).decrypt(&nonce, payload).ok()
    }

    fn open_cbc(&self, key: &[u8; 64]) -> Option<Vec<u8>> {
        let (mac_key, cipher_key) = key.split_at(32);
        if self.tag.len() != 32 {
            return None;
        }
        let mut mac = Hmac::<Sha512>::new_from_slice(mac_key).ok()?;
        mac.update(self.aad);
        mac.update(&self.iv);
        mac.update(&self.ciphertext);
        mac.update(&(self.aad.len() as u64 * 8).to_be_bytes());
        mac.verify_truncated_left(&self.tag).ok()?;
        let mut buffer = self.ciphertext.clone();
        let plain = cbc::Decryptor::<aes::Aes256>::new_from_slices(cipher_key, &self.iv)
            .ok()?
            .decrypt_padded::<Pkcs7>(&mut buffer)
            .ok()?;
        Some(plain.to_vec())
    }
}
