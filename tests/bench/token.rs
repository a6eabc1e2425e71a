//! Tokens of the bench's users, signed here so that the server under load does not mint them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::Outcome;

/// Seconds that a token lives: longer than any run.
const TTL: u64 = 6 * 3600;

/// An HS256 JWT for `user`.
pub fn sign(secret: &str, user: &str) -> Outcome<String> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_secs();
    let claims = serde_json::json!({ "sub": user, "name": user, "iat": now, "exp": now + TTL });
    let signed = format!(
        "{}.{}",
        BASE64URL.encode(r#"{"alg":"HS256","typ":"JWT"}"#),
        BASE64URL.encode(claims.to_string())
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(signed.as_bytes());
    let signature = BASE64URL.encode(mac.finalize().into_bytes());
    Ok(format!("{signed}.{signature}"))
}
