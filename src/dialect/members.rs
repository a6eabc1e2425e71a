//! The members of every kind of thing, with how to take them.

use crate::chat::{Attachment, ErrorCode, Event, Millis, PresenceChange, Role, Status};

use super::vocabulary::{Datum, Item, Kind, List, Member, Type};

fn maybe(text: Option<&str>) -> Datum<'_> {
    text.map_or(Datum::Absent, Datum::Text)
}

fn time(at: Option<Millis>) -> Datum<'static> {
    at.map_or(Datum::Absent, Datum::Time)
}

/// A message without attachments has no such member.
fn attached<'a>(
    attachments: &'a [Attachment],
    list: fn(&'a [Attachment]) -> List<'a>,
) -> Datum<'a> {
    match attachments.is_empty() {
        true => Datum::Absent,
        false => Datum::List(list(attachments)),
    }
}

fn statuses() -> Vec<&'static str> {
    Status::ALL.map(Status::as_str).to_vec()
}

fn codes() -> Vec<&'static str> {
    ErrorCode::ALL.map(ErrorCode::as_str).to_vec()
}

fn roles() -> Vec<&'static str> {
    vec![Role::Admin.as_str(), Role::Member.as_str()]
}

fn changes() -> Vec<&'static str> {
    use PresenceChange::{Offline, Online, Status};
    [Online, Offline, Status].map(change).to_vec()
}

fn change(change: PresenceChange) -> &'static str {
    match change {
        PresenceChange::Online => "online",
        PresenceChange::Offline => "offline",
        PresenceChange::Status => "status",
    }
}

/// Lists the members of one kind. A getter sees only items of its own kind, because paths are
/// checked when they are compiled; for any other item it finds nothing.
macro_rules! members {
    ($item:pat => { $($name:literal $(($opt:ident))? : $ty:expr => $value:expr;)* }) => {
        &[$(Member {
            name: $name,
            ty: $ty,
            optional: members!(@optional $($opt)?),
            get: |item| match item { $item => $value, _ => Datum::Absent },
        }),*]
    };
    (@optional optional) => { true };
    (@optional) => { false };
}

pub(super) const MESSAGE: &[Member] = members!(Item::Message(m) => {
    "id": Type::Text => Datum::Text(m.id.as_str());
    "conversation": Type::Text => Datum::Text(m.conversation.as_str());
    "seq": Type::Number => Datum::Number(m.seq);
    "sender": Type::Thing(Kind::Profile) => Datum::Thing(Item::Profile(&m.sender));
    "client_id" (optional): Type::Text => maybe(m.client_id.as_deref());
    "kind": Type::Text => Datum::Text(&m.kind);
    "content": Type::Text => Datum::Text(&m.content);
    "metadata" (optional): Type::Json =>
        m.metadata.as_ref().map_or(Datum::Absent, |json| Datum::Json(json.get()));
    "created_at": Type::Time => Datum::Time(m.created_at);
    "attachments" (optional): Type::List(Kind::Attachment) =>
        attached(&m.attachments, List::Attachments);
    "attachment_urls" (optional): Type::TextList =>
        attached(&m.attachments, List::AttachmentUrls);
    "attachment_ids" (optional): Type::TextList => attached(&m.attachments, List::AttachmentIds);
});

pub(super) const ATTACHMENT: &[Member] = members!(Item::Attachment(a) => {
    "id": Type::Text => Datum::Text(a.id.as_str());
    "name": Type::Text => Datum::Text(&a.name);
    "type": Type::Text => Datum::Text(&a.media_type);
    "size": Type::Number => Datum::Number(a.size);
    "width" (optional): Type::Number =>
        a.dimensions.map_or(Datum::Absent, |d| Datum::Number(d.width.into()));
    "height" (optional): Type::Number =>
        a.dimensions.map_or(Datum::Absent, |d| Datum::Number(d.height.into()));
    "url": Type::Text => Datum::Text(&a.url);
    "thumbnail_url" (optional): Type::Text => maybe(a.thumbnail_url.as_deref());
});

