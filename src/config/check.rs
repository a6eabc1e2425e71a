//! Checks that need more than one value, or the world. Each says what is wrong and what to do.

use std::{fmt::Display, net::IpAddr};

use super::{
    Auth, Config, Finding, Origin,
    draft::{Draft, socket_name},
    load::file_exists,
    urls,
};

/// Shorter secrets than this can be guessed and are refused, in bytes.
const SECRET_REFUSED: usize = 8;
/// Shorter secrets than this are weaker than the signature (RFC 7518, section 3.2), in bytes.
const SECRET_WARNED: usize = 32;
/// The shortest API key, in characters.
const API_KEY: usize = 32;
/// A message's content grows in JSON, and has an envelope around it.
const BYTES_OF_CHAR: usize = 4;
const ENVELOPE_BYTES: usize = 512;
/// The parameters of the Engine.IO protocol: <https://socket.io/docs/v4/engine-io-protocol/>.
const ENGINE_PARAMETERS: [&str; 6] = ["EIO", "transport", "sid", "t", "j", "b64"];

/// Checks the configuration and brings URLs, origins and paths into one form. Values that were
/// refused before are not judged again.
pub(super) fn check(mut config: Config, draft: &mut Draft) -> Config {
    let mut checker = Checker(draft);
    checker.listeners(&config);
    checker.origins(&mut config);
    checker.files(&config);
    checker.database(&mut config);
    checker.cluster(&config);
    checker.auth(&config);
    checker.verifier(&config);
    checker.sockets(&mut config);
    checker.numbers(&config);
    config
}

struct Checker<'a>(&'a mut Draft);

