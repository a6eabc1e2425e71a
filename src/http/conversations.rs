//! Conversations: listing, making, changing, and who takes part.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    caller::Caller,
    extract::{Body, Ids, Params},
    problem::{ApiResult, json},
    state::App,
    view::ConversationView,
};
use crate::chat::{
    Actor, ChatError, Conversation, ConversationId, ConversationSummary, NewConversation, UserId,
};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list_conversations, create_conversation))
        .routes(routes!(
            get_conversation,
            rename_conversation,
            delete_conversation
        ))
        .routes(routes!(add_participants, remove_named_participant))
        .routes(routes!(remove_participant))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// `nextCursor` of the page before.
    cursor: Option<String>,
    /// At most this many; bounded by the configuration.
    limit: Option<u32>,
}

/// A page of conversations.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ConversationList<'a> {
    /// The one that changed last comes first.
    conversations: Vec<ConversationView<'a>>,
    /// Give it as `cursor` for the next page; null on the last.
    next_cursor: Option<String>,
}

/// One conversation.
#[derive(Serialize, ToSchema)]
struct ConversationBody<'a> {
    conversation: ConversationView<'a>,
}

/// Either `otherUserId`, or `isGroup` with `title` and `participantIds`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreateConversation {
    /// The other user of a direct conversation.
    #[schema(value_type = Option<String>)]
    other_user_id: Option<UserId>,
    /// Whether to make a group.
    #[serde(default)]
    is_group: bool,
    /// A group's title: 1 to 200 characters.
    #[schema(value_type = Option<String>)]
    title: Option<Arc<str>>,
    /// The others in the group; its maker is in it anyway, as admin.
    #[schema(value_type = Option<Vec<String>>)]
    participant_ids: Option<Vec<UserId>>,
    /// The id to give it; service callers only.
    #[schema(value_type = Option<String>)]
    id: Option<ConversationId>,
}

impl CreateConversation {
    fn into_new(self) -> ApiResult<NewConversation> {
        let id = self.id;
        match (self.is_group, self.other_user_id) {
            (false, Some(other)) => Ok(NewConversation::Direct { other, id }),
            (true, None) => Ok(NewConversation::Group {
                title: self
                    .title
                    .ok_or_else(|| ChatError::invalid("a group needs a title"))?,
                participants: self.participant_ids.unwrap_or_default(),
                id,
            }),
            _ => Err(ChatError::invalid(
                "give otherUserId, or isGroup with title and participantIds",
            )
            .into()),
        }
    }
}

/// A group's new title.
#[derive(Deserialize, ToSchema)]
struct RenameConversation {
    /// 1 to 200 characters.
    title: String,
}

/// Users to add.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AddParticipants {
    /// Their ids.
    #[schema(value_type = Vec<String>)]
    participant_ids: Vec<UserId>,
}

/// The user to remove.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RemoveParticipant {
    /// Their id.
    #[schema(value_type = String)]
    user_id: UserId,
}

/// The caller's conversations.
#[utoipa::path(get, path = "/api/conversations", tag = "conversations", params(ListQuery),
    responses((status = OK, description = "A page", body = ConversationList)))]
async fn list_conversations(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Params(query): Params<ListQuery>,
) -> ApiResult<Response> {
    let page = app
        .chat
        .list(&actor, query.cursor.as_deref(), query.limit)
        .await?;
    let users = page.items.iter().flat_map(participants);
    let people = app.people(users).await?;
    let views = page.items.iter().map(|s| ConversationView::new(s, &people));
    let body = ConversationList {
        conversations: views.collect(),
        next_cursor: page.next,
    };
    Ok(json(StatusCode::OK, &body))
}

/// Opens the direct conversation with a user, or makes a group.
///
/// Two users have one direct conversation; asked for again, it is returned as it is.
#[utoipa::path(post, path = "/api/conversations", tag = "conversations",
    request_body = CreateConversation,
    responses(
        (status = CREATED, description = "Made now", body = ConversationBody),
        (status = OK, description = "It existed", body = ConversationBody)))]
