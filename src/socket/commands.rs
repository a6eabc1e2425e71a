//! One inbound event from decoding to its ack.

use std::{collections::BTreeMap, sync::Arc};

use super::{follow, inbound::Raw, server::Edge, session::Session};
use crate::{
    chat::{ChatError, ChatResult, Command, ConversationId, ErrorCode, MAX_SYNC, Reply},
    dialect::{self, Inbound, Refused},
    telemetry,
};

/// Decodes, runs and answers an event.
pub async fn handle(session: &Arc<Session>, edge: &Edge, raw: Raw) {
    let Inbound { rule, command, .. } = match decode(session, &raw) {
        Ok(inbound) => inbound,
        Err(refused) => return refuse_undecoded(session, &raw, &refused),
    };
    let name = name_of(&command);
    metrics::counter!(telemetry::EVENTS_IN_TOTAL, "command" => name).increment(1);
    match run(session, edge, command).await {
        Ok(done) => {
            for event in session.dialect.answer(rule, &done.reply) {
                session.tell(event);
            }
            if let Some(id) = raw.ack {
                session.ack(id, session.dialect.ack(rule, &done.reply));
            }
            // Live events follow the answer that they carry on from.
            for (conversation, last_seq) in done.entered {
                edge.hub.activate(&conversation, session, last_seq);
            }
        }
        Err(error) => {
            error.log("an event failed");
            metrics::counter!(telemetry::EVENTS_REFUSED_TOTAL, "code" => error.code.as_str())
                .increment(1);
            session.refuse(raw.ack, Some(rule), &error);
        }
    }
    metrics::histogram!(telemetry::ACK_SECONDS, "command" => name)
        .record(raw.at.elapsed().as_secs_f64());
}

fn decode(session: &Session, raw: &Raw) -> Result<Inbound, Refused> {
    if raw.binary {
        let error = ChatError::invalid("binary attachments are not supported, send text");
        return Err(Refused {
            rule: None,
            error,
            unknown_event: false,
        });
    }
    let inbound = session.dialect.decode(&raw.data)?;
    match &inbound.claimed {
        Some(claimed) if claimed != &session.actor.profile.id => Err(Refused {
            rule: Some(inbound.rule),
            error: ChatError::forbidden("the event names another user than your token"),
            unknown_event: false,
        }),
        _ => Ok(inbound),
    }
}

fn refuse_undecoded(session: &Session, raw: &Raw, refused: &Refused) {
    let code = if refused.unknown_event {
        "unknown_event"
    } else {
        refused.error.code.as_str()
    };
    metrics::counter!(telemetry::EVENTS_REFUSED_TOTAL, "code" => code).increment(1);
    if refused.unknown_event {
        tracing::debug!(
            event = dialect::event_of(&raw.data),
            dialect = session.dialect.name(),
            device = %session.device,
            "unknown event"
        );
        if raw.ack.is_none() {
            // Applications emit events for other servers too; without an ack nobody waits.
            return;
        }
    }
    session.refuse(raw.ack, refused.rule, &refused.error);
}

/// A command that was carried out.
struct Done {
    reply: Reply,
    /// Rooms entered, each with the seq after which live events carry on.
    entered: Vec<(ConversationId, u64)>,
}

impl From<Reply> for Done {
    fn from(reply: Reply) -> Self {
        Self {
            reply,
            entered: Vec::new(),
        }
    }
}

async fn run(session: &Arc<Session>, edge: &Edge, command: Command) -> ChatResult<Done> {
    match command {
        Command::Join {
            conversation,
            after,
            before,
        } => join(session, edge, conversation, (before, after)).await,
        Command::Leave { conversation } => {
            edge.hub.leave(&conversation, session);
            Ok(Reply::Done.into())
        }
        Command::Sync { conversations } => sync(session, edge, conversations).await,
        Command::Authenticate { token } => authenticate(session, edge, &token).await,
        Command::Introduce { user } => {
            if user.is_some_and(|user| user != session.actor.profile.id) {
                return Err(ChatError::forbidden("this is not the connection's user"));
            }
            introduce(session, edge).await?;
            edge.hub.roster.tell_again(session);
            Ok(Reply::Done.into())
        }
        Command::Withdraw => {
            follow::stop(session, edge);
            edge.chat
                .withdraw(&session.actor.profile.id, &session.device)
                .await?;
            Ok(Reply::Done.into())
        }
        command => {
            if matches!(command, Command::Send(_)) {
                edge.limits
                    .message(&session.actor.profile.id)
                    .map_err(ChatError::rate_limited)?;
            }
            let in_room = match &command {
                Command::Typing { conversation, .. } => session.rooms.lock().contains(conversation),
                _ => false,
            };
            edge.chat
                .run(&session.actor, command, in_room)
                .await
                .map(Done::from)
        }
    }
}

