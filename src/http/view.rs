//! How conversations, messages and people look in JSON. Times are ISO 8601 in UTC.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::{
    ToSchema,
    openapi::{Object, ObjectBuilder, Type},
};

use crate::chat::{
    Attachment, Conversation, ConversationSummary, Message, Participant, PresenceInfo, Role,
    Status, UserId,
};

/// How the people of some conversations are, as far as it can be told.
pub(super) type People = HashMap<UserId, PresenceInfo>;

/// A message.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Message)]
pub(super) struct MessageView<'a> {
    /// Its id.
    id: &'a str,
    /// Its place in the conversation: 1, 2, 3, ... without a gap.
    seq: u64,
    /// Where it was said.
    conversation_id: &'a str,
    /// Who said it.
    sender_id: &'a str,
    /// The sender's name.
    sender_name: &'a str,
    /// The content.
    content: &'a str,
    /// The sort of content: `text` unless the sender said otherwise.
    #[serde(rename = "type")]
    kind: &'a str,
    /// When it was committed.
    #[schema(format = DateTime)]
    timestamp: String,
    /// The same time, under the name that clients of the platform dialect know.
    #[schema(format = DateTime)]
    created_at: String,
    /// The sender's own key for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client_id: Option<&'a str>,
    /// What the sender attached, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    metadata: Option<&'a RawValue>,
    /// Uploads that belong to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    attachments: Vec<AttachmentView<'a>>,
}

/// An uploaded file.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Attachment)]
pub(super) struct AttachmentView<'a> {
    /// Its id, to attach it to a message.
    id: &'a str,
    /// The file's name.
    name: &'a str,
    /// The media type that its content shows.
    #[serde(rename = "type")]
    media_type: &'a str,
    /// Bytes.
    size: u64,
    /// Of a picture, in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    width: Option<u32>,
    /// Of a picture, in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    height: Option<u32>,
    /// Where it is served.
    url: &'a str,
    /// Where a smaller picture of it is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    thumbnail_url: Option<&'a str>,
}

impl<'a> From<&'a Attachment> for AttachmentView<'a> {
    fn from(a: &'a Attachment) -> Self {
        Self {
            id: a.id.as_str(),
            name: &a.name,
            media_type: &a.media_type,
            size: a.size,
            width: a.dimensions.map(|d| d.width),
            height: a.dimensions.map(|d| d.height),
            url: &a.url,
            thumbnail_url: a.thumbnail_url.as_deref(),
        }
    }
}

impl<'a> From<&'a Message> for MessageView<'a> {
    fn from(m: &'a Message) -> Self {
        Self {
            id: m.id.as_str(),
            seq: m.seq,
            conversation_id: m.conversation.as_str(),
            sender_id: m.sender.id.as_str(),
            sender_name: &m.sender.name,
            content: &m.content,
            kind: &m.kind,
            timestamp: m.created_at.to_iso(),
            created_at: m.created_at.to_iso(),
            client_id: m.client_id.as_deref(),
            metadata: m.metadata.as_deref(),
            attachments: m.attachments.iter().map(AttachmentView::from).collect(),
        }
    }
}

/// A conversation as one user's list shows it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Conversation)]
pub(super) struct ConversationView<'a> {
    /// Its id.
    id: &'a str,
    /// The same id.
    conversation_id: &'a str,
    /// A group's title; null for a direct conversation.
    #[schema(required)]
    title: Option<&'a str>,
    /// Whether it is a group.
    is_group: bool,
    /// The seq of the newest message; 0 when there is none.
    last_seq: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When a message, its title or its participants last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// Those who take part.
    participants: Vec<ParticipantView<'a>>,
    /// The newest message.
    #[schema(required)]
    last_message: Option<MessageView<'a>>,
    /// How many messages the user has not read.
    unread_count: u64,
}

