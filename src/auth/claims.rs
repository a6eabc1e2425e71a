//! What verified claims say: until when, from whom, for whom, and about which user (RFC 7519).

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value, json};

use super::{AuthError, Identity, proof};
use crate::{
    chat::{Millis, Profile, UserId},
    config,
};

/// Longest name taken from a token, in bytes. A longer text counts as absent, here and below:
/// profiles travel with every message.
const MAX_NAME: usize = 256;
/// Longest e-mail address (RFC 5321: 64 + 1 + 255).
const MAX_EMAIL: usize = 320;
/// Longest picture URL; pictures embedded as `data:` URLs are longer.
const MAX_AVATAR: usize = 2048;
/// Longest `jti`.
const MAX_TOKEN_ID: usize = 256;

/// A JSON object of claims.
pub(super) type Claims = Map<String, Value>;

/// Who made the claims.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A signed token: issuer and audience are required as configured.
    Token,
    /// A NextAuth session: its secret is one app's own, and NextAuth writes no issuer or audience.
    Session,
}

/// The configured part of reading claims.
pub(super) struct ClaimRules {
    issuer: Option<String>,
    audience: Option<String>,
    /// By how much clocks may differ, in milliseconds.
    pub(super) leeway_ms: i64,
    user_id: Vec<String>,
    name: Vec<String>,
    email: Vec<String>,
    avatar: Vec<String>,
}

impl ClaimRules {
    pub(super) fn new(cfg: &config::Auth) -> Self {
        let set = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            issuer: set(&cfg.issuer),
            audience: set(&cfg.audience),
            leeway_ms: in_ms(cfg.leeway),
            user_id: cfg.user_id_claims.clone(),
            name: cfg.name_claims.clone(),
            email: cfg.email_claims.clone(),
            avatar: cfg.avatar_claims.clone(),
        }
    }

    /// Checks the claims of a token at the time `now` and reads who they are about.
    pub(super) fn identity(
        &self,
        token: &str,
        claims: &Claims,
        origin: Origin,
        now: Millis,
    ) -> Result<Identity, AuthError> {
        let expires_at = numeric_date(claims, "exp")?;
        if expires_at.is_some_and(|exp| now >= exp.plus(self.leeway_ms)) {
            return Err(AuthError::TokenExpired);
        }
        if numeric_date(claims, "nbf")?.is_some_and(|nbf| now.plus(self.leeway_ms) < nbf) {
            return Err(AuthError::TokenNotYetValid);
        }
        if origin == Origin::Token {
            self.check_parties(claims)?;
        }
        let issued_at = numeric_date(claims, "iat")?;
        let id = claims.get("jti").and_then(Value::as_str);
        let token_id = id.and_then(token_id);
        let (proof, root) = proof::proof(token, claims, issued_at, token_id.as_deref())?;
        Ok(Identity {
            profile: self.profile(claims)?,
            expires_at,
            issued_at,
            token_id,
            proof,
            root,
        })
    }

    fn check_parties(&self, claims: &Claims) -> Result<(), AuthError> {
        if let Some(issuer) = &self.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(AuthError::WrongIssuer);
        }
        if let Some(audience) = &self.audience {
            let named = match claims.get("aud") {
                Some(Value::String(one)) => one == audience,
                Some(Value::Array(many)) => many.iter().any(|a| a.as_str() == Some(audience)),
                _ => false,
            };
            if !named {
                return Err(AuthError::WrongAudience);
            }
        }
        Ok(())
    }

    fn profile(&self, claims: &Claims) -> Result<Profile, AuthError> {
        // The first id claim present decides even if it is unacceptable: falling through to the
        // next would let one token mean different users to different readers.
        let id = match self.user_id.iter().find_map(|name| present(claims, name)) {
            Some(Value::String(id)) => UserId::new(id),
            Some(Value::Number(id)) if !id.is_f64() => UserId::new(&id.to_string()),
            _ => return Err(AuthError::NoUserId),
        }
        .map_err(|_| AuthError::NoUserId)?;
        let first = |names: &[String], max| {
            names
                .iter()
                .find_map(|name| text(claims.get(name.as_str()), max))
        };
        let mut profile = Profile::unknown(id);
        if let Some(name) = first(&self.name, MAX_NAME) {
            profile.name = name;
        }
        profile.email = first(&self.email, MAX_EMAIL);
        profile.avatar = first(&self.avatar, MAX_AVATAR);
        Ok(profile)
    }

    /// Claims from which [`ClaimRules::identity`] reads the profile back, and when they expire.
    pub(super) fn describe(
        &self,
        profile: &Profile,
        token_id: String,
        now: Millis,
        ttl: Duration,
    ) -> (Claims, Millis) {
        let issued = now.0.div_euclid(1000);
        let expires = now.plus(in_ms(ttl)).0.div_euclid(1000);
        let mut claims = Claims::new();
        for (names, value) in [
            (&self.avatar, profile.avatar.as_deref()),
            (&self.email, profile.email.as_deref()),
            (&self.name, Some(&*profile.name)),
            (&self.user_id, Some(profile.id.as_str())),
        ] {
            if let (Some(name), Some(value)) = (names.first(), value) {
                claims.insert(name.clone(), json!(value));
            }
        }
        claims.insert("sub".to_owned(), json!(profile.id));
        if let Some(issuer) = &self.issuer {
            claims.insert("iss".to_owned(), json!(issuer));
        }
        if let Some(audience) = &self.audience {
            claims.insert("aud".to_owned(), json!(audience));
        }
        claims.insert("jti".to_owned(), json!(token_id));
        claims.insert("iat".to_owned(), json!(issued));
        claims.insert("exp".to_owned(), json!(expires));
        (claims, Millis(expires.saturating_mul(1000)))
    }
}

/// A span in milliseconds, at most what fits.
pub(super) fn in_ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// A claim that is there and not null.
fn present<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    claims.get(name).filter(|value| !value.is_null())
}

/// A NumericDate: seconds since 1970, perhaps with a fraction.
fn numeric_date(claims: &Claims, name: &str) -> Result<Option<Millis>, AuthError> {
    let Some(value) = present(claims, name) else {
        return Ok(None);
    };
    if let Some(seconds) = value.as_i64() {
        return Ok(Some(Millis(seconds.saturating_mul(1000))));
    }
    // The cast saturates, which is right for times beyond the end of the calendar.
    let seconds = value.as_f64().ok_or(AuthError::Malformed)?;
    Ok(Some(Millis((seconds * 1000.0) as i64)))
}

/// The id of a token as it is kept.
pub(super) fn token_id(text: &str) -> Option<Arc<str>> {
    worth_keeping(text, MAX_TOKEN_ID)
}

fn text(value: Option<&Value>, max: usize) -> Option<Arc<str>> {
    worth_keeping(value?.as_str()?, max)
}

/// A text that is not blank and of at most `max` bytes.
fn worth_keeping(text: &str, max: usize) -> Option<Arc<str>> {
    let text = text.trim();
    (!text.is_empty() && text.len() <= max).then(|| text.into())
}