impl Checker<'_> {
    fn refuse(&mut self, key: &str, problem: impl Into<String>) {
        if !self.0.is_refused(key) {
            let origin = self.0.origin(key);
            self.0.refuse(key, origin, problem);
        }
    }

    fn warn(&mut self, key: &str, problem: impl Into<String>) {
        if !self.0.is_refused(key) {
            let origin = self.0.origin(key);
            self.0.warnings.push(Finding {
                key: key.to_owned(),
                origin,
                problem: problem.into(),
            });
        }
    }

    /// `small` must not be above `large`. The one that was set is the one to change.
    fn in_order<T: PartialOrd + Display>(&mut self, small: (&str, T), large: (&str, T)) {
        if self.0.is_refused(small.0) || self.0.is_refused(large.0) || small.1 <= large.1 {
            return;
        }
        let ((key, value), how, (other, bound)) = match self.0.origin(small.0) {
            Origin::Default => (large, "below", small),
            _ => (small, "above", large),
        };
        let problem = format!("{value} is {how} {other}, which is {bound}");
        self.refuse(key, problem);
    }

    fn listeners(&mut self, config: &Config) {
        let (a, b) = (config.server.listen, config.server.ops_listen);
        let overlap = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
        if a.port() == b.port() && a.port() != 0 && overlap && !self.0.is_refused("server.listen") {
            self.refuse(
                "server.ops_listen",
                format!("{b} is taken by server.listen ({a}); give one of them another port"),
            );
        }
    }

    fn origins(&mut self, config: &mut Config) {
        let origins = &mut config.server.cors_origins;
        for (i, text) in origins.iter_mut().enumerate() {
            match urls::origin(text) {
                Ok(origin) => *text = origin,
                Err(problem) => self.refuse(&item("server.cors_origins", i), problem),
            }
        }
        let mut seen = std::collections::HashSet::new();
        origins.retain(|origin| seen.insert(origin.clone()));
        if !origins.iter().any(|o| o == "*") {
            return;
        }
        if origins.len() > 1 {
            self.warn(
                "server.cors_origins",
                "\"*\" allows every origin; the others change nothing",
            );
        }
        if !config.auth.cookie.is_empty() || !config.auth.nextauth_secret.is_empty() {
            self.warn(
                "server.cors_origins",
                "\"*\" goes without cookies, but tokens are expected in one (auth.cookie or \
                 auth.nextauth_secret); list the origins instead",
            );
        }
    }

    fn files(&mut self, config: &Config) {
        let data_dir = &config.server.data_dir;
        if data_dir.as_os_str().is_empty() {
            self.refuse("server.data_dir", "must name a folder, such as data");
        } else if data_dir.exists() && !data_dir.is_dir() {
            let problem = format!("{} is not a folder", data_dir.display());
            self.refuse("server.data_dir", problem);
        }
        let dialects = &config.dialects.dir;
        if !dialects.as_os_str().is_empty() && !dialects.is_dir() {
            let problem = format!("there is no folder {}", dialects.display());
            self.refuse("dialects.dir", problem);
        }
        for (i, path) in config.auth.public_key_files.iter().enumerate() {
            if let Err(problem) = file_exists(path) {
                self.refuse(&item("auth.public_key_files", i), problem);
            }
        }
    }

    fn database(&mut self, config: &mut Config) {
        match urls::database(&config.database.url) {
            Ok((url, left_out)) => {
                config.database.url = url;
                for problem in left_out {
                    self.warn("database.url", problem);
                }
            }
            Err(problem) => self.refuse("database.url", problem),
        }
    }

    /// Running as one of several nodes is not built yet: this method goes when it is, except for
    /// the check of the scheme.
    fn cluster(&mut self, config: &Config) {
        if config.redis.url.is_empty() {
            return;
        }
        match urls::with_scheme(&config.redis.url, &["redis", "rediss"]) {
            Ok(_) => self.refuse(
                "redis.url",
                "running several nodes over Redis comes in a later version; unset it to run this \
                 node alone (an empty PORCHLIGHT_REDIS_URL goes before REDIS_URL)",
            ),
            Err(problem) => self.refuse("redis.url", problem),
        }
    }

    fn auth(&mut self, config: &Config) {
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
        self.in_order(
            ("auth.jwks_min_refresh_s", auth.jwks_min_refresh.as_secs()),
            ("auth.jwks_cache_s", auth.jwks_cache.as_secs()),
        );
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
                format!("has {length} bytes; {SECRET_WARNED} or more are safe; {good}"),
            );
        } else if is_placeholder(secret) {
            self.warn(name, format!("looks like an example's; {good}"));
        }
    }

    /// Somebody must vouch for users; only a listener that nobody else reaches may make do with a
    /// secret of its own.
    fn verifier(&mut self, config: &Config) {
        let listen = config.server.listen;
        if config.auth.has_verifier()
            || listen.ip().is_loopback()
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

    fn sockets(&mut self, config: &mut Config) {
        if config.socket.is_empty() {
            self.refuse("socket", "at least one [[socket]] is needed");
        }
        for i in 0..config.socket.len() {
            let (earlier, rest) = config.socket.split_at_mut(i);
            let [socket, ..] = rest else { continue };
            // Clients write it either way.
            let trimmed = socket.path.trim_end_matches('/').len();
            if trimmed > 0 {
                socket.path.truncate(trimmed);
            }
            let name = socket_name(i, "path");
            if let Err(problem) = socket_path(&socket.path) {
                self.refuse(&name, problem);
            } else if let Some(other) = earlier.iter().find(|e| {
                is_at_or_below(&e.path, &socket.path) || is_at_or_below(&socket.path, &e.path)
            }) {
                let problem = if other.path == socket.path {
                    format!(
                        "{} is there already; each [[socket]] needs its own path",
                        other.path
                    )
                } else {
                    format!(
                        "{} and {}: neither may be below the other, which takes every request \
                         below itself",
                        socket.path, other.path
                    )
                };
                self.refuse(&name, problem);
            }
            if socket.dialect.is_empty() {
                let problem = "must name a dialect, such as \"standard\"";
                self.refuse(&socket_name(i, "dialect"), problem);
            }
        }
    }

    fn numbers(&mut self, config: &Config) {
        let (chat, limits, transport) = (&config.chat, &config.limits, &config.transport);
        self.in_order(
            ("chat.page_size", chat.page_size),
            ("chat.max_page_size", chat.max_page_size),
        );
        self.in_order(
            ("chat.typing_throttle_ms", chat.typing_throttle.as_millis()),
            ("chat.typing_timeout_ms", chat.typing_timeout.as_millis()),
        );
        let needed = chat
            .max_content_chars
            .saturating_mul(BYTES_OF_CHAR)
            .saturating_add(ENVELOPE_BYTES);
        if !self.0.is_refused("chat.max_content_chars") && needed > limits.max_message_bytes {
            self.warn(
                "limits.max_message_bytes",
                format!(
                    "{} bytes are too few for a message of chat.max_content_chars ({}) in every \
                     script; {needed} are enough",
                    limits.max_message_bytes, chat.max_content_chars
                ),
            );
        }
        if transport.ping_interval.as_secs() >= 60 {
            self.warn(
                "transport.ping_interval_ms",
                "many proxies close connections that are silent for 60 s",
            );
        }
    }
}

