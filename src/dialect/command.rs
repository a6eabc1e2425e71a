//! What a dialect file may bind arguments to: the commands with their fields, and how a command is
//! made of them.
//!
//! A new command of the domain becomes available to every dialect file by one entry here.

use std::{collections::BTreeMap, sync::Arc};

use crate::chat::{
    ChatError, Command, ReceiptTarget, Recipient, Reply, SearchMessages, SendMessage,
};

use super::{
    bind::{Arguments, Failure},
    vocabulary::{Item, Kind},
};

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldType {
    /// A conversation's id.
    Id,
    /// A user's id.
    User,
    /// A message's id, or a list of them.
    Ids,
    /// Any text.
    Text,
    /// A text of 1 to 128 characters without control characters.
    Key,
    /// A user's status.
    Status,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Flag,
    /// A JSON object, as it came.
    Object,
    /// A list of uploads, each by its id, by its URL or by an object that has one of them.
    Uploads,
    /// An object of whole numbers by conversation id.
    Numbers,
}

/// A field of a command.
pub(super) struct Field {
    pub name: &'static str,
    pub ty: FieldType,
    pub required: bool,
}

/// A command as dialect files see it.
pub(super) struct Spec {
    pub name: &'static str,
    pub fields: &'static [Field],
    /// Of these, one at least must be bound; none if empty.
    pub any_of: &'static [&'static str],
    /// What its ack and its answers see.
    pub reply: Kind,
    /// Makes the command. Fields are asked for by their place in `fields`.
    pub build: fn(&Arguments<'_, '_>) -> Result<Command, Failure>,
}

const fn field(name: &'static str, ty: FieldType, required: bool) -> Field {
    Field { name, ty, required }
}

/// The command from which on a connection follows its user's conversations.
pub(super) const INTRODUCE: &str = "introduce";

const CONVERSATION: Field = field("conversation", FieldType::Id, true);
const USER: &[Field] = &[field("user", FieldType::User, false)];
const RECEIPT: &[Field] = &[
    field("conversation", FieldType::Id, false),
    field("messages", FieldType::Ids, false),
];

