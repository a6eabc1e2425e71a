//! What a request carries: JSON bodies, query parameters and ids, each refused as a [`Problem`].
//!
//! Fields that nobody knows are ignored, so that a client made for a newer gateway keeps working.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use serde::de::DeserializeOwned;

use super::problem::{ApiResult, Problem};
use crate::chat::{ChatError, InvalidId};

/// How long a body may take to arrive. A client on a bad line needs seconds; one that trickles for
/// longer only holds memory.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON body.
pub(super) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        require_json(request.headers())?;
        parse(&read(request, state, BODY_TIMEOUT).await?).map(Self)
    }
}

/// A JSON body, or `null`, or none at all.
pub(super) struct OptionalBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        let json = require_json(request.headers());
        let bytes = read(request, state, BODY_TIMEOUT).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        json?;
        parse::<Option<T>>(&bytes).map(|body| Self(body.unwrap_or_default()))
    }
}

/// Query parameters.
pub(super) struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(_) => Err(ChatError::invalid(
                "a query parameter is missing, given twice, or has a value that it cannot have",
            )
            .into()),
        }
    }
}

/// The ids in the path: one, or a tuple of them.
pub(super) struct Ids<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Ids<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(ids)) => Ok(Self(ids)),
            Err(_) => Err(ChatError::invalid(InvalidId.to_string()).into()),
        }
    }
}

/// A page that only sends what HTML forms can send must not be able to act with its visitor's
/// cookies; another content type makes the browser ask first (CORS).
fn require_json(headers: &HeaderMap) -> ApiResult<()> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    let essence = given.and_then(|v| v.split(';').next()).map(str::trim);
    match essence {
        Some(t) if t.eq_ignore_ascii_case("application/json") => Ok(()),
        _ => Err(Problem::malformed(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be JSON, with Content-Type: application/json",
        )),
    }
}

async fn read<S: Send + Sync>(request: Request, state: &S, within: Duration) -> ApiResult<Bytes> {
    match tokio::time::timeout(within, Bytes::from_request(request, state)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(BytesRejection::FailedToBufferBody(e)))
            if e.status() == StatusCode::PAYLOAD_TOO_LARGE =>
        {
            Err(ChatError::too_large("the body is larger than this gateway accepts").into())
        }
        Ok(Err(_)) => Err(Problem::malformed(
            StatusCode::BAD_REQUEST,
            "the body ended too early",
        )),
        Err(_) => Err(Problem::malformed(
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long to arrive",
        )),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> ApiResult<T> {
    serde_json::from_slice(bytes).map_err(|e| {
        if !e.is_data() {
            return Problem::malformed(
                StatusCode::BAD_REQUEST,
                format!(
                    "the body is not JSON: line {} column {}",
                    e.line(),
                    e.column()
                ),
            );
        }
        ChatError::invalid(format!("the body has the wrong shape: {}", safe_reason(&e))).into()
    })
}

/// What a shape error may say. serde quotes the value that it did not expect, which may be a
/// message; what it expected instead is ours.
fn safe_reason(e: &serde_json::Error) -> String {
    let text = e.to_string();
    let at = format!("at line {} column {}", e.line(), e.column());
    if let Some((_, expected)) = text.rsplit_once(", expected ") {
        return format!("expected {expected}");
    }
    let ours = [
        "missing field `",
        "duplicate field `",
        &InvalidId.to_string(),
    ];
    if ours.iter().any(|start| text.starts_with(start)) {
        return text;
    }
    at
}

#[cfg(test)]
mod tests {
    use axum::{body::Body as RawBody, response::IntoResponse};
    use futures_util::stream;
    use serde::Deserialize;

    use super::*;
    use crate::chat::UserId;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Shape {
        id: UserId,
        count: u32,
    }

    fn reason(body: &str) -> String {
        safe_reason(&serde_json::from_str::<Shape>(body).unwrap_err())
    }

    #[test]
    fn shape_errors_quote_nothing() {
        assert_eq!(
            reason(r#"{"id":"a","count":"my secret, expected "}"#),
            "expected u32 at line 1 column 40"
        );
        assert_eq!(
            reason(r#"{"id":"a"}"#),
            "missing field `count` at line 1 column 10"
        );
        assert!(reason(r#"{"id":"no spaces please","count":1}"#).starts_with("an id is 1 to 128"));
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let stalled = stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let request = Request::new(RawBody::from_stream(stalled));
        let refusal = read(request, &(), Duration::from_millis(5))
            .await
            .unwrap_err();
        assert_eq!(
            refusal.into_response().status(),
            StatusCode::REQUEST_TIMEOUT
        );
    }
}
