//! Public keys published at a URL (JWKS, RFC 7517): fetched when needed, kept, never fetched twice
//! at once nor more often than configured.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::Algorithm;
use parking_lot::Mutex;
use reqwest::{Client, StatusCode, Url, header, redirect};
use tokio::sync::watch;

use super::{
    AuthError,
    claims::in_ms,
    error::AuthConfigError,
    jwk::{self, PublishedKey},
};
use crate::{
    chat::{Clock, Millis},
    config,
};

/// The longest that one fetch may take, from connecting to the last byte.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer accepted, in bytes. Real ones have a few thousand.
const MAX_BODY: usize = 256 * 1024;

/// The keys of one URL. Cheap to clone.
#[derive(Clone)]
pub(super) struct Jwks(Arc<Inner>);

struct Inner {
    url: Url,
    client: Client,
    clock: Arc<dyn Clock>,
    cache_ms: i64,
    min_refresh_ms: i64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Arc<[PublishedKey]>,
    fetched_at: Option<Millis>,
    attempted_at: Option<Millis>,
    last_failed: bool,
    /// Open while a fetch is under way, however the fetch ends.
    flight: Option<watch::Receiver<()>>,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the request failed")]
    Request(#[source] reqwest::Error),
    #[error("the answer has status {0}")]
    Status(StatusCode),
    #[error("the answer is larger than {MAX_BODY} bytes")]
    TooLarge,
    #[error("the answer is no JWKS")]
    Malformed(#[source] serde_json::Error),
}

impl From<reqwest::Error> for FetchError {
    fn from(e: reqwest::Error) -> Self {
        // The URL may hold credentials.
        Self::Request(e.without_url())
    }
}

impl Jwks {
    /// Prepares for `auth.jwks_url`; nothing is fetched yet.
    pub(super) fn new(cfg: &config::Auth, clock: Arc<dyn Clock>) -> Result<Self, AuthConfigError> {
        let wrong = |problem: String| AuthConfigError::new("auth.jwks_url", problem);
        let url = Url::parse(&cfg.jwks_url).map_err(|e| wrong(format!("is no URL: {e}")))?;
        let mut client = Client::builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(redirect::Policy::none());
        if url.scheme() == "http" {
            // Without TLS there is nothing to trust: no need for the machine's certificates.
            client = client.tls_certs_only([]);
        }
        if is_loopback(&url) {
            client = client.no_proxy();
        }
        // Fails where this process cannot do TLS, such as without any root certificate.
        let client = client
            .build()
            .map_err(|e| wrong(format!("cannot be fetched from here: {e}")))?;
        Ok(Self(Arc::new(Inner {
            url,
            client,
            clock,
            cache_ms: in_ms(cfg.jwks_cache),
            min_refresh_ms: in_ms(cfg.jwks_min_refresh),
            state: Mutex::default(),
        })))
    }

    /// The published keys that a token with this algorithm and key id could mean; at least one.
    pub(super) async fn candidates(
        &self,
        algorithm: Algorithm,
        kid: Option<&str>,
    ) -> Result<Arc<[PublishedKey]>, AuthError> {
        self.refresh(Need::Fresh).await;
        let mut keys = self.keys();
        if !jwk::any_named(&keys, kid) {
            self.refresh(Need::New).await;
            keys = self.keys();
        }
        if jwk::matching(&keys, algorithm, kid).next().is_some() {
            Ok(keys)
        } else if jwk::any_named(&keys, kid) {
            Err(AuthError::AlgorithmNotAllowed)
        } else if self.0.state.lock().last_failed {
            Err(AuthError::KeysUnavailable)
        } else {
            Err(AuthError::UnknownKey)
        }
    }

    fn keys(&self) -> Arc<[PublishedKey]> {
        Arc::clone(&self.0.state.lock().keys)
    }

    /// Fetches if there is need, it is allowed again, and nobody is at it; waits until it is done.
    async fn refresh(&self, need: Need) {
        let Some(mut flight) = self.flight(need) else {
            return;
        };
        // An error says that the fetch is over; nothing is ever sent.
        let _ = flight.changed().await;
    }

    fn flight(&self, need: Need) -> Option<watch::Receiver<()>> {
        let now = self.0.clock.now();
        let mut state = self.0.state.lock();
        if need == Need::Fresh && within(state.fetched_at, now, self.0.cache_ms) {
            return None;
        }
        if let Some(flight) = &state.flight
            && flight.has_changed().is_ok()
        {
            return Some(flight.clone());
        }
        if within(state.attempted_at, now, self.0.min_refresh_ms) {
            return None;
        }
        state.attempted_at = Some(now);
        // A task of its own, because whoever waits may give up: a client that hangs up during its
        // handshake must not cost the others their keys.
        let (done, flight) = watch::channel(());
        state.flight = Some(flight.clone());
        let jwks = self.clone();
        tokio::spawn(async move {
            let _done = done;
            jwks.update().await;
        });
        Some(flight)
    }

    async fn update(&self) {
        let fetched = self.fetch().await;
        let mut state = self.0.state.lock();
        state.last_failed = fetched.is_err();
        match fetched {
            Ok(keys) => {
                tracing::debug!(keys = keys.len(), "fetched auth.jwks_url");
                state.keys = keys.into();
                state.fetched_at = Some(self.0.clock.now());
            }
            Err(e) => tracing::warn!(
                error = &e as &dyn std::error::Error,
                kept = state.keys.len(),
                "cannot fetch auth.jwks_url; the keys known so far are used"
            ),
        }
    }

    async fn fetch(&self) -> Result<Vec<PublishedKey>, FetchError> {
        let request = self.0.client.get(self.0.url.clone());
        let mut response = request
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .send()
            .await?;
        // Redirects too: they are not followed, and `error_for_status` lets them pass.
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        jwk::read_set(&body).map_err(FetchError::Malformed)
    }
}

/// Why keys are asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Keys no older than the cache allows will do.
    Fresh,
    /// A token names a key that is not among those known.
    New,
}

/// Whether `at` is less than `span_ms` ago. A clock that was set back counts as "no": a fetch too
/// many is better than none until the clock has caught up.
fn within(at: Option<Millis>, now: Millis, span_ms: i64) -> bool {
    at.is_some_and(|at| now >= at && now < at.plus(span_ms))
}

fn is_loopback(url: &Url) -> bool {
    // IPv6 hosts come in brackets.
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}
