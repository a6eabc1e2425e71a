//! Why a credential is refused, and why an `[auth]` section cannot be used.

use std::fmt;

use crate::chat::ChatError;

/// Why a credential is refused. Never holds any part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthError {
    /// No credential came where one is looked for.
    Missing,
    /// The credential is no token: wrong shape, encoding, size or JSON.
    Malformed,
    /// The token's algorithm belongs to none of the configured keys.
    AlgorithmNotAllowed,
    /// No key that the token could mean is known.
    UnknownKey,
    /// The signature (or the encryption, for a session token) matches no key.
    BadSignature,
    /// `exp` has passed.
    TokenExpired,
    /// The token, or the user, was revoked.
    TokenRevoked,
    /// `nbf` has not come.
    TokenNotYetValid,
    /// `iss` is not the configured issuer.
    WrongIssuer,
    /// `aud` does not name the configured audience.
    WrongAudience,
    /// No claim holds a user id, or the first one present holds none that is acceptable.
    NoUserId,
    /// The keys are published at a URL that does not answer.
    KeysUnavailable,
    /// A token was to be made, and no secret is configured to sign it with.
    CannotMint,
}

impl AuthError {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::Missing,
        Self::Malformed,
        Self::AlgorithmNotAllowed,
        Self::UnknownKey,
        Self::BadSignature,
        Self::TokenExpired,
        Self::TokenRevoked,
        Self::TokenNotYetValid,
        Self::WrongIssuer,
        Self::WrongAudience,
        Self::NoUserId,
        Self::KeysUnavailable,
        Self::CannotMint,
    ];

    /// The stable reason, for metrics and for clients that act on it.
    pub fn reason(self) -> &'static str {
        self.texts().0
    }

    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Missing => ("missing", "no token was given"),
            Self::Malformed => ("malformed", "the token cannot be read"),
            Self::AlgorithmNotAllowed => (
                "algorithm_not_allowed",
                "the token's algorithm is not accepted here",
            ),
            Self::UnknownKey => ("unknown_key", "the token's key is not known"),
            Self::BadSignature => ("bad_signature", "the token's signature matches no key"),
            Self::TokenExpired => ("token_expired", "the token has expired"),
            Self::TokenRevoked => ("token_revoked", "the token or its user was revoked"),
            Self::TokenNotYetValid => ("token_not_yet_valid", "the token is not valid yet"),
            Self::WrongIssuer => ("wrong_issuer", "the token has another issuer"),
            Self::WrongAudience => ("wrong_audience", "the token is for another audience"),
            Self::NoUserId => ("no_user_id", "the token names no acceptable user id"),
            Self::KeysUnavailable => (
                "keys_unavailable",
                "the keys to verify the token cannot be fetched, try again",
            ),
            Self::CannotMint => ("cannot_mint", "no secret is configured to sign tokens with"),
        }
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.texts().1)
    }
}

impl std::error::Error for AuthError {}

impl From<AuthError> for ChatError {
    /// The message starts with the reason: `token_expired: the token has expired`.
    fn from(e: AuthError) -> Self {
        let message = format!("{}: {e}", e.reason());
        match e {
            AuthError::KeysUnavailable | AuthError::CannotMint => Self::unavailable(message, e),
            _ => Self::unauthorized(message),
        }
    }
}

/// What is wrong with the `[auth]` section. Names the key, never a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct AuthConfigError {
    /// The configuration key, such as `auth.public_key_files[0]`.
    pub key: String,
    /// What is wrong with its value.
    pub problem: String,
}

impl AuthConfigError {
    pub(super) fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            problem: problem.into(),
        }
    }
}
