//! The one shape of every refusal: `application/problem+json` (RFC 9457).

use std::{borrow::Cow, sync::Arc};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{Object, ObjectBuilder, Type},
};

use crate::{
    auth::AuthError,
    chat::{ChatError, ErrorCode},
};

/// When to try again where the refusal itself does not say, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// What every handler returns.
pub(super) type ApiResult<T> = Result<T, Problem>;

/// A refusal (RFC 9457). Its cause is in the log under `id`, never here.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// `urn:porchlight:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The code in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request, for people.
    #[schema(value_type = String)]
    detail: Cow<'static, str>,
    /// The stable reason, for programs.
    #[schema(schema_with = code_schema)]
    code: ErrorCode,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// When to try again, in milliseconds; the `Retry-After` header has it in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    /// Under which the gateway's log holds the cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    id: Option<Arc<str>>,
}

impl Problem {
    /// A refusal with another HTTP status than its code's own: for what goes wrong before any use
    /// case is asked.
    pub(super) fn with_status(status: StatusCode, error: ChatError) -> Self {
        log(&error);
        let retryable = error.code.retryable();
        let retry_after_ms = match error.code {
            ErrorCode::RateLimited | ErrorCode::Unavailable => {
                Some(error.retry_after_ms().unwrap_or(RETRY_AFTER_MS))
            }
            _ => None,
        };
        Self {
            kind: format!("urn:porchlight:problem:{}", error.code),
            title: title(error.code),
            status: status.as_u16(),
            detail: error.message,
            code: error.code,
            retryable,
            retry_after_ms,
            id: error.id,
        }
    }

    /// The request itself cannot be understood.
    pub(super) fn malformed(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::with_status(status, ChatError::invalid(detail))
    }
}

impl From<ChatError> for Problem {
    fn from(error: ChatError) -> Self {
        let status = StatusCode::from_u16(error.code.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::with_status(status, error)
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        ChatError::from(error).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json_as("application/problem+json", status, &self);
        let headers = response.headers_mut();
        if let Some(ms) = self.retry_after_ms {
            headers.insert(header::RETRY_AFTER, ms.div_ceil(1000).into());
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 11.6.1 asks for it.
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"porchlight\""),
            );
        }
        response
    }
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    json_as("application/json", status, body)
}

fn json_as(content_type: &'static str, status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(header::CONTENT_TYPE, content_type)], bytes).into_response(),
        // Every body has text keys only, so serialising cannot fail; and if it did, a problem's
        // own body could not be made either.
        Err(e) => {
            log(&ChatError::internal(e));
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The one place where the cause of a refused request reaches the log.
fn log(error: &ChatError) {
    let Some(cause) = error.cause() else { return };
    let (code, id) = (error.code.as_str(), error.id.as_deref());
    if error.code == ErrorCode::Internal {
        tracing::error!(code, id, cause, "request failed");
    } else {
        tracing::warn!(code, id, cause, "request refused");
    }
}

fn title(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Unauthorized => "Not signed in",
        ErrorCode::Forbidden => "Not allowed",
        ErrorCode::NotFound => "Not found",
        ErrorCode::Invalid => "Invalid request",
        ErrorCode::TooLarge => "Too large",
        ErrorCode::RateLimited => "Too many requests",
        ErrorCode::Conflict => "Conflict",
        ErrorCode::Unavailable => "Temporarily unavailable",
        ErrorCode::Internal => "Internal error",
    }
}

fn code_schema() -> Object {
    let codes = ErrorCode::ALL.map(ErrorCode::as_str);
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("The stable reason, for programs."))
        .enum_values(Some(codes))
        .build()
}
