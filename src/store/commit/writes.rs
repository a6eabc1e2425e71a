//! From a plan to the rows that it writes.

use std::collections::BTreeMap;

use super::{
    super::{
        attachments,
        batch::{Batch, Writes},
        engine::Column,
        rows::stored_seq,
    },
    Plan,
};
use crate::chat::{Message, OutboxId};

impl Plan {
    /// The rows of all that was decided, and of what a batch takes along.
    pub(super) fn writes<'a>(&'a self, batch: &'a Batch, cleared: &[OutboxId]) -> Writes<'a> {
        let new = || self.new.iter();
        let texts = |of: fn(&Message) -> &str| Column::Texts(new().map(|m| of(m)).collect());
        let maybe =
            |of: fn(&Message) -> Option<&str>| Column::MaybeTexts(new().map(|m| of(m)).collect());
        let grown = || {
            let rooms = self.rooms.iter();
            rooms.filter_map(|(id, room)| Some((id, room, room.newest?)))
        };
        let moved = || self.cursors.iter().filter(|(_, c)| c.moved);
        let mut last_seen = BTreeMap::<&str, i64>::new();
        for seen in &batch.last_seen {
            let at = last_seen.entry(seen.user.as_str()).or_default();
            *at = seen.at.0.max(*at);
        }
        Writes {
            messages: [
                texts(|m| m.id.as_str()),
                texts(|m| m.conversation.as_str()),
                Column::Ints(new().map(|m| stored_seq(m.seq)).collect()),
                texts(|m| m.sender.id.as_str()),
                maybe(|m| m.client_id.as_deref()),
                texts(|m| &m.kind),
                texts(|m| &m.content),
                Column::OwnTexts(new().map(|m| attachments::encode(&m.attachments)).collect()),
                maybe(|m| m.metadata.as_ref().map(|json| json.get())),
                Column::Ints(new().map(|m| m.created_at.0).collect()),
            ],
            conversations: [
                Column::Texts(grown().map(|(id, _, _)| id.as_str()).collect()),
                Column::Ints(grown().map(|(_, r, _)| stored_seq(r.last_seq)).collect()),
                Column::Ints(grown().map(|(_, _, at)| at.0).collect()),
                Column::Ints(grown().map(|(_, r, _)| stored_seq(r.before)).collect()),
                Column::Ints(grown().map(|(_, r, _)| r.version).collect()),
            ],
            participants: [
                Column::Texts(moved().map(|((c, _), _)| c.as_str()).collect()),
                Column::Texts(moved().map(|((_, u), _)| u.as_str()).collect()),
                Column::Ints(moved().map(|(_, c)| stored_seq(c.read)).collect()),
                Column::Ints(moved().map(|(_, c)| stored_seq(c.delivered)).collect()),
                Column::Ints(
                    moved()
                        .map(|(_, c)| c.read_at.map_or(0, |at| at.0))
                        .collect(),
                ),
                Column::Ints(
                    moved()
                        .map(|(_, c)| stored_seq(c.delivered_before))
                        .collect(),
                ),
            ],
            last_seen: [
                Column::Texts(last_seen.keys().copied().collect()),
                Column::Ints(last_seen.into_values().collect()),
            ],
            cleared: cleared.iter().map(|id| id.0).collect(),
        }
    }
}