/// The connection is ready to hear its user's messages. Saying it again changes nothing.
async fn introduce(session: &Arc<Session>, edge: &Edge) -> ChatResult<()> {
    let (user, device) = (&session.actor.profile.id, &session.device);
    if session.dialect.follows() {
        follow::start(session, edge).await;
    }
    edge.chat.connected(user, device).await?;
    if session.is_gone() {
        // Its end was handled meanwhile, and will not come by again.
        edge.chat.disconnected(user, device).await?;
    }
    Ok(())
}

async fn join(
    session: &Arc<Session>,
    edge: &Edge,
    conversation: ConversationId,
    page: (Option<u64>, Option<u64>),
) -> ChatResult<Done> {
    // First into the room, then the snapshot: nothing committed in between can be missed.
    let fresh = edge.hub.enter(&conversation, session).await;
    match edge
        .chat
        .open(&session.actor, &conversation, page, None)
        .await
    {
        Ok(mut joined) => {
            if session.dialect.shows_presence() {
                edge.chat
                    .add_presence(&mut [&mut joined.conversation])
                    .await;
            }
            edge.hub.admit(&conversation, session);
            let entered = vec![(conversation, joined.last_seq)];
            Ok(Done {
                reply: Reply::Joined(Box::new(joined)),
                entered,
            })
        }
        Err(e) => {
            // Who was in already stays in, unless it turned out that they may not be.
            if fresh || matches!(e.code, ErrorCode::Forbidden | ErrorCode::NotFound) {
                edge.hub.leave(&conversation, session);
            }
            Err(e)
        }
    }
}

async fn sync(
    session: &Arc<Session>,
    edge: &Edge,
    conversations: BTreeMap<ConversationId, u64>,
) -> ChatResult<Done> {
    if conversations.len() > MAX_SYNC {
        return Err(ChatError::too_large(format!(
            "at most {MAX_SYNC} conversations in a sync"
        )));
    }
    let mut fresh = Vec::new();
    for id in conversations.keys() {
        if edge.hub.enter(id, session).await {
            fresh.push(id.clone());
        }
    }
    match edge.chat.sync(&session.actor, conversations).await {
        Ok(mut synced) => {
            if session.dialect.shows_presence() {
                let joined = synced.conversations.iter_mut();
                let mut shown: Vec<_> = joined.map(|j| &mut j.conversation).collect();
                edge.chat.add_presence(&mut shown).await;
            }
            for id in &synced.gone {
                edge.hub.leave(id, session);
            }
            for joined in &synced.conversations {
                edge.hub.admit(&joined.conversation.id, session);
            }
            let entered = synced
                .conversations
                .iter()
                .map(|j| (j.conversation.id.clone(), j.last_seq));
            Ok(Done {
                entered: entered.collect(),
                reply: Reply::Synced(synced),
            })
        }
        Err(e) => {
            leave_all(session, edge, &fresh);
            Err(e)
        }
    }
}

fn leave_all(session: &Arc<Session>, edge: &Edge, rooms: &[ConversationId]) {
    for id in rooms {
        edge.hub.leave(id, session);
    }
}

async fn authenticate(session: &Arc<Session>, edge: &Edge, token: &str) -> ChatResult<Done> {
    let identity = edge.auth.verify(token).await?;
    if identity.profile.id != session.actor.profile.id {
        return Err(ChatError::forbidden("the token belongs to another user"));
    }
    session.renew(identity.expires_at, identity.proof);
    edge.expiry.watch(session);
    // What was revoked while the token was being verified did not find it here.
    edge.hub.mind(session);
    Ok(Reply::Authenticated {
        expires_at: identity.expires_at,
    }
    .into())
}

fn name_of(command: &Command) -> &'static str {
    match command {
        Command::Join { .. } => "join",
        Command::Leave { .. } => "leave",
        Command::Send(_) => "send",
        Command::Read(_) => "read",
        Command::Delivered(_) => "delivered",
        Command::Typing { .. } => "typing",
        Command::SetStatus(_) => "status",
        Command::Authenticate { .. } => "authenticate",
        Command::Sync { .. } => "sync",
        Command::Search(_) => "search",
        Command::Introduce { .. } => "introduce",
        Command::Withdraw => "withdraw",
        Command::Heartbeat => "heartbeat",
    }
}
