//! The REST edge: conversations, messages, files, presence, tokens and the backends' own functions for
//! clients; health, readiness and metrics for operators.
//!
//! Nothing is decided here but who calls and how things look in HTTP: the use cases are
//! [`crate::chat::Chat`]'s. A request passes `cors` and compression, then `layers` (it is
//! measured, and finished even if its caller hangs up), then `caller` and `extract` turn it into
//! values, a handler calls a use case, and `view` or `problem` answers. The description in OpenAPI
//! is made from the handlers themselves ([`openapi`]).

mod caller;
mod conversations;
mod cors;
mod description;
mod extract;
mod layers;
mod messages;
mod ops;
mod people;
mod problem;
mod range;
mod revocation;
mod search;
mod service;
mod state;
mod uploads;
mod view;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Extensions, HeaderMap, StatusCode, Version, header},
    middleware,
};
use tower_http::compression::{
    CompressionLayer,
    predicate::{DefaultPredicate, Predicate, SizeAbove},
};
use utoipa_axum::router::OpenApiRouter;

pub use cors::{Origins, cors};
pub use description::openapi;
pub use ops::{OpsState, ops};
pub use problem::{Problem, problem};
pub use state::{ApiState, ClientAddr, Stats};

use self::state::App;
use crate::config::Config;

/// Bodies up to this many bytes are sent as they are.
const COMPRESS_ABOVE: u64 = 1024;

/// The clients' router: everything below `/api`, and `/openapi.json`. It answers every other path
/// with a 404 problem; routes merged with it come first.
pub fn api(state: ApiState, config: &Config) -> Router {
    let app = Arc::new(App::new(state, config));
    let (router, _) = routes().split_for_parts();
    router
        .merge(description::route())
        .fallback(layers::no_such_route)
        .method_not_allowed_fallback(layers::no_such_method)
        .layer(DefaultBodyLimit::max(config.limits.max_message_bytes))
        .layer(middleware::from_fn(layers::observe))
        .layer(middleware::from_fn_with_state(app.clone(), layers::finish))
        .layer(compression())
        .layer(cors(config))
        .with_state(app)
}

/// Every described route.
fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(description::frame())
        .merge(conversations::routes())
        .merge(messages::routes())
        .merge(search::routes())
        .merge(uploads::routes())
        .merge(people::routes())
        .merge(service::routes())
        .merge(revocation::routes())
}

fn compression() -> CompressionLayer<impl Predicate> {
    CompressionLayer::new().gzip(true).compress_when(
        DefaultPredicate::new()
            .and(SizeAbove::new(COMPRESS_ABOVE))
            .and(no_file),
    )
}

/// Parts of a file must be parts of what the whole file is, so neither is compressed.
fn no_file(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    !headers.contains_key(header::ACCEPT_RANGES)
}
