//! Revoking users and tokens, for the apps' backends. What it means is in
//! [`revocation`](crate::chat).

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    caller::Service,
    extract::{Body, Ids, OptionalBody},
    problem::{ApiResult, json},
    state::App,
};
use crate::{
    auth::{AuthError, Authenticator},
    chat::{ChatError, ChatResult, Millis, RevokeUser, TokenKey, UserId, UserRevocation},
};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(revoke_user))
        .routes(routes!(allow_user))
        .routes(routes!(revoke_token))
        .routes(routes!(allow_token))
}

/// How a user is to be revoked.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RevokeUserBody {
    /// Tokens issued before this are refused. By default all that were issued up to now.
    #[schema(format = DateTime)]
    issued_before: Option<String>,
    /// Until when; by default until the user is allowed again.
    #[schema(format = DateTime)]
    until: Option<String>,
    /// Whether tokens issued afterwards are refused too, whenever they are issued.
    #[serde(default)]
    block: bool,
}

/// How a user is revoked.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RevocationView {
    /// Tokens issued before this are refused, and those that do not say when they were issued; null
    /// if all are, whenever they were issued.
    #[schema(format = DateTime, required)]
    issued_before: Option<String>,
    /// Until when; null if until the user is allowed again.
    #[schema(format = DateTime, required)]
    until: Option<String>,
}

impl From<UserRevocation> for RevocationView {
    fn from(revocation: UserRevocation) -> Self {
        Self {
            issued_before: revocation.issued_before.map(Millis::to_iso),
            until: revocation.until.map(Millis::to_iso),
        }
    }
}

/// A token: itself, or its id. One of the two.
#[derive(Deserialize, ToSchema)]
struct TokenBody {
    /// The token. It is verified, and not kept.
    token: Option<String>,
    /// The `jti` of the token.
    jti: Option<String>,
    /// With `jti`: until when, which should be when the token expires; by default until it is
    /// allowed again. A token that is given itself is revoked until it expires.
    #[schema(format = DateTime)]
    until: Option<String>,
}

/// Whether there was something to take back.
#[derive(Serialize, ToSchema)]
struct Allowed {
    /// False if it was not revoked.
    lifted: bool,
}

/// Revokes a user: tokens issued up to now are refused everywhere from now on, and the connections
/// that stand on them are closed for good, on every node within a second.
///
/// A token issued afterwards is accepted, unless the user is blocked. Times of issue are whole
/// seconds: what was issued in the second of the revocation counts as issued before it. A user who
/// is revoked already stays so for at least as long.
#[utoipa::path(post, path = "/api/service/users/{id}/revoke", tag = "service",
    params(("id" = String, Path, description = "The user")),
    request_body = Option<RevokeUserBody>,
    responses((status = ACCEPTED, description = "Kept, and on its way", body = RevocationView)))]
async fn revoke_user(
    State(app): State<Arc<App>>,
    _: Service,
    Ids(user): Ids<UserId>,
    OptionalBody(body): OptionalBody<RevokeUserBody>,
) -> ApiResult<Response> {
    let revoke = RevokeUser {
        issued_before: time("issuedBefore", body.issued_before)?,
        until: time("until", body.until)?,
        block: body.block,
    };
    let revocation = app.chat.revoke_user(&user, &revoke).await?;
    let view = RevocationView::from(revocation);
    Ok(json(StatusCode::ACCEPTED, &view))
}

/// Takes a user's revocation back: the tokens are accepted again, and a block ends.
#[utoipa::path(post, path = "/api/service/users/{id}/allow", tag = "service",
    params(("id" = String, Path, description = "The user")),
    responses((status = OK, description = "The user is not revoked", body = Allowed)))]
async fn allow_user(
    State(app): State<Arc<App>>,
    _: Service,
    Ids(user): Ids<UserId>,
) -> ApiResult<Response> {
    let lifted = app.chat.allow_user(&user).await?;
    Ok(json(StatusCode::OK, &Allowed { lifted }))
}

/// Revokes one token, with the socket tokens made from it and those that renew it: they are refused
/// everywhere from now on, and the connections that showed them are closed for good, on every node
/// within a second.
#[utoipa::path(post, path = "/api/service/tokens/revoke", tag = "service",
    request_body = TokenBody,
    responses((status = ACCEPTED, description = "Kept, and on its way")))]
async fn revoke_token(
    State(app): State<Arc<App>>,
    _: Service,
    Body(body): Body<TokenBody>,
) -> ApiResult<Response> {
    let (key, until) = named(&app, body).await?;
    app.chat.revoke_token(key, until).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// Takes a token's revocation back.
#[utoipa::path(post, path = "/api/service/tokens/allow", tag = "service",
    request_body = TokenBody,
    responses((status = OK, description = "The token is not revoked", body = Allowed)))]
async fn allow_token(
    State(app): State<Arc<App>>,
    _: Service,
    Body(body): Body<TokenBody>,
) -> ApiResult<Response> {
    let (key, _) = named(&app, body).await?;
    let lifted = app.chat.allow_token(key).await?;
    Ok(json(StatusCode::OK, &Allowed { lifted }))
}

/// What names the token, and until when it is accepted unless it is revoked.
async fn named(app: &App, body: TokenBody) -> ChatResult<(TokenKey, Option<Millis>)> {
    match (body.token, body.jti) {
        (Some(token), None) => {
            if body.until.is_some() {
                let text = "a token that is given itself is revoked until it expires";
                return Err(ChatError::invalid(text));
            }
            let identity = app.auth.examine(&token).await.map_err(of_token)?;
            let key = identity.key().ok_or(AuthError::Missing).map_err(of_token)?;
            Ok((key, app.auth.accepted_until(&identity)))
        }
        (None, Some(id)) => {
            let key = Authenticator::key_of_id(&id).map_err(of_token)?;
            Ok((key, time("until", body.until)?))
        }
        _ => Err(ChatError::invalid("give a token or its jti")),
    }
}

/// Something is wrong with the token that the request is about, not with the caller's own.
fn of_token(e: AuthError) -> ChatError {
    match e {
        AuthError::KeysUnavailable => e.into(),
        e => ChatError::invalid(format!("{}: {e}", e.reason())),
    }
}

fn time(name: &str, text: Option<String>) -> ChatResult<Option<Millis>> {
    let read = |text: String| {
        Millis::from_iso(&text)
            .ok_or_else(|| ChatError::invalid(format!("{name} is no time as in RFC 3339")))
    };
    text.map(read).transpose()
}
