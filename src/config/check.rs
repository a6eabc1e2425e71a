//! Checks that need more than one value, or the world. Each says what is wrong and what to do.

mod auth;
mod redis;
mod uploads;

use std::fmt::Display;

use super::{
    Config, Finding, Origin,
    draft::{Draft, socket_name},
    load::file_exists,
    urls,
};

/// A message's content grows in JSON, and has an envelope around it.
const BYTES_OF_CHAR: usize = 4;
const ENVELOPE_BYTES: usize = 512;
/// Checks the configuration and brings URLs, origins and paths into one form. Values that were
/// refused before are not judged again.
pub(super) fn check(mut config: Config, draft: &mut Draft) -> Config {
    let mut checker = Checker(draft);
    checker.listeners(&config);
    checker.origins(&mut config);
    checker.files(&config);
    checker.database(&mut config);
    checker.redis(&config);
    checker.auth(&config);
    checker.verifier(&config);
    checker.uploads(&mut config);
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
        if a.port() != b.port() || a.port() == 0 || !overlap {
            return;
        }
        let names = ["server.listen", "server.ops_listen"];
        if names.iter().any(|name| self.0.is_refused(name)) {
            return;
        }
        // The one that was set is the one to change.
        let ((key, mine), (other, theirs)) = match self.0.origin(names[1]) {
            Origin::Default => ((names[0], a), (names[1], b)),
            _ => ((names[1], b), (names[0], a)),
        };
        let problem = format!("{mine} is taken by {other} ({theirs}); choose another port");
        self.refuse(key, problem);
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
            let whole = std::path::absolute(dialects);
            let whole = whole.as_deref().unwrap_or(dialects);
            let problem = format!("there is no folder {}", whole.display());
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
                    "{} bytes cannot carry every message of chat.max_content_chars ({}) characters; \
                     {needed} can",
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

/// `auth.api_keys[2]`
fn item(list: &str, index: usize) -> String {
    format!("{list}[{index}]")
}

fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')
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
