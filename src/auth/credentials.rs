//! Where a caller may put a token, and which one counts.

use super::nextauth::SESSION_COOKIES;
use crate::config;

/// A session token larger than a cookie is split into `name.0`, `name.1`, ...; this many hold more
/// than the longest token accepted.
const MAX_CHUNKS: usize = 8;

/// What a request brought. Each part is as it came; none needs to be well-formed.
#[derive(Clone, Default)]
pub struct Credentials {
    /// `token` of the Socket.IO handshake's `auth` object.
    pub handshake_token: Option<String>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The raw query string, without `?`.
    pub query: Option<String>,
    /// The `Cookie` header; several joined by `"; "`.
    pub cookies: Option<String>,
}

/// The configured places.
pub(super) struct Places {
    query_parameter: String,
    cookie: String,
    sessions: bool,
}

impl Places {
    pub(super) fn new(cfg: &config::Auth) -> Self {
        Self {
            query_parameter: cfg.query_parameter.clone(),
            cookie: cfg.cookie.clone(),
            sessions: !cfg.nextauth_secret.is_empty(),
        }
    }

    /// The tokens of the first place that holds any. Only the place of the session cookies may
    /// hold several: a browser keeps those of an app's former version, or of another app on the
    /// same host, and sends them along.
    pub(super) fn find(&self, credentials: &Credentials) -> Vec<String> {
        if let Some(token) = self.find_one(credentials) {
            return vec![token.to_owned()];
        }
        match &credentials.cookies {
            Some(cookies) if self.sessions => session_tokens(cookies),
            _ => Vec::new(),
        }
    }

    fn find_one<'a>(&self, credentials: &'a Credentials) -> Option<&'a str> {
        let handshake = credentials.handshake_token.as_deref();
        let header = credentials.authorization.as_deref();
        let query = credentials.query.as_deref();
        let cookies = credentials.cookies.as_deref();
        None.or_else(|| {
            // Clients are seen to send the header's whole value here.
            let token = handshake?.trim();
            not_empty(bearer(token).unwrap_or(token))
        })
        .or_else(|| not_empty(bearer(header?.trim())?))
        .or_else(|| parameter(query?, not_empty(&self.query_parameter)?))
        .or_else(|| cookie(cookies?, not_empty(&self.cookie)?))
    }
}

fn not_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// What follows `Bearer `; the scheme's case does not matter (RFC 9110 section 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim_start())
}

/// The first value of a query parameter. Not percent-decoded: no encoder touches the characters of
/// a token (`A-Z a-z 0-9 - _ .`).
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(n, value)| (n == name && !value.is_empty()).then_some(value))
}

/// The first value of a cookie: user agents send the most specific path first (RFC 6265
/// section 5.4).
fn cookie<'a>(cookies: &'a str, name: &str) -> Option<&'a str> {
    cookies
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(n, _)| *n == name)
        .find_map(|(_, value)| not_empty(value.trim_matches('"')))
}

fn session_tokens(cookies: &str) -> Vec<String> {
    SESSION_COOKIES
        .iter()
        .filter_map(|name| {
            if let Some(whole) = cookie(cookies, name) {
                return Some(whole.to_owned());
            }
            let chunks = (0..MAX_CHUNKS).map_while(|i| cookie(cookies, &format!("{name}.{i}")));
            let joined: String = chunks.collect();
            (!joined.is_empty()).then_some(joined)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_takes_its_scheme_only() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("Bearer"), None);
        assert_eq!(bearer(""), None);
    }

    #[test]
    fn cookies_are_found_by_exact_name() {
        let cookies = "a=1;ab = x; quoted=\"q\"; broken; =; a=2; empty=; empty=later";
        assert_eq!(cookie(cookies, "a"), Some("1"));
        assert_eq!(cookie(cookies, "quoted"), Some("q"));
        assert_eq!(cookie(cookies, "empty"), Some("later"));
        assert_eq!(cookie(cookies, "b"), None);
        assert_eq!(cookie(cookies, "broken"), None);
    }

    #[test]
    fn chunks_are_joined_in_order_up_to_the_first_gap() {
        let n = "next-auth.session-token";
        let cookies = format!("{n}.1=b; {n}.0=a; {n}.3=d; x=y");
        assert_eq!(session_tokens(&cookies), ["ab"]);
    }

    #[test]
    fn parameters_are_found_by_exact_name() {
        assert_eq!(parameter("x=1&token=t&token=u", "token"), Some("t"));
        assert_eq!(parameter("xtoken=1&&=&token", "token"), None);
    }
}
