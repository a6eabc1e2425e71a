//! The OpenAPI description, made from the handlers; `docs/openapi.json` is its checked-in copy.

use std::sync::LazyLock;

use axum::{Router, body::Bytes, http::header, routing::get};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        ContentBuilder, Object, OpenApi as Description, Ref, ResponseBuilder, Type,
        path::{Operation, ParameterBuilder, ParameterIn, PathItem},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{caller, problem::Problem};

/// The whole description.
pub fn openapi() -> Description {
    let (_, mut description) = super::routes().split_for_parts();
    for operation in description.paths.paths.values_mut().flat_map(operations) {
        add_refusal(operation);
        add_acting(operation);
    }
    description
}

/// Everything but the routes.
pub(super) fn frame() -> Description {
    let mut frame = Frame::openapi();
    // Made from the package's licence, which is not the interface's.
    frame.info.license = None;
    frame
}

/// Serves the description.
pub(super) fn route<S: Clone + Send + Sync + 'static>() -> Router<S> {
    static JSON: LazyLock<Bytes> = LazyLock::new(|| {
        // A description holds text keys only, so serialising cannot fail.
        openapi().to_json().unwrap_or_default().into()
    });
    let serve = || async { ([(header::CONTENT_TYPE, "application/json")], JSON.clone()) };
    Router::new().route("/openapi.json", get(serve))
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Porchlight",
        description = "A Socket.IO chat gateway's REST side. Times are ISO 8601 in UTC; ids are \
            1 to 128 characters from `A-Z a-z 0-9 . _ : | @ + -`; unknown fields are ignored. A service \
            caller (API key) acts for the user that it names in `X-Act-As` (with `X-Act-As-Name`, \
            percent-encoded UTF-8, to tell the name); only the routes under `/api/service` need \
            none. There is one answer to what does not exist and to what the caller has no part in."
    ),
    tags(
        (name = "conversations", description = "Direct (one per pair) and group conversations"),
        (name = "messages", description = "History, sending, reading"),
        (name = "files", description = "Uploads, which messages attach"),
        (name = "people", description = "Presence, socket tokens, health"),
        (name = "service", description = "For backends with an API key"),
    ),
    components(schemas(Problem)),
    security(("token" = []), ("session" = []), ("apiKey" = [])),
    modifiers(&Schemes)
)]
struct Frame;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, description: &mut Description) {
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A JWT of the app or a socket token; or an API key."))
            .build();
        let session = ApiKeyValue::with_description(
            "next-auth.session-token",
            "The session cookie of NextAuth v4; Auth.js v5 names it authjs.session-token, and \
             HTTPS sites prefix it with __Secure-.",
        );
        let key = ApiKeyValue::with_description(caller::API_KEY, "A service caller's API key.");
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
        components.add_security_scheme("apiKey", SecurityScheme::ApiKey(ApiKey::Header(key)));
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        post,
        patch,
        delete,
        ..
    } = item;
    [get, post, patch, delete].into_iter().flatten()
}

/// Every route refuses in the same shape.
fn add_refusal(operation: &mut Operation) {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    let refusal = ResponseBuilder::new()
        .description("A refusal; `code` tells why")
        .content("application/problem+json", content)
        .build();
    let responses = &mut operation.responses.responses;
    responses.insert("default".to_owned(), refusal.into());
}

/// A service caller names the user that it acts for.
fn add_acting(operation: &mut Operation) {
    let own = operation.tags.iter().flatten().any(|t| t == "service");
    if own || operation.security.is_some() {
        return;
    }
    let header = |name: &str, description: &str| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .description(Some(description))
            .schema(Some(Object::with_type(Type::String)))
            .build()
            .into()
    };
    operation.parameters.get_or_insert_default().extend([
        header("X-Act-As", "For service callers: the user to act for"),
        header(
            "X-Act-As-Name",
            "For service callers: that user's name, as percent-encoded UTF-8",
        ),
    ]);
}