pub(super) const PROFILE: &[Member] = members!(Item::Profile(p) => {
    "id": Type::Text => Datum::Text(p.id.as_str());
    "name": Type::Text => Datum::Text(&p.name);
    "email" (optional): Type::Text => maybe(p.email.as_deref());
    "avatar" (optional): Type::Text => maybe(p.avatar.as_deref());
});

pub(super) const PARTICIPANT: &[Member] = members!(Item::Participant(p) => {
    "user": Type::Thing(Kind::Profile) => Datum::Thing(Item::Profile(&p.profile));
    "role": Type::Choice(roles) => Datum::Text(p.role.as_str());
    "joined_at": Type::Time => Datum::Time(p.joined_at);
    "read_seq": Type::Number => Datum::Number(p.read_seq);
    "read_at" (optional): Type::Time => time(p.read_at);
    "delivered_seq": Type::Number => Datum::Number(p.delivered_seq);
    "last_seen" (optional): Type::Time => time(p.last_seen);
    "online" (optional): Type::Flag =>
        p.presence.as_ref().map_or(Datum::Absent, |info| Datum::Flag(info.online));
    "status" (optional): Type::Choice(statuses) =>
        maybe(p.presence.as_ref().map(|info| info.status.as_str()));
});

pub(super) const CONVERSATION: &[Member] = members!(Item::Conversation(c) => {
    "id": Type::Text => Datum::Text(c.id.as_str());
    "title" (optional): Type::Text => maybe(c.title.as_deref());
    "is_group": Type::Flag => Datum::Flag(c.is_group);
    "last_seq": Type::Number => Datum::Number(c.last_seq);
    "created_at": Type::Time => Datum::Time(c.created_at);
    "updated_at": Type::Time => Datum::Time(c.updated_at);
    "participants": Type::List(Kind::Participant) =>
        Datum::List(List::Participants(&c.participants));
    "participant_ids": Type::TextList => Datum::List(List::ParticipantIds(&c.participants));
});

pub(super) const JOINED: &[Member] = members!(Item::Joined(j) => {
    "conversation": Type::Thing(Kind::Conversation) =>
        Datum::Thing(Item::Conversation(&j.conversation));
    "messages": Type::List(Kind::Message) => Datum::List(List::Messages(&j.messages));
    "last_seq": Type::Number => Datum::Number(j.last_seq);
    "has_more": Type::Flag => Datum::Flag(j.has_more);
});

pub(super) const RECEIPT: &[Member] = members!(Item::Receipt(r) => {
    "conversation": Type::Text => Datum::Text(r.conversation.as_str());
    "message": Type::Text => Datum::Text(r.message.as_str());
    "seq": Type::Number => Datum::Number(r.seq);
    "sender": Type::Text => Datum::Text(r.sender.as_str());
    "by": Type::Thing(Kind::Profile) => Datum::Thing(Item::Profile(&r.by));
    "at": Type::Time => Datum::Time(r.at);
});

#[allow(
    unused_variables,
    reason = "each line takes what it needs of the pattern"
)]
pub(super) const TYPING: &[Member] = members!(Item::Event(Event::Typing { conversation, user, on }) => {
    "conversation": Type::Text => Datum::Text(conversation.as_str());
    "user": Type::Thing(Kind::Profile) => Datum::Thing(Item::Profile(user));
    "on": Type::Flag => Datum::Flag(*on);
});

#[allow(
    unused_variables,
    reason = "each line takes what it needs of the pattern"
)]
pub(super) const PRESENCE: &[Member] = members!(
    Item::Event(Event::Presence { info, change: what, at, audience }) => {
        "user": Type::Text => Datum::Text(info.user.as_str());
        "online": Type::Flag => Datum::Flag(info.online);
        "status": Type::Choice(statuses) => Datum::Text(info.status.as_str());
        "last_seen" (optional): Type::Time => time(info.last_seen);
        "change": Type::Choice(changes) => Datum::Text(change(*what));
        "at": Type::Time => Datum::Time(*at);
    }
);