impl Auth {
    /// Whether anything is configured that user tokens can be verified with. Without, a node on a
    /// loopback listener uses [`super::local_secret`].
    pub fn has_verifier(&self) -> bool {
        !(self.jwt_secrets.is_empty()
            && self.public_key_files.is_empty()
            && self.jwks_url.is_empty()
            && self.nextauth_secret.is_empty())
    }
}

/// `auth.api_keys[2]`
fn item(list: &str, index: usize) -> String {
    format!("{list}[{index}]")
}

fn is_local(url: &super::Url) -> bool {
    url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')
}

fn is_placeholder(secret: &str) -> bool {
    let secret = secret.to_ascii_lowercase();
    ["your", "change", "replace", "example", "placeholder"]
        .iter()
        .any(|word| secret.starts_with(word))
        || secret.contains("change-me")
        || secret.contains("changeme")
}

/// Whether a request for `path` goes to the handler of `base`: it or anything below it, as
/// engineioxide decides (0.17.9, `service/mod.rs`).
fn is_at_or_below(path: &str, base: &str) -> bool {
    path.strip_prefix(base)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether Socket.IO can listen there. Below `/api` is the REST interface, except that the paths
/// of Socket.IO in Next.js apps are customarily there too (`/api/socketio`, `/api/socket.io`);
/// `/api/socket` itself is not free, because `/api/socket/health` is below it.
fn socket_path(path: &str) -> Result<(), String> {
    let allowed = "such as /socket.io or /api/socketio";
    let rest = path.strip_prefix("/api");
    if !path.starts_with('/') {
        Err(format!("\"{path}\" must start with /, {allowed}"))
    } else if path == "/" {
        Err(format!(
            "/ would take every request; give it a name, {allowed}"
        ))
    } else if !path
        .bytes()
        .all(|b| is_token_byte(b) || matches!(b, b'/' | b'~'))
        || path.contains("//")
    {
        Err(format!(
            "\"{path}\" may hold names of letters, digits and - _ . ~ between single slashes, {allowed}"
        ))
    } else if rest.is_some_and(|rest| {
        rest.is_empty()
            || (rest.starts_with('/') && !rest.starts_with("/socket"))
            || is_at_or_below(rest, "/socket")
    }) {
        Err(format!(
            "{path} belongs to the REST interface; below /api only names such as /api/socketio \
             are free"
        ))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_paths() {
        for good in [
            "/socket.io",
            "/api/socketio",
            "/api/socket.io",
            "/chat/v1/ws",
            "/apiary",
        ] {
            assert_eq!(socket_path(good), Ok(()), "{good}");
        }
        for wrong in [
            "",
            "/",
            "socket.io",
            "/api",
            "/api/conversations",
            "/api/socket",
            "/api/socket/io",
            "/a b",
            "/a//b",
            "/a?b",
        ] {
            assert!(socket_path(wrong).is_err(), "{wrong} was accepted");
        }
    }
}
