//! How what the gateway knows stands on the wire. New fields go to the end of an event, never into
//! the middle: nodes of two versions run together during an upgrade.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::bytes::{Garbage, Put, Take, Taken};
use crate::chat::{
    Attachment, Conversation, ConversationId, Dimensions, Message, MessageId, Millis, Order,
    Participant, PresenceChange, PresenceInfo, Profile, Receipt, Role, Status, UploadId, UserId,
};

fn put_text(put: &mut Put, text: &Arc<str>) {
    put.text(text);
}

fn put_time(put: &mut Put, time: Millis) {
    put.signed(time.0);
}

fn take_time(take: &mut Take<'_>) -> Taken<Millis> {
    take.signed().map(Millis)
}

pub(super) fn put_raw(put: &mut Put, json: &RawValue) {
    put.text(json.get());
}

pub(super) fn take_raw(take: &mut Take<'_>) -> Taken<Arc<RawValue>> {
    let json = RawValue::from_string(take.str()?.to_owned());
    json.map(Arc::from).map_err(|_| Garbage)
}

pub(super) fn put_profile(put: &mut Put, profile: &Profile) {
    put.text(profile.id.as_str());
    put.text(&profile.name);
    put.option(profile.email.as_ref(), put_text);
    put.option(profile.avatar.as_ref(), put_text);
}

pub(super) fn take_profile(take: &mut Take<'_>) -> Taken<Profile> {
    Ok(Profile {
        id: take.parsed(UserId::new)?,
        name: take.text()?,
        email: take.option(Take::text)?,
        avatar: take.option(Take::text)?,
    })
}

pub(super) fn put_message(put: &mut Put, message: &Message) {
    put.text(message.id.as_str());
    put.text(message.conversation.as_str());
    put.number(message.seq);
    put_profile(put, &message.sender);
    put.option(message.client_id.as_ref(), put_text);
    put.text(&message.kind);
    put.text(&message.content);
    put.list(&message.attachments, put_attachment);
    put.option(message.metadata.as_deref(), put_raw);
    put_time(put, message.created_at);
}

pub(super) fn take_message(take: &mut Take<'_>) -> Taken<Arc<Message>> {
    Ok(Arc::new(Message {
        id: take.parsed(MessageId::new)?,
        conversation: take.parsed(ConversationId::new)?,
        seq: take.number()?,
        sender: take_profile(take)?,
        client_id: take.option(Take::text)?,
        kind: take.text()?,
        content: take.text()?,
        attachments: take.list(take_attachment)?.into(),
        metadata: take.option(take_raw)?,
        created_at: take_time(take)?,
    }))
}

fn put_attachment(put: &mut Put, file: &Attachment) {
    put.text(file.id.as_str());
    put.text(&file.name);
    put.text(&file.media_type);
    put.number(file.size);
    put.option(file.dimensions, |put, d| {
        put.number(d.width.into());
        put.number(d.height.into());
    });
    put.flag(file.thumbnail_url.is_some());
}

fn take_attachment(take: &mut Take<'_>) -> Taken<Attachment> {
    Ok(Attachment::new(
        take.parsed(UploadId::new)?,
        take.text()?,
        take.text()?,
        take.number()?,
        take.option(|take| {
            Ok(Dimensions {
                width: take.small()?,
                height: take.small()?,
            })
        })?,
        take.flag()?,
    ))
}

pub(super) fn put_receipt(put: &mut Put, receipt: &Receipt) {
    put.text(receipt.conversation.as_str());
    put.text(receipt.message.as_str());
    put.number(receipt.seq);
    put.text(receipt.sender.as_str());
    put_profile(put, &receipt.by);
    put_time(put, receipt.at);
}

pub(super) fn take_receipt(take: &mut Take<'_>) -> Taken<Arc<Receipt>> {
    Ok(Arc::new(Receipt {
        conversation: take.parsed(ConversationId::new)?,
        message: take.parsed(MessageId::new)?,
        seq: take.number()?,
        sender: take.parsed(UserId::new)?,
        by: take_profile(take)?,
        at: take_time(take)?,
    }))
}

pub(super) fn put_presence(put: &mut Put, info: &PresenceInfo, change: PresenceChange, at: Millis) {
    put.text(info.user.as_str());
    put.flag(info.online);
    put.text(info.status.as_str());
    put.option(info.last_seen, put_time);
    put.byte(match change {
        PresenceChange::Online => 0,
        PresenceChange::Offline => 1,
        PresenceChange::Status => 2,
    });
    put_time(put, at);
}

pub(super) fn take_presence(take: &mut Take<'_>) -> Taken<(PresenceInfo, PresenceChange, Millis)> {
    let info = PresenceInfo {
        user: take.parsed(UserId::new)?,
        online: take.flag()?,
        status: take.parsed(|text| Status::parse(text).ok_or(Garbage))?,
        last_seen: take.option(take_time)?,
    };
    let change = match take.byte()? {
        0 => PresenceChange::Online,
        1 => PresenceChange::Offline,
        2 => PresenceChange::Status,
        _ => return Err(Garbage),
    };
    Ok((info, change, take_time(take)?))
}

pub(super) fn put_order(put: &mut Put, order: &Order) {
    put.signed(order.version);
    put.text(&order.subject.to_string());
    put_time(put, order.issued_before);
    put_time(put, order.ends_at);
}

/// `None`: its subject is of a kind that is not known.
pub(super) fn take_order(take: &mut Take<'_>) -> Taken<Option<Order>> {
    let version = take.signed()?;
    let subject = take.str()?.parse();
    let (issued_before, ends_at) = (take_time(take)?, take_time(take)?);
    Ok(subject.ok().map(|subject| Order {
        version,
        subject,
        issued_before,
        ends_at,
    }))
}

pub(super) fn put_conversation(put: &mut Put, conversation: &Conversation) {
    put.text(conversation.id.as_str());
    put.option(conversation.title.as_ref(), put_text);
    put.flag(conversation.is_group);
    put.number(conversation.last_seq);
    put_time(put, conversation.created_at);
    put_time(put, conversation.updated_at);
    put.list(&conversation.participants, |put, p| {
        put_profile(put, &p.profile);
        put.flag(p.role == Role::Admin);
        put_time(put, p.joined_at);
        put.number(p.read_seq);
        put.option(p.read_at, put_time);
        put.number(p.delivered_seq);
        put.option(p.last_seen, put_time);
    });
}

pub(super) fn take_conversation(take: &mut Take<'_>) -> Taken<Arc<Conversation>> {
    Ok(Arc::new(Conversation {
        id: take.parsed(ConversationId::new)?,
        title: take.option(Take::text)?,
        is_group: take.flag()?,
        last_seq: take.number()?,
        created_at: take_time(take)?,
        updated_at: take_time(take)?,
        participants: take.list(|take| {
            Ok(Participant {
                // Not told over the bus: it changes by itself.
                presence: None,
                profile: take_profile(take)?,
                role: match take.flag()? {
                    true => Role::Admin,
                    false => Role::Member,
                },
                joined_at: take_time(take)?,
                read_seq: take.number()?,
                read_at: take.option(take_time)?,
                delivered_seq: take.number()?,
                last_seen: take.option(take_time)?,
            })
        })?,
    }))
}