#[allow(
    unused_variables,
    reason = "each line takes what it needs of the pattern"
)]
pub(super) const UPDATED: &[Member] = members!(
    Item::Event(Event::ConversationUpdated { conversation, last_message }) => {
        "conversation": Type::Thing(Kind::Conversation) =>
            Datum::Thing(Item::Conversation(conversation));
        "last_message" (optional): Type::Thing(Kind::Message) => last_message
            .as_ref()
            .map_or(Datum::Absent, |m| Datum::Thing(Item::Message(m)));
    }
);

pub(super) const DELETED: &[Member] = members!(
    Item::Event(Event::ConversationDeleted { conversation, .. }) => {
        "conversation": Type::Text => Datum::Text(conversation.as_str());
    }
);

#[allow(
    unused_variables,
    reason = "each line takes what it needs of the pattern"
)]
pub(super) const REMOVED: &[Member] = members!(
    Item::Event(Event::ParticipantRemoved { conversation, user }) => {
        "conversation": Type::Text => Datum::Text(conversation.as_str());
        "user": Type::Text => Datum::Text(user.as_str());
    }
);

pub(super) const SENT: &[Member] = members!(Item::Sent(s) => {
    "message": Type::Thing(Kind::Message) => Datum::Thing(Item::Message(&s.message));
    "duplicate": Type::Flag => Datum::Flag(s.duplicate);
});

pub(super) const SYNCED: &[Member] = members!(Item::Synced(s) => {
    "conversations": Type::List(Kind::Joined) => Datum::List(List::Joined(&s.conversations));
    "messages": Type::List(Kind::Message) => Datum::List(List::JoinedMessages(&s.conversations));
    "gone": Type::TextList => Datum::List(List::ConversationIds(&s.gone));
});

pub(super) const FOUND: &[Member] = members!(Item::Found(page) => {
    "hits": Type::List(Kind::Hit) => Datum::List(List::Hits(&page.hits));
    "next" (optional): Type::Text => maybe(page.next.as_deref());
});

pub(super) const HIT: &[Member] = members!(Item::Hit(h) => {
    "message": Type::Thing(Kind::Message) => Datum::Thing(Item::Message(&h.message));
    "excerpt": Type::Text => Datum::Text(&h.excerpt);
    "spans": Type::List(Kind::Span) => Datum::List(List::Spans(&h.spans));
});

pub(super) const SPAN: &[Member] = members!(Item::Span(s) => {
    "start": Type::Number => Datum::Number(s.start.into());
    "end": Type::Number => Datum::Number(s.end.into());
});

pub(super) const AUTHENTICATED: &[Member] = members!(Item::Authenticated(at) => {
    "expires_at" (optional): Type::Time => time(at);
});

pub(super) const HELLO: &[Member] = members!(Item::Hello(h) => {
    "user": Type::Thing(Kind::Profile) => Datum::Thing(Item::Profile(h.profile));
    "device": Type::Text => Datum::Text(h.device);
    "now": Type::Time => Datum::Time(h.now);
});

pub(super) const ONLINE: &[Member] = members!(Item::Online(users) => {
    "users": Type::TextList => Datum::List(List::UserIds(users));
});

pub(super) const ERROR: &[Member] = members!(Item::Error(e) => {
    "code": Type::Choice(codes) => Datum::Text(e.code.as_str());
    "message": Type::Text => Datum::Text(&e.message);
    "retryable": Type::Flag => Datum::Flag(e.code.retryable());
    "retry_after_ms" (optional): Type::Number =>
        e.retry_after_ms().map_or(Datum::Absent, Datum::Number);
    "id" (optional): Type::Text => maybe(e.id.as_deref());
});
