//! Who is calling: tokens are verified, identities read from them, and socket tokens minted.
//!
//! A credential goes through `credentials` (where it may be, which one counts), then by its shape
//! through `jws` (signed tokens, with the keys of `keys` and `jwks`) or `nextauth` (encrypted
//! session tokens), then through `claims` (until when, from whom, about whom) and `proof` (by which
//! names it may have been revoked).
//!
//! Every key is bound to one algorithm when it is loaded; what a token says about its algorithm is
//! only ever compared with that. Time comes from the injected clock.

mod claims;
mod credentials;
mod error;
mod jwk;
mod jwks;
mod jws;
mod keys;
mod nextauth;
mod proof;

use std::{sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, EncodingKey, crypto::rust_crypto};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

pub use credentials::Credentials;
pub use error::{AuthConfigError, AuthError};

use self::{
    claims::{ClaimRules, Origin},
    credentials::Places,
    jwks::Jwks,
    jws::Jws,
    keys::Key,
    nextauth::SessionKeys,
    proof::Root,
};
use crate::{
    chat::{Clock, Controls, Millis, Profile, Proof, TokenKey, UserId},
    config, telemetry,
};

/// The longest token looked at, in bytes. HTTP servers accept about as much in all headers.
pub const MAX_TOKEN_LEN: usize = 16 * 1024;

/// Who a verified token is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub profile: Profile,
    /// When the token expires; `None` if it never does.
    pub expires_at: Option<Millis>,
    /// When the token was made, if it says so.
    pub issued_at: Option<Millis>,
    /// The token's own id (`jti`), if it has one.
    pub token_id: Option<Arc<str>>,
    /// What revocations go by.
    pub proof: Proof,
    /// The token that this one was minted from, if it was.
    root: Option<Root>,
}

impl Identity {
    /// What revocations know the token by, with those that renew it.
    pub fn key(&self) -> Option<TokenKey> {
        self.proof.keys.first().copied()
    }
}

/// A token made by [`Authenticator::mint`]. Not `Debug`: it is a secret.
#[derive(Clone)]
pub struct Minted {
    /// The token.
    pub token: String,
    /// When it expires.
    pub expires_at: Millis,
}

/// Verifies credentials. Shared as `Arc<Authenticator>`.
pub struct Authenticator {
    clock: Arc<dyn Clock>,
    rules: ClaimRules,
    places: Places,
    keys: Vec<Key>,
    jwks: Option<Jwks>,
    sessions: Option<SessionKeys>,
    signer: Option<EncodingKey>,
    /// Digests rather than keys: they compare in constant time whatever the lengths.
    services: Vec<[u8; 32]>,
    controls: Arc<Controls>,
}

impl Authenticator {
    /// Loads secrets and key files. Nothing is fetched yet.
    pub fn new(cfg: &config::Auth, clock: Arc<dyn Clock>) -> Result<Self, AuthConfigError> {
        choose_crypto();
        let mut keys = Vec::new();
        for (i, secret) in cfg.jwt_secrets.iter().enumerate() {
            check_secret(&format!("auth.jwt_secrets[{i}]"), secret)?;
            keys.push(Key::hs256(secret));
        }
        for (i, path) in cfg.public_key_files.iter().enumerate() {
            let key = format!("auth.public_key_files[{i}]");
            keys.extend(keys::read_pem_file(&key, path)?);
        }
        let jwks = match cfg.jwks_url.as_str() {
            "" => None,
            _ => Some(Jwks::new(cfg, Arc::clone(&clock))?),
        };
        let sessions = match cfg.nextauth_secret.as_str() {
            "" => None,
            secret => Some(SessionKeys::derive(secret)),
        };
        if keys.is_empty() && jwks.is_none() && sessions.is_none() {
            return Err(AuthConfigError::new(
                "auth.jwt_secrets",
                "is empty, and no other key to verify tokens with is configured",
            ));
        }
        for (i, key) in cfg.api_keys.iter().enumerate() {
            check_secret(&format!("auth.api_keys[{i}]"), key)?;
        }
        Ok(Self {
            controls: Controls::new(clock.clone()),
            clock,
            rules: ClaimRules::new(cfg),
            places: Places::new(cfg),
            keys,
            jwks,
            sessions,
            signer: cfg
                .jwt_secrets
                .first()
                .map(|secret| EncodingKey::from_secret(secret.as_bytes())),
            services: cfg.api_keys.iter().map(|key| digest(key)).collect(),
        })
    }

    /// Refuses whom these refuse. Without it nobody is revoked.
    pub fn with_controls(self, controls: Arc<Controls>) -> Self {
        Self { controls, ..self }
    }

    /// Verifies one bearer token ([`Authenticator::examine`]), and that it is not revoked.
    pub async fn verify(&self, token: &str) -> Result<Identity, AuthError> {
        let identity = self.examine(token).await?;
        self.check(&identity.profile.id, &identity.proof)?;
        Ok(identity)
    }

    /// A user who is believed without a token. Revoking the user revokes that.
    pub fn believe(&self, user: UserId) -> Result<Identity, AuthError> {
        self.check(&user, &Proof::default())?;
        Ok(Identity {
            profile: Profile::unknown(user),
            expires_at: None,
            issued_at: None,
            token_id: None,
            proof: Proof::default(),
            root: None,
        })
    }

    fn check(&self, user: &UserId, proof: &Proof) -> Result<(), AuthError> {
        let Some(refusal) = self.controls.refuses(user, proof) else {
            return Ok(());
        };
        metrics::counter!(telemetry::REVOKED_REFUSED_TOTAL, "what" => refusal.as_str())
            .increment(1);
        Err(AuthError::TokenRevoked)
    }

