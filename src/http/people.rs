//! Presence for users, tokens for their sockets, and the health that the apps' own checks read.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    caller::{Anybody, Caller, Holder},
    extract::Params,
    problem::{ApiResult, json},
    state::App,
    view::PresenceView,
};
use crate::chat::{ChatError, UserId};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(get_presence))
        .routes(routes!(mint_socket_token))
        .routes(routes!(socket_health))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PresenceQuery {
    /// Ids separated by commas, at most 500.
    users: String,
}

/// How some users are.
#[derive(Serialize, ToSchema)]
struct PresenceList<'a> {
    presence: Vec<PresenceView<'a>>,
}

/// A token for a Socket.IO handshake's `auth.token`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SocketToken {
    token: String,
    /// Until when it is accepted.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// That the Socket.IO server runs.
#[derive(Serialize, ToSchema)]
struct SocketHealth {
    /// `ok`.
    status: &'static str,
    socket: SocketFigures,
}

/// What this node carries.
#[derive(Serialize, ToSchema)]
struct SocketFigures {
    /// Always true: this answer comes from the process that serves the sockets.
    initialized: bool,
    /// Live connections.
    connected: usize,
    /// Rooms with a connection in them.
    rooms: usize,
}

/// How users are. Those with whom the caller shares no conversation are left out.
#[utoipa::path(get, path = "/api/presence", tag = "people", params(PresenceQuery),
    responses((status = OK, description = "Those known to the caller", body = PresenceList)))]
async fn get_presence(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Params(query): Params<PresenceQuery>,
) -> ApiResult<Response> {
    let ids = query.users.split(',').map(str::trim);
    let users = ids
        .filter(|id| !id.is_empty())
        .map(UserId::new)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| ChatError::invalid(e.to_string()))?;
    let infos = app.chat.presence(&actor, &users).await?;
    let presence = infos.iter().map(PresenceView::from).collect();
    Ok(json(StatusCode::OK, &PresenceList { presence }))
}

/// Makes a socket token (24 h unless configured otherwise) for a caller who proves a session by
/// any accepted credential.
///
/// A socket token is such a credential itself, so that a page which is open for days can renew it.
/// What revokes the credential, or the user, revokes the socket token and all that renews it.
#[utoipa::path(post, path = "/api/auth/socket-token", tag = "people",
    responses((status = OK, description = "The token", body = SocketToken)))]
async fn mint_socket_token(
    State(app): State<Arc<App>>,
    Holder { actor, identity }: Holder,
) -> ApiResult<Response> {
    let ttl = app.socket_token_ttl;
    let minted = app.auth.mint_from(identity.as_ref(), &actor.profile, ttl)?;
    let body = SocketToken {
        token: minted.token,
        expires_at: minted.expires_at.to_iso(),
    };
    Ok(json(StatusCode::OK, &body))
}

/// Whether the Socket.IO server runs. For everybody.
#[utoipa::path(get, path = "/api/socket/health", tag = "people", security(()),
    responses((status = OK, description = "It runs", body = SocketHealth)))]
async fn socket_health(State(app): State<Arc<App>>, _: Anybody) -> Response {
    let body = SocketHealth {
        status: "ok",
        socket: SocketFigures {
            initialized: true,
            connected: app.stats.connections(),
            rooms: app.stats.rooms(),
        },
    };
    json(StatusCode::OK, &body)
}
