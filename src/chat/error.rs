//! The catalogue of errors: one stable code each, with what every edge needs to report it.

use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc, time::Duration};

use serde::Serialize;

/// The stable, documented reason of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// No identity, or one that did not verify.
    Unauthorized,
    /// A verified identity that may not do this.
    Forbidden,
    /// The thing does not exist, or the caller may not know that it does.
    NotFound,
    /// The input has the wrong shape or value.
    Invalid,
    /// The input is larger than the configured limit.
    TooLarge,
    /// Too many requests; `retry_after_ms` says when to try again.
    RateLimited,
    /// The state does not allow it, or somebody else was first.
    Conflict,
    /// A dependency is down or overloaded; the same call may work later.
    Unavailable,
    /// A defect of the gateway. The log holds the cause under the error's id.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of the catalogue.
    pub const ALL: [Self; 9] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::Invalid,
        Self::TooLarge,
        Self::RateLimited,
        Self::Conflict,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The code as clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status that goes with it.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Invalid => 422,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
            Self::Conflict => 409,
            Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }

    /// Whether the same call may succeed later without being changed.
    pub fn retryable(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unavailable | Self::Internal)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal, safe to show to the caller: the cause inside is for the log only.
#[derive(Debug, Clone)]
pub struct ChatError {
    /// The stable code.
    pub code: ErrorCode,
    /// A sentence for people. Holds no secret and no message content.
    pub message: Cow<'static, str>,
    /// With [`ErrorCode::RateLimited`], and with [`ErrorCode::Unavailable`] where it is known: how
    /// long to wait.
    pub retry_after: Option<Duration>,
    /// With [`ErrorCode::Internal`] and [`ErrorCode::Unavailable`]: the id under which the log
    /// holds the cause.
    pub id: Option<Arc<str>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What every use case returns.
pub type ChatResult<T> = Result<T, ChatError>;

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $code:ident;)*) => {
        $($(#[$doc])*
        pub fn $name(message: impl Into<Cow<'static, str>>) -> Self {
            Self::new(ErrorCode::$code, message)
        })*
    };
}

impl ChatError {
    /// A refusal with a code and a sentence.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after: None,
            id: None,
            source: None,
        }
    }

    constructors! {
        /// [`ErrorCode::Unauthorized`].
        unauthorized => Unauthorized;
        /// [`ErrorCode::Forbidden`].
        forbidden => Forbidden;
        /// [`ErrorCode::NotFound`].
        not_found => NotFound;
        /// [`ErrorCode::Invalid`].
        invalid => Invalid;
        /// [`ErrorCode::TooLarge`].
        too_large => TooLarge;
        /// [`ErrorCode::Conflict`].
        conflict => Conflict;
    }

    /// [`ErrorCode::RateLimited`], with the time to wait.
    pub fn rate_limited(retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(ErrorCode::RateLimited, "too many requests, slow down")
        }
    }

    /// [`ErrorCode::Unavailable`] because too much is going on, with the time to wait.
    pub fn busy(message: impl Into<Cow<'static, str>>, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(ErrorCode::Unavailable, message)
        }
    }

    /// [`ErrorCode::Unavailable`], keeping the cause for the log.
    pub fn unavailable(
        message: impl Into<Cow<'static, str>>,
        source: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self::with_source(ErrorCode::Unavailable, message, source)
    }

    /// [`ErrorCode::Internal`], keeping the cause for the log.
    pub fn internal(source: impl StdError + Send + Sync + 'static) -> Self {
        Self::with_source(
            ErrorCode::Internal,
            "something went wrong on our side",
            source,
        )
    }

    fn with_source(
        code: ErrorCode,
        message: impl Into<Cow<'static, str>>,
        source: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after: None,
            id: Some(uuid::Uuid::now_v7().to_string().into()),
            source: Some(Arc::new(source)),
        }
    }

    /// Milliseconds to wait before trying again, rounded up, at least 1.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after.map(|d| {
            u64::try_from(d.as_micros().div_ceil(1000))
                .unwrap_or(u64::MAX)
                .max(1)
        })
    }

    /// Writes the cause to the log, under the id that the caller is given. Refusals that are the
    /// caller's own doing have no cause and are not logged.
    pub fn log(&self, what: &str) {
        let Some(cause) = self.cause() else { return };
        let id = self.id.as_deref();
        match self.code {
            ErrorCode::Unavailable => tracing::warn!(code = %self.code, id, cause, "{what}"),
            _ => tracing::error!(code = %self.code, id, cause, "{what}"),
        }
    }

    /// The whole chain of causes in one line, for the log.
    pub fn cause(&self) -> Option<String> {
        let mut next: Option<&dyn StdError> = Some(self.source.as_deref()?);
        let mut text = String::new();
        while let Some(e) = next {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&e.to_string());
            next = e.source();
        }
        Some(text)
    }
}

impl fmt::Display for ChatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl StdError for ChatError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|e| e as &(dyn StdError + 'static))
    }
}
