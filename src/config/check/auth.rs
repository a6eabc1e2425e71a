//! Checks of `[auth]`: secrets, keys, and whether there is any way to know who somebody is.

use std::net::IpAddr;

use super::{Checker, is_token_byte, item};
use crate::config::{Auth, Config, Url, urls};

/// Shorter secrets than this can be guessed and are refused, in bytes.
const SECRET_REFUSED: usize = 8;
/// Shorter secrets than this are weaker than the signature (RFC 7518, section 3.2), in bytes.
const SECRET_WARNED: usize = 32;
/// The shortest API key, in characters.
const API_KEY: usize = 32;
/// The parameters of the Engine.IO protocol: <https://socket.io/docs/v4/engine-io-protocol/>.
const ENGINE_PARAMETERS: [&str; 6] = ["EIO", "transport", "sid", "t", "j", "b64"];

impl Checker<'_> {
    pub(super) fn auth(&mut self, config: &Config) {
        let auth = &config.auth;
        for (i, secret) in auth.jwt_secrets.iter().enumerate() {
            self.secret(&item("auth.jwt_secrets", i), secret);
        }
        if !auth.nextauth_secret.is_empty() {
            self.secret("auth.nextauth_secret", &auth.nextauth_secret);
        }
        for (i, key) in auth.api_keys.iter().enumerate() {
            let length = key.chars().count();
            if length < API_KEY {
                self.refuse(
                    &item("auth.api_keys", i),
                    format!(
                        "has {length} characters, at least {API_KEY} are needed; `openssl rand \
                         -hex 32` makes a good one"
                    ),
                );
            }
        }
        if !auth.jwks_url.is_empty() {
            match urls::with_scheme(&auth.jwks_url, &["https", "http"]) {
                Ok(url) if url.scheme() == "http" && !is_local(&url) => self.warn(
                    "auth.jwks_url",
                    "keys fetched without https can be exchanged on the way",
                ),
                Ok(_) => {}
                Err(problem) => self.refuse("auth.jwks_url", problem),
            }
        }
        for (name, claims, required) in [
            ("auth.user_id_claims", &auth.user_id_claims, true),
            ("auth.name_claims", &auth.name_claims, false),
            ("auth.email_claims", &auth.email_claims, false),
            ("auth.avatar_claims", &auth.avatar_claims, false),
        ] {
            if required && claims.is_empty() {
                self.refuse(name, "must name at least one claim, such as \"sub\"");
            }
            if let Some(i) = claims.iter().position(|claim| claim.trim().is_empty()) {
                self.refuse(&item(name, i), "is an empty name");
            }
        }
        if ENGINE_PARAMETERS.contains(&auth.query_parameter.as_str()) {
            let problem = format!(
                "\"{}\" is a parameter of Socket.IO itself; choose another name, such as \"token\"",
                auth.query_parameter
            );
            self.refuse("auth.query_parameter", problem);
        }
        for (name, text) in [
            ("auth.query_parameter", &auth.query_parameter),
            ("auth.cookie", &auth.cookie),
        ] {
            if !text.bytes().all(is_token_byte) {
                self.refuse(
                    name,
                    "may hold letters, digits and - _ . only, as names of parameters and cookies do",
                );
            }
        }
        self.trust(config);
        self.in_order(
            ("auth.jwks_min_refresh_s", auth.jwks_min_refresh.as_secs()),
            ("auth.jwks_cache_s", auth.jwks_cache.as_secs()),
        );
    }

    /// Believing what clients say of themselves is for trying things out.
    fn trust(&mut self, config: &Config) {
        let (auth, listen) = (&config.auth, config.server.listen);
        if !auth.trust_new_user {
            if auth.insecure {
                self.warn("auth.insecure", "does nothing without auth.trust_new_user");
            }
            return;
        }
        if !listen.ip().is_loopback() && !auth.insecure {
            self.refuse(
                "auth.trust_new_user",
                format!(
                    "would let anybody who reaches {listen} read and write as anybody; listen on \
                     127.0.0.1, or set auth.insecure if that is wanted"
                ),
            );
        } else {
            self.warn(
                "auth.trust_new_user",
                format!(
                    "connections without a token are believed: whoever reaches {listen} can read \
                     and write as anybody"
                ),
            );
        }
    }

    fn secret(&mut self, name: &str, secret: &str) {
        let length = secret.len();
        let good = "`openssl rand -base64 32` makes a good one";
        if length < SECRET_REFUSED {
            self.refuse(
                name,
                format!(
                    "has {length} bytes and can be guessed; use {SECRET_WARNED} or more; {good}"
                ),
            );
        } else if length < SECRET_WARNED {
            self.warn(
                name,
                format!("has only {length} bytes; {SECRET_WARNED} or more are safe; {good}"),
            );
        } else if is_placeholder(secret) {
            self.warn(name, format!("looks like an example's; {good}"));
        }
    }

    /// Somebody must vouch for users; only a listener that nobody else reaches may make do with a
    /// secret of its own.
    pub(super) fn verifier(&mut self, config: &Config) {
        let listen = config.server.listen;
        if config.auth.has_verifier()
            || listen.ip().is_loopback()
            || config.auth.trust_new_user && config.auth.insecure
            || ["server.listen", "auth.public_key_files", "auth.jwks_url"]
                .iter()
                .any(|name| self.0.is_refused(name))
        {
            return;
        }
        self.refuse(
            "auth.jwt_secrets",
            format!(
                "nothing is set to verify tokens with, and {listen} is open to others; set \
                 JWT_SECRET (or auth.jwt_secrets, auth.public_key_files, auth.jwks_url, \
                 auth.nextauth_secret), or listen on 127.0.0.1 to try things out without"
            ),
        );
    }
}

impl Auth {
    /// Whether anything is configured that user tokens can be verified with. Without, a node on a
    /// loopback listener uses [`crate::config::local_secret`].
    pub fn has_verifier(&self) -> bool {
        !(self.jwt_secrets.is_empty()
            && self.public_key_files.is_empty()
            && self.jwks_url.is_empty()
            && self.nextauth_secret.is_empty())
    }
}

pub(super) fn is_local(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

fn is_placeholder(secret: &str) -> bool {
    let secret = secret.to_ascii_lowercase();
    ["your", "change", "replace", "example", "placeholder"]
        .iter()
        .any(|word| secret.starts_with(word))
        || secret.contains("change-me")
        || secret.contains("changeme")
}
