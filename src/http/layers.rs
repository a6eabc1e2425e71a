//! What every request passes, whichever route it takes.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{problem::Problem, state::App};
use crate::{chat::ChatError, telemetry};

/// Finishes what changes something, even if the caller hangs up: a use case cut off between its
/// commit and its announcement would leave a removed participant in the room, or a message to the
/// sweeper.
pub(super) async fn finish(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    match app.tasks.spawn(next.run(request)).await {
        Ok(response) => response,
        Err(e) => Problem::from(ChatError::internal(e)).into_response(),
    }
}

/// Measures the request by its route's template, and marks the answer as nobody's to keep unless
/// it says otherwise.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "unmatched".to_owned(), |r| r.as_str().to_owned());
    let method = method_label(request.method());
    let mut response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::counter!(telemetry::HTTP_REQUESTS_TOTAL,
        "route" => route.clone(), "method" => method, "status" => status)
    .increment(1);
    metrics::histogram!(telemetry::HTTP_SECONDS, "route" => route).record(started.elapsed());
    let headers = response.headers_mut();
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// A label that no client can multiply.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

pub(super) async fn no_such_route() -> Problem {
    ChatError::not_found("there is nothing at this path").into()
}

pub(super) async fn no_such_method() -> Problem {
    Problem::malformed(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path does not take this method; the Allow header names those that it takes",
    )
}
