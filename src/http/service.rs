//! What only the apps' backends may do: emit to a user, ask who is online, list and close a user's
//! devices.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    caller::Service,
    extract::{Body, Ids, OptionalBody, Params},
    problem::{ApiResult, json},
    revocation::RevocationView,
    state::App,
    view::PresenceView,
};
use crate::chat::{ChatError, DeviceId, UserId, check_event_name};

/// Users in a page of those online when the caller does not say.
const ONLINE_PAGE: u32 = 100;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(online_users))
        .routes(routes!(get_user))
        .routes(routes!(user_devices))
        .routes(routes!(emit_to_user))
        .routes(routes!(disconnect_user))
        .routes(routes!(socket_stats))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OnlineQuery {
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    after: Option<UserId>,
    /// At most this many: 100 by default, 1000 at most.
    limit: Option<u32>,
}

/// A page of the users who are online anywhere.
#[derive(Serialize, ToSchema)]
struct OnlineUsers {
    /// Ascending by id.
    #[schema(value_type = Vec<String>)]
    users: Vec<UserId>,
    /// Give it as `after` for the next page; null on the last.
    #[schema(value_type = Option<String>, required)]
    next: Option<UserId>,
}

/// A user with all devices.
#[derive(Serialize, ToSchema)]
struct UserBody<'a> {
    #[serde(flatten)]
    presence: PresenceView<'a>,
    /// The live connections on all nodes.
    #[schema(value_type = Vec<String>)]
    devices: Vec<DeviceId>,
    /// How the user is revoked; null if not.
    #[schema(required)]
    revocation: Option<RevocationView>,
}

/// A user's live connections.
#[derive(Serialize, ToSchema)]
struct Devices {
    /// On all nodes.
    #[schema(value_type = Vec<String>)]
    devices: Vec<DeviceId>,
}

/// An event of the backend's own.
#[derive(Deserialize, ToSchema)]
struct Emit {
    /// Its name: 1 to 128 characters, none of Socket.IO's own.
    event: String,
    /// Its arguments.
    #[schema(value_type = Option<Vec<serde_json::Value>>)]
    args: Option<Vec<Box<RawValue>>>,
    /// Its one argument, instead of `args`.
    #[schema(value_type = Option<serde_json::Value>)]
    data: Option<Box<RawValue>>,
}

/// Which connection to close.
#[derive(Default, Deserialize, ToSchema)]
struct DisconnectUser {
    /// Only this one; otherwise all of them.
    #[schema(value_type = Option<String>)]
    device: Option<DeviceId>,
}

/// What the answering node carries.
#[derive(Serialize, ToSchema)]
struct SocketStats {
    /// Live connections.
    connected: usize,
    /// Rooms with a connection in them.
    rooms: usize,
    /// Users with a connection.
    users: usize,
}

/// Who is online, a page by id.
#[utoipa::path(get, path = "/api/service/users/online", tag = "service", params(OnlineQuery),
    responses((status = OK, description = "A page", body = OnlineUsers)))]
async fn online_users(
    State(app): State<Arc<App>>,
    _: Service,
    Params(query): Params<OnlineQuery>,
) -> ApiResult<Response> {
    let limit = query.limit.unwrap_or(ONLINE_PAGE);
    let users = app.chat.online(query.after.as_ref(), limit).await?;
    // A full page may be the last one; the next is empty then.
    let full = users.len() >= limit.clamp(1, 1000) as usize;
    let next = users.last().filter(|_| full).cloned();
    Ok(json(StatusCode::OK, &OnlineUsers { users, next }))
}

/// How a user is, with all devices.
#[utoipa::path(get, path = "/api/service/users/{id}", tag = "service",
    params(("id" = String, Path, description = "The user")),
    responses((status = OK, description = "The user", body = UserBody)))]
async fn get_user(
    State(app): State<Arc<App>>,
    _: Service,
    Ids(user): Ids<UserId>,
) -> ApiResult<Response> {
    let infos = app.chat.whereabouts(std::slice::from_ref(&user)).await?;
    let devices = app.chat.devices(&user).await?;
    let info = infos
        .first()
        .ok_or_else(|| ChatError::not_found("nothing is known of this user"))?;
    let body = UserBody {
        presence: PresenceView::from(info),
        devices,
        revocation: app.chat.revocation(&user).map(RevocationView::from),
    };
    Ok(json(StatusCode::OK, &body))
}

/// A user's live connections.
#[utoipa::path(get, path = "/api/service/users/{id}/devices", tag = "service",
    params(("id" = String, Path, description = "The user")),
    responses((status = OK, description = "The connections", body = Devices)))]
async fn user_devices(
    State(app): State<Arc<App>>,
    _: Service,
    Ids(user): Ids<UserId>,
) -> ApiResult<Response> {
    let devices = app.chat.devices(&user).await?;
    Ok(json(StatusCode::OK, &Devices { devices }))
}

/// Emits an event to all connections of a user, on all nodes. At most once: who is not connected
/// does not hear it.
#[utoipa::path(post, path = "/api/service/users/{id}/emit", tag = "service",
    params(("id" = String, Path, description = "The user")),
    request_body = Emit,
    responses((status = ACCEPTED, description = "On its way")))]
async fn emit_to_user(
    State(app): State<Arc<App>>,
    _: Service,
    Ids(user): Ids<UserId>,
    Body(body): Body<Emit>,
) -> ApiResult<Response> {
    let name = body.event;
    check_event_name(&name)?;
    let args = match (body.args, body.data) {
        (Some(_), Some(_)) => {
            return Err(ChatError::invalid("give args or data, not both").into());
        }
        (args, data) => args.unwrap_or_else(|| data.into_iter().collect()),
    };
    let args = to_raw_value(&args).map_err(ChatError::internal)?;
    app.chat.emit_to(user, name.into(), args.into());
    Ok(StatusCode::ACCEPTED.into_response())
}

/// Closes a user's connections for good, or one of them, on every node within a second: their
/// clients do not come back by themselves. The user may connect again.
#[utoipa::path(post, path = "/api/service/users/{id}/disconnect", tag = "service",
    params(("id" = String, Path, description = "The user")),
    request_body = Option<DisconnectUser>,
    responses((status = ACCEPTED, description = "On its way")))]
async fn disconnect_user(
    State(app): State<Arc<App>>,
    _: Service,
    Ids(user): Ids<UserId>,
    OptionalBody(body): OptionalBody<DisconnectUser>,
) -> ApiResult<Response> {
    app.chat.disconnect(user, body.device).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// What the answering node carries.
#[utoipa::path(get, path = "/api/service/stats", tag = "service",
    responses((status = OK, description = "The figures", body = SocketStats)))]
async fn socket_stats(State(app): State<Arc<App>>, _: Service) -> Response {
    let body = SocketStats {
        connected: app.stats.connections(),
        rooms: app.stats.rooms(),
        users: app.stats.users(),
    };
    json(StatusCode::OK, &body)
}
