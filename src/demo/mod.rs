//! The demo page: two signed-in people side by side in one page, each with a socket of their own.
//!
//! [`router`] serves the page under `/demo` and signs in its two people, whoever asks: mount it
//! only where `server.demo` allows it. [`client`] serves the Socket.IO client library, with the
//! demo or without. Everything is embedded in the binary; nothing is fetched from elsewhere.

mod asset;
pub mod client;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{State, rejection::JsonRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use self::asset::{Asset, CSS, HTML, JS, SVG};
use crate::chat::{ChatError, ErrorCode};

/// The page may load what this listener serves and talk to it, and nothing else; no text can
/// become markup or script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// What the page consists of, by path under `/demo`.
const PAGE: &[(&str, Asset)] = &[
    ("", HTML.of(include_bytes!("assets/index.html"))),
    ("/style.css", CSS.of(include_bytes!("assets/style.css"))),
    ("/lamp.svg", SVG.of(include_bytes!("assets/lamp.svg"))),
    ("/main.js", JS.of(include_bytes!("assets/main.js"))),
    ("/chat.js", JS.of(include_bytes!("assets/chat.js"))),
    ("/panel.js", JS.of(include_bytes!("assets/panel.js"))),
    ("/format.js", JS.of(include_bytes!("assets/format.js"))),
    ("/vendor/socket.io.esm.min.js", client::MODULE),
];

/// The two people: id and name.
const PEOPLE: [(&str, &str); 2] = [("alice", "Alice"), ("bob", "Bob")];

/// Makes a token for a user of that id and name.
pub type Mint = Arc<dyn Fn(&str, &str) -> Result<String, ChatError> + Send + Sync>;

/// What the page needs from the gateway around it.
#[derive(Clone)]
pub struct Settings {
    /// Where Socket.IO listens, such as `/socket.io`. The page asks for the `standard` dialect
    /// whatever is spoken there otherwise.
    pub socket_path: Arc<str>,
    /// Signs in one of the two people.
    pub mint: Mint,
}

/// Routes: `GET /demo` and its files, and `POST /demo/session` (`{user}`, which is `alice` or
/// `bob`) answered with `{token, user:{id,name}, peer:{id,name}, socketPath}`.
///
/// A web page of another origin cannot use it: it would need a preflight that is not answered.
pub fn router(settings: Settings) -> Router {
    let mut router = Router::new().route("/demo/session", post(session).with_state(settings));
    for (path, asset) in PAGE {
        let serve = get(move |headers: HeaderMap| async move {
            let mut response = asset.serve(&headers);
            let set = response.headers_mut();
            set.insert(
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(POLICY),
            );
            set.insert(
                header::REFERRER_POLICY,
                HeaderValue::from_static("no-referrer"),
            );
            response
        });
        router = router.route(&format!("/demo{path}"), serve.clone());
        if path.is_empty() {
            router = router.route("/demo/", serve);
        }
    }
    router
}

/// Whom to sign in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    user: String,
}

/// One of the two people.
#[derive(Serialize)]
struct Person {
    id: &'static str,
    name: &'static str,
}

/// The answer to a sign-in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    token: String,
    user: Person,
    peer: Person,
    socket_path: Arc<str>,
}

async fn session(
    State(settings): State<Settings>,
    body: Result<Json<SignIn>, JsonRejection>,
) -> Response {
    match sign_in(&settings, body) {
        Ok(session) => {
            let no_store = [(header::CACHE_CONTROL, "no-store")];
            (no_store, Json(session)).into_response()
        }
        Err(error) => refusal(&error),
    }
}

fn sign_in(
    settings: &Settings,
    body: Result<Json<SignIn>, JsonRejection>,
) -> Result<Session, ChatError> {
    let Json(SignIn { user }) = body.map_err(|e| ChatError::invalid(e.body_text()))?;
    let [alice, bob] = PEOPLE;
    let (user, peer) = match user.as_str() {
        id if id == alice.0 => (alice, bob),
        id if id == bob.0 => (bob, alice),
        _ => return Err(ChatError::not_found("the demo has no such person")),
    };
    let person = |(id, name)| Person { id, name };
    Ok(Session {
        token: (settings.mint)(user.0, user.1)?,
        user: person(user),
        peer: person(peer),
        socket_path: settings.socket_path.clone(),
    })
}

/// The refusal as RFC 9457 has it. Its cause is for the log.
fn refusal(error: &ChatError) -> Response {
    if let Some(cause) = error.cause() {
        tracing::error!(code = %error.code, id = error.id.as_deref(), cause, "demo sign-in failed");
    }
    let status =
        StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = Problem {
        status: status.as_u16(),
        code: error.code,
        detail: &error.message,
    };
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, kind, Json(body)).into_response()
}

#[derive(Serialize)]
struct Problem<'a> {
    status: u16,
    code: ErrorCode,
    detail: &'a str,
}