    /// Verifies a token whether or not it is revoked: a signed token (JWT), or a NextAuth session
    /// token (JWE) where `auth.nextauth_secret` is set. May wait for keys to be fetched, at most
    /// some seconds.
    pub async fn examine(&self, token: &str) -> Result<Identity, AuthError> {
        if token.is_empty() {
            return Err(AuthError::Missing);
        }
        if token.len() > MAX_TOKEN_LEN {
            return Err(AuthError::Malformed);
        }
        let (claims, origin) = match token.bytes().filter(|b| *b == b'.').count() {
            2 => {
                let jws = Jws::parse(token)?;
                self.verify_signature(&jws).await?;
                (jws.claims()?, Origin::Token)
            }
            4 => {
                let keys = self.sessions.as_ref();
                let keys = keys.ok_or(AuthError::AlgorithmNotAllowed)?;
                (keys.decrypt(token)?, Origin::Session)
            }
            _ => return Err(AuthError::Malformed),
        };
        self.rules
            .identity(token, &claims, origin, self.clock.now())
    }

    /// Until when a verified token is accepted; `None`: for ever.
    pub fn accepted_until(&self, identity: &Identity) -> Option<Millis> {
        Some(identity.expires_at?.plus(self.rules.leeway_ms))
    }

    /// What revocations know tokens of this `jti` by.
    pub fn key_of_id(id: &str) -> Result<TokenKey, AuthError> {
        match claims::token_id(id) {
            Some(id) => Ok(proof::key_of_id(&id)),
            None => Err(AuthError::Malformed),
        }
    }

    /// Verifies the credential of the first place that holds one: the handshake's `auth.token`,
    /// `Authorization: Bearer`, the configured query parameter, the configured cookie, the NextAuth
    /// session cookies. Of several session cookies the first that verifies counts; otherwise a
    /// credential that is refused is not made up for by one in a later place.
    pub async fn identify(&self, credentials: &Credentials) -> Result<Identity, AuthError> {
        let mut refused = None;
        for token in self.places.find(credentials) {
            match self.verify(&token).await {
                Ok(identity) => return Ok(identity),
                Err(e) => refused = refused.or(Some(e)),
            }
        }
        Err(refused.unwrap_or(AuthError::Missing))
    }

    /// Signs an HS256 token about the user with the first of `auth.jwt_secrets`, valid for `ttl`
    /// (whole seconds count). [`AuthError::CannotMint`] where no secret is configured.
    pub fn mint(&self, profile: &Profile, ttl: Duration) -> Result<Minted, AuthError> {
        self.mint_from(None, profile, ttl)
    }

    /// As [`Authenticator::mint`], for somebody who showed another token: what revokes that one
    /// revokes this one, too.
    pub fn mint_from(
        &self,
        parent: Option<&Identity>,
        profile: &Profile,
        ttl: Duration,
    ) -> Result<Minted, AuthError> {
        let signer = self.signer.as_ref().ok_or(AuthError::CannotMint)?;
        let (id, root) = parent.map(proof::minted_from).unzip();
        let id = id.flatten();
        let id = id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        let (mut claims, expires_at) = self.rules.describe(profile, id, self.clock.now(), ttl);
        if let Some(root) = root {
            proof::put_root(&mut claims, root)?;
        }
        let header = jsonwebtoken::Header::new(Algorithm::HS256);
        let token = jsonwebtoken::encode(&header, &claims, signer);
        Ok(Minted {
            token: token.map_err(|_| AuthError::CannotMint)?,
            expires_at,
        })
    }

    /// Whether the key is one of the configured service callers' (`auth.api_keys`). The time taken
    /// does not depend on how much of a key is right, nor on which one it is.
    pub fn is_service(&self, key: &str) -> bool {
        let asked = digest(key);
        self.services
            .iter()
            .fold(Choice::from(0), |found, own| found | own.ct_eq(&asked))
            .into()
    }

    async fn verify_signature(&self, jws: &Jws<'_>) -> Result<(), AuthError> {
        if self.keys.iter().any(|key| key.verifies(jws)) {
            return Ok(());
        }
        let tried = self.keys.iter().any(|k| k.algorithm() == jws.algorithm);
        match &self.jwks {
            Some(jwks) if jws.algorithm != Algorithm::HS256 => {
                let keys = jwks.candidates(jws.algorithm, jws.kid.as_deref()).await?;
                if jwk::any_verifies(&keys, jws) {
                    return Ok(());
                }
                Err(AuthError::BadSignature)
            }
            _ if tried => Err(AuthError::BadSignature),
            _ => Err(AuthError::AlgorithmNotAllowed),
        }
    }
}

/// Refuses what would let everybody in. Whether a secret is long enough to be safe is checked with
/// the rest of the configuration.
fn check_secret(key: &str, secret: &str) -> Result<(), AuthConfigError> {
    if secret.is_empty() {
        return Err(AuthConfigError::new(key, "is empty"));
    }
    if keys::looks_like_pem(secret) {
        return Err(AuthConfigError::new(
            key,
            "is a PEM key, not a secret; public keys belong in auth.public_key_files",
        ));
    }
    Ok(())
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Settles which cryptography the libraries use in this process. Whoever is first decides; a
/// second call changes nothing.
fn choose_crypto() {
    let _ = rust_crypto::DEFAULT_PROVIDER.install_default();
    let _ = rustls::crypto::ring::default_provider().install_default();
}