impl<'a> ConversationView<'a> {
    pub(super) fn new(summary: &'a ConversationSummary, people: &'a People) -> Self {
        let c: &Conversation = &summary.conversation;
        let participants = c.participants.iter();
        Self {
            id: c.id.as_str(),
            conversation_id: c.id.as_str(),
            title: c.title.as_deref(),
            is_group: c.is_group,
            last_seq: c.last_seq,
            created_at: c.created_at.to_iso(),
            updated_at: c.updated_at.to_iso(),
            participants: participants
                .map(|p| ParticipantView::new(p, people))
                .collect(),
            last_message: summary.last_message.as_deref().map(MessageView::from),
            unread_count: summary.unread,
        }
    }
}

/// Somebody who takes part.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Participant)]
pub(super) struct ParticipantView<'a> {
    /// Who.
    user_id: &'a str,
    /// The name; the id where none is known.
    name: &'a str,
    /// The e-mail address, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    email: Option<&'a str>,
    /// A picture's URL, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    avatar: Option<&'a str>,
    /// What they may do in a group.
    #[schema(schema_with = role_schema)]
    role: Role,
    /// When they came in.
    #[schema(format = DateTime)]
    joined_at: String,
    /// When they left: null, because only those who take part are listed.
    #[schema(format = DateTime, required)]
    left_at: Option<String>,
    /// The highest seq they have read.
    read_seq: u64,
    /// When they last read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    read_at: Option<String>,
    /// The same time, null if they never did.
    #[schema(format = DateTime, required)]
    last_read_at: Option<String>,
    /// The highest seq that one of their devices received.
    delivered_seq: u64,
    /// Whether any of their devices is connected; null while that cannot be told.
    #[schema(required)]
    online: Option<bool>,
    /// What they say of themselves; null while that cannot be told.
    #[schema(schema_with = status_or_null_schema, required)]
    status: Option<Status>,
    /// When their last device left.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    last_seen: Option<String>,
}

impl<'a> ParticipantView<'a> {
    fn new(p: &'a Participant, people: &'a People) -> Self {
        let info = people.get(&p.profile.id);
        let last_seen = match info {
            Some(info) => info.last_seen,
            None => p.last_seen,
        };
        Self {
            user_id: p.profile.id.as_str(),
            name: &p.profile.name,
            email: p.profile.email.as_deref(),
            avatar: p.profile.avatar.as_deref(),
            role: p.role,
            joined_at: p.joined_at.to_iso(),
            left_at: None,
            read_seq: p.read_seq,
            last_read_at: p.read_at.map(|t| t.to_iso()),
            read_at: p.read_at.map(|t| t.to_iso()),
            delivered_seq: p.delivered_seq,
            online: info.map(|i| i.online),
            status: info.map(|i| i.status),
            last_seen: last_seen.map(|t| t.to_iso()),
        }
    }
}

/// How a user is, over all devices.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Presence)]
pub(super) struct PresenceView<'a> {
    /// Who.
    user_id: &'a str,
    /// Whether any device is connected.
    online: bool,
    /// What the user says; `offline` without a device.
    #[schema(schema_with = status_schema)]
    status: Status,
    /// When the last device left; null while online or never seen.
    #[schema(format = DateTime, required)]
    last_seen: Option<String>,
}

impl<'a> From<&'a PresenceInfo> for PresenceView<'a> {
    fn from(info: &'a PresenceInfo) -> Self {
        Self {
            user_id: info.user.as_str(),
            online: info.online,
            status: info.status,
            last_seen: info.last_seen.map(|t| t.to_iso()),
        }
    }
}

fn names(description: &str, values: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .enum_values(Some(values))
}

fn role_schema() -> Object {
    let roles = [Role::Admin, Role::Member].map(Role::as_str);
    names("What they may do in a group.", roles).build()
}

fn status_schema() -> Object {
    names("What the user says of themselves.", statuses()).build()
}

fn status_or_null_schema() -> Object {
    use utoipa::openapi::schema::SchemaType;
    let values = statuses().into_iter().map(Some).chain([None]);
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(
            "What they say of themselves; null while that cannot be told.",
        ))
        .enum_values(Some(values))
        .build()
}

fn statuses() -> [&'static str; 5] {
    Status::ALL.map(Status::as_str)
}
