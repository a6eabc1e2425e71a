//! Messages: history, sending, reading.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    caller::Caller,
    extract::{Body, Ids, OptionalBody, Params},
    problem::{ApiResult, json},
    state::App,
    view::MessageView,
};
use crate::chat::{ChatError, ConversationId, MessageId, ReceiptTarget, UploadReference};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list_messages))
        .routes(routes!(send_message))
        .routes(routes!(read_messages))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// The newest messages with a lower seq than this; not together with `after`.
    before: Option<u64>,
    /// The oldest messages with a higher seq than this.
    after: Option<u64>,
    /// At most this many: 50 by default, bounded by the configuration.
    limit: Option<u32>,
}

/// A page of messages.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MessageList<'a> {
    /// Ascending by seq.
    messages: Vec<MessageView<'a>>,
    /// Whether more exist: older ones, or later ones with `after`.
    has_more: bool,
}

/// One message.
#[derive(Serialize, ToSchema)]
struct MessageBody<'a> {
    message: MessageView<'a>,
}

/// A message to send.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SendMessage {
    /// Where.
    #[schema(value_type = String)]
    conversation_id: ConversationId,
    /// What; may be left out with attachments.
    #[serde(default)]
    #[schema(value_type = String, required = false)]
    content: Arc<str>,
    /// Uploads of the sender: their ids, or their URLs.
    #[serde(default)]
    #[schema(value_type = Vec<String>, required = false)]
    attachments: Vec<UploadReference>,
    /// The sort of content: 1 to 32 characters, `text` by default.
    #[serde(rename = "type")]
    #[schema(value_type = Option<String>)]
    kind: Option<Arc<str>>,
    /// The sender's own key: 1 to 128 characters. A repetition with the same key is not sent
    /// again.
    #[schema(value_type = Option<String>)]
    client_id: Option<Arc<str>>,
    /// A JSON object to keep with the message.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Box<RawValue>>,
}

/// What was read; without anything, the whole conversation.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReadMessages {
    /// A message, and with it all earlier ones.
    #[schema(value_type = Option<String>)]
    message_id: Option<MessageId>,
    /// Several messages.
    #[serde(default)]
    #[schema(value_type = Vec<String>, required = false)]
    message_ids: Vec<MessageId>,
}

/// A page of a conversation's messages: the newest, those before a seq, or those after one.
#[utoipa::path(get, path = "/api/conversations/{id}/messages", tag = "messages",
    params(("id" = String, Path, description = "The conversation"), HistoryQuery),
    responses((status = OK, description = "A page", body = MessageList)))]
async fn list_messages(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Ids(id): Ids<ConversationId>,
    Params(query): Params<HistoryQuery>,
) -> ApiResult<Response> {
    let HistoryQuery {
        before,
        after,
        limit,
    } = query;
    let (messages, has_more) = app.chat.messages(&actor, &id, before, after, limit).await?;
    let messages = messages.iter().map(|m| MessageView::from(&**m)).collect();
    Ok(json(StatusCode::OK, &MessageList { messages, has_more }))
}

/// Sends a message. An answer of 200 or 201 means that it is committed.
#[utoipa::path(post, path = "/api/messages", tag = "messages", request_body = SendMessage,
    responses(
        (status = CREATED, description = "Committed now", body = MessageBody),
        (status = OK, description = "A repetition: the first message", body = MessageBody)))]
async fn send_message(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Body(body): Body<SendMessage>,
) -> ApiResult<Response> {
    app.limit_message(&actor.profile.id)?;
    let metadata = body.metadata;
    if metadata.as_ref().is_some_and(|m| !m.get().starts_with('{')) {
        return Err(ChatError::invalid("metadata must be a JSON object").into());
    }
    let named = body.attachments.iter().map(UploadReference::id);
    let attachments = named
        .collect::<Option<_>>()
        .ok_or_else(|| ChatError::invalid("attachments must be uploads' ids or URLs"))?;
    let send = crate::chat::SendMessage {
        to: body.conversation_id.into(),
        content: body.content,
        attachments,
        kind: body.kind,
        client_id: body.client_id,
        metadata: metadata.map(Arc::from),
    };
    let sent = app.chat.send(&actor, send).await?;
    let status = if sent.duplicate {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let message = MessageView::from(&*sent.message);
    Ok(json(status, &MessageBody { message }))
}

/// Marks messages as read, or the whole conversation.
#[utoipa::path(post, path = "/api/conversations/{id}/read", tag = "messages",
    params(("id" = String, Path, description = "The conversation")),
    request_body = Option<ReadMessages>,
    responses((status = NO_CONTENT, description = "Read")))]
async fn read_messages(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Ids(id): Ids<ConversationId>,
    OptionalBody(body): OptionalBody<ReadMessages>,
) -> ApiResult<Response> {
    let mut messages = body.message_ids;
    messages.extend(body.message_id);
    let target = ReceiptTarget {
        conversation: Some(id),
        messages,
    };
    app.chat.mark_read(&actor, target).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