/// Every command.
pub(super) const COMMANDS: [Spec; 13] = [
    Spec {
        name: "join",
        fields: &[
            CONVERSATION,
            field("after", FieldType::Number, false),
            field("before", FieldType::Number, false),
        ],
        any_of: &[],
        reply: Kind::Joined,
        build: |args| {
            Ok(Command::Join {
                conversation: args.required(0, Arguments::id)?,
                after: args.number(1)?,
                before: args.number(2)?,
            })
        },
    },
    Spec {
        name: "leave",
        fields: &[CONVERSATION],
        any_of: &[],
        reply: Kind::Done,
        build: |args| {
            Ok(Command::Leave {
                conversation: args.required(0, Arguments::id)?,
            })
        },
    },
    Spec {
        name: "send",
        fields: &[
            field("conversation", FieldType::Id, false),
            field("content", FieldType::Text, true),
            field("kind", FieldType::Text, false),
            field("client_id", FieldType::Key, false),
            field("metadata", FieldType::Object, false),
            field("receiver", FieldType::User, false),
            field("attachments", FieldType::Uploads, false),
        ],
        any_of: &["conversation", "receiver"],
        reply: Kind::Sent,
        build: |args| {
            let to = recipient(args)?;
            let attachments = args.uploads(6)?.unwrap_or_default();
            let content = match args.text(1)? {
                Some(content) => content,
                None if attachments.is_empty() => return Err(args.missing(1)),
                None => Arc::default(),
            };
            Ok(Command::Send(SendMessage {
                to,
                content,
                attachments,
                kind: args.text(2)?,
                client_id: args.key(3)?,
                metadata: args.object(4)?,
            }))
        },
    },
    Spec {
        name: "read",
        fields: RECEIPT,
        any_of: &["conversation", "messages"],
        reply: Kind::Done,
        build: |args| receipt(args).map(Command::Read),
    },
    Spec {
        name: "delivered",
        fields: RECEIPT,
        any_of: &["conversation", "messages"],
        reply: Kind::Done,
        build: |args| receipt(args).map(Command::Delivered),
    },
    Spec {
        name: "typing",
        fields: &[CONVERSATION, field("on", FieldType::Flag, true)],
        any_of: &[],
        reply: Kind::Done,
        build: |args| {
            Ok(Command::Typing {
                conversation: args.required(0, Arguments::id)?,
                on: args.required(1, Arguments::flag)?,
            })
        },
    },
    Spec {
        name: "set_status",
        fields: &[field("status", FieldType::Status, true)],
        any_of: &[],
        reply: Kind::Done,
        build: |args| Ok(Command::SetStatus(args.required(0, Arguments::status)?)),
    },
    Spec {
        name: "authenticate",
        fields: &[field("token", FieldType::Text, true)],
        any_of: &[],
        reply: Kind::Authenticated,
        build: |args| {
            let token: Arc<str> = args.required(0, Arguments::text)?;
            Ok(Command::Authenticate {
                token: token.as_ref().to_owned(),
            })
        },
    },
    Spec {
        name: "sync",
        fields: &[field("conversations", FieldType::Numbers, true)],
        any_of: &[],
        reply: Kind::Synced,
        build: |args| {
            let conversations: BTreeMap<_, _> = args.required(0, Arguments::numbers)?;
            Ok(Command::Sync { conversations })
        },
    },
    Spec {
        name: "search",
        fields: &[
            field("query", FieldType::Text, true),
            field("conversation", FieldType::Id, false),
            field("cursor", FieldType::Text, false),
            field("limit", FieldType::Number, false),
        ],
        any_of: &[],
        reply: Kind::Found,
        build: |args| {
            Ok(Command::Search(SearchMessages {
                query: args.required(0, Arguments::text)?,
                conversation: args.id(1)?,
                cursor: args.text(2)?,
                limit: args
                    .number(3)?
                    .map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
            }))
        },
    },
    Spec {
        name: INTRODUCE,
        fields: USER,
        any_of: &[],
        reply: Kind::Done,
        build: |args| {
            Ok(Command::Introduce {
                user: args.user(0)?,
            })
        },
    },
    Spec {
        name: "withdraw",
        fields: &[],
        any_of: &[],
        reply: Kind::Done,
        build: |_| Ok(Command::Withdraw),
    },
    Spec {
        name: "heartbeat",
        fields: &[],
        any_of: &[],
        reply: Kind::Done,
        build: |_| Ok(Command::Heartbeat),
    },
];

/// A message must go somewhere: into a conversation, to somebody, or both.
fn recipient(args: &Arguments<'_, '_>) -> Result<Recipient, Failure> {
    let (conversation, receiver) = (args.id(0)?, args.user(5)?);
    match (receiver, conversation) {
        (Some(user), conversation) => Ok(Recipient::User { user, conversation }),
        (None, Some(conversation)) => Ok(Recipient::Conversation(conversation)),
        (None, None) => Err(args.none_of(&[0, 5])),
    }
}

/// A receipt must say something: which messages, or all of which conversation.
fn receipt(args: &Arguments<'_, '_>) -> Result<ReceiptTarget, Failure> {
    let target = ReceiptTarget {
        conversation: args.id(0)?,
        messages: args.ids(1)?.unwrap_or_default(),
    };
    if target.conversation.is_none() && target.messages.is_empty() {
        return Err(args.none_of(&[0, 1]));
    }
    Ok(target)
}

/// What the templates of an answer to `reply` see.
pub(super) fn reply_item(reply: &Reply) -> Item<'_> {
    match reply {
        Reply::Joined(joined) => Item::Joined(joined),
        Reply::Sent(sent) => Item::Sent(sent),
        Reply::Synced(synced) => Item::Synced(synced),
        Reply::Found(page) => Item::Found(page),
        Reply::Authenticated { expires_at } => Item::Authenticated(*expires_at),
        Reply::Done => Item::Nothing,
    }
}

/// The refusal of a value that a field cannot hold.
pub(super) fn invalid(label: &str, must: &str) -> ChatError {
    ChatError::invalid(format!("{label}: {must}"))
}