async fn create_conversation(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Body(body): Body<CreateConversation>,
) -> ApiResult<Response> {
    let (conversation, made) = app.chat.create(&actor, body.into_new()?).await?;
    let status = if made {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    show(&app, &actor, status, conversation).await
}

/// One of the caller's conversations.
#[utoipa::path(get, path = "/api/conversations/{id}", tag = "conversations",
    params(("id" = String, Path, description = "The conversation")),
    responses((status = OK, description = "As it is now", body = ConversationBody)))]
async fn get_conversation(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Ids(id): Ids<ConversationId>,
) -> ApiResult<Response> {
    let summary = app.chat.summary(&actor, &id).await?;
    show_summary(&app, StatusCode::OK, &summary).await
}

/// Gives a group another title; admins only.
#[utoipa::path(patch, path = "/api/conversations/{id}", tag = "conversations",
    params(("id" = String, Path, description = "The group")),
    request_body = RenameConversation,
    responses((status = OK, description = "As it is now", body = ConversationBody)))]
async fn rename_conversation(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Ids(id): Ids<ConversationId>,
    Body(body): Body<RenameConversation>,
) -> ApiResult<Response> {
    let conversation = app.chat.rename(&actor, &id, &body.title).await?;
    show(&app, &actor, StatusCode::OK, conversation).await
}

/// Deletes a conversation for everybody: a group by an admin, a direct one by either user.
#[utoipa::path(delete, path = "/api/conversations/{id}", tag = "conversations",
    params(("id" = String, Path, description = "The conversation")),
    responses((status = NO_CONTENT, description = "Deleted")))]
async fn delete_conversation(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Ids(id): Ids<ConversationId>,
) -> ApiResult<Response> {
    app.chat.delete(&actor, &id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Adds users to a group; admins only. Those who are in it already stay as they are.
#[utoipa::path(post, path = "/api/conversations/{id}/participants", tag = "conversations",
    params(("id" = String, Path, description = "The group")),
    request_body = AddParticipants,
    responses((status = OK, description = "As it is now", body = ConversationBody)))]
async fn add_participants(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Ids(id): Ids<ConversationId>,
    Body(body): Body<AddParticipants>,
) -> ApiResult<Response> {
    let users = &body.participant_ids;
    let conversation = app.chat.add_participants(&actor, &id, users).await?;
    show(&app, &actor, StatusCode::OK, conversation).await
}

/// Takes a user out of a group: oneself (leaving), or anybody as an admin.
#[utoipa::path(delete, path = "/api/conversations/{id}/participants/{userId}",
    tag = "conversations",
    params(("id" = String, Path, description = "The group"),
        ("userId" = String, Path, description = "The user")),
    responses((status = NO_CONTENT, description = "Out")))]
async fn remove_participant(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Ids((id, user)): Ids<(ConversationId, UserId)>,
) -> ApiResult<Response> {
    remove(&app, &actor, &id, &user).await
}

/// The same with the user in the body.
#[utoipa::path(delete, path = "/api/conversations/{id}/participants", tag = "conversations",
    params(("id" = String, Path, description = "The group")),
    request_body = RemoveParticipant,
    responses((status = NO_CONTENT, description = "Out")))]
async fn remove_named_participant(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Ids(id): Ids<ConversationId>,
    Body(body): Body<RemoveParticipant>,
) -> ApiResult<Response> {
    remove(&app, &actor, &id, &body.user_id).await
}

async fn remove(
    app: &App,
    actor: &Actor,
    id: &ConversationId,
    user: &UserId,
) -> ApiResult<Response> {
    app.chat.remove_participant(actor, id, user).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn show(
    app: &App,
    actor: &Actor,
    status: StatusCode,
    conversation: Conversation,
) -> ApiResult<Response> {
    let summary = app.chat.summarise(actor, conversation).await?;
    show_summary(app, status, &summary).await
}

async fn show_summary(
    app: &App,
    status: StatusCode,
    summary: &ConversationSummary,
) -> ApiResult<Response> {
    let people = app.people(participants(summary)).await?;
    let conversation = ConversationView::new(summary, &people);
    Ok(json(status, &ConversationBody { conversation }))
}

fn participants(summary: &ConversationSummary) -> impl Iterator<Item = &UserId> {
    let participants = summary.conversation.participants.iter();
    participants.map(|p| &p.profile.id)
}
