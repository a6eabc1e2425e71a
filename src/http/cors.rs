//! Which web pages may call: `server.cors_origins`, for the REST and the Socket.IO edge alike.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::config::Config;

/// How long a browser may remember a preflight; longer ones are cut to this by Chromium.
const MAX_AGE: Duration = Duration::from_secs(7200);

/// The layer that answers preflights and lets the configured origins read what they get. `"*"`
/// lets every origin read, without cookies.
pub fn cors(config: &Config) -> CorsLayer {
    let origins = Origins::new(&config.server.cors_origins);
    CorsLayer::new()
        .allow_credentials(!origins.any)
        .allow_origin(if origins.any {
            AllowOrigin::any()
        } else {
            AllowOrigin::list(origins.listed)
        })
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        // Whatever they ask for: clients are seen to send headers of their own when polling.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            header::RETRY_AFTER,
            header::ACCEPT_RANGES,
            header::CONTENT_DISPOSITION,
            header::CONTENT_RANGE,
            header::ETAG,
        ])
        .max_age(MAX_AGE)
}

/// The configured origins.
#[derive(Debug, Clone)]
pub struct Origins {
    any: bool,
    listed: Vec<HeaderValue>,
}

impl Origins {
    /// Reads `server.cors_origins`.
    pub fn new(configured: &[String]) -> Self {
        Self {
            any: configured.iter().any(|o| o == "*"),
            // People write their site's address with the slash that browsers leave out.
            listed: configured
                .iter()
                .filter_map(|o| HeaderValue::from_str(o.trim_end_matches('/')).ok())
                .collect(),
        }
    }

    /// Whether a page of the request's origin may act with its visitor's cookies: a listed one,
    /// the gateway's own, or no page at all.
    pub fn trusts(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return true;
        };
        let own = || {
            let host = headers.get(header::HOST)?.to_str().ok()?;
            let (_, authority) = origin.to_str().ok()?.split_once("://")?;
            Some(authority.eq_ignore_ascii_case(host))
        };
        self.listed.contains(origin) || own() == Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("chat.example:4000"));
        headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        headers
    }

    #[test]
    fn only_own_and_listed_origins_are_trusted() {
        let origins = Origins::new(&["https://app.example/".to_owned()]);
        assert!(origins.trusts(&HeaderMap::new()));
        assert!(origins.trusts(&headers("https://app.example")));
        assert!(origins.trusts(&headers("http://chat.example:4000")));
        assert!(!origins.trusts(&headers("https://evil.example")));
        assert!(!origins.trusts(&headers("http://chat.example:4001")));
        assert!(!origins.trusts(&headers("null")));
        let any = Origins::new(&["*".to_owned()]);
        assert!(!any.trusts(&headers("https://evil.example")));
    }
}
