//! Users and their presence: one online and one offline per user, however many devices.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures_util::StreamExt;
use serde_json::value::RawValue;

use super::{
    Absence, Actor, Chat, ChatError, ChatResult, Conversation, DeviceId, Envelope, Event, Millis,
    PresenceChange, PresenceInfo, PresenceNews, Profile, Reach, Status, UserId,
};

/// Users who hear of one user's presence at most.
const MAX_CONTACTS: u32 = 10_000;
/// Users who are announced at one time when many are at once, as those of a node that died.
const ANNOUNCED_AT_ONCE: usize = 16;
/// Users in one presence question at most.
const MAX_ASKED: usize = 500;

impl Chat {
    /// Records what a token told, and returns what is known of the user now.
    pub async fn introduce(&self, profile: &Profile) -> ChatResult<Profile> {
        Ok(self.store.upsert_user(profile, self.clock.now()).await?)
    }

    /// A connection is up. The user's first one is announced to those they talk with.
    pub async fn connected(&self, user: &UserId, device: &DeviceId) -> ChatResult<()> {
        if self.presence.enter(user, device).await? {
            let change = PresenceChange::Online;
            self.tell_presence(user, Some(device), change, Reach::Everybody)
                .await?;
        }
        Ok(())
    }

    /// A connection is gone. When it was the last one and none comes back within the grace, the
    /// user is announced offline.
    pub async fn disconnected(
        self: &Arc<Self>,
        user: &UserId,
        device: &DeviceId,
    ) -> ChatResult<()> {
        self.stop_typing_of(device);
        let Some(absence) = self.presence.leave(user, device).await? else {
            return Ok(());
        };
        let (chat, user) = (Arc::downgrade(self), user.clone());
        let grace = self.rules.presence_grace;
        // Not tracked: a node that stops hands its users over instead of waiting for the grace.
        tokio::spawn(async move {
            tokio::time::sleep(grace).await;
            let Some(chat) = chat.upgrade() else { return };
            if let Err(e) = chat.settle(&user, absence).await {
                e.log("could not announce a user offline");
            }
        });
        Ok(())
    }

    /// A connection says that its user is gone from it: as [`Chat::disconnected`], but without the
    /// grace, because nobody leaves by accident that way.
    pub async fn withdraw(&self, user: &UserId, device: &DeviceId) -> ChatResult<()> {
        self.stop_typing_of(device);
        match self.presence.leave(user, device).await? {
            Some(absence) => self.settle(user, absence).await,
            None => Ok(()),
        }
    }

    async fn settle(&self, user: &UserId, absence: Absence) -> ChatResult<()> {
        match self.presence.settle(user, absence).await? {
            true => {
                let news = PresenceNews {
                    user: user.clone(),
                    change: PresenceChange::Offline,
                    reach: Reach::Everybody,
                };
                self.pass_on(&news).await
            }
            false => Ok(()),
        }
    }

    /// Announces what happens to users without a connection of theirs coming or going here, for
    /// ever; the caller ends it by dropping the future.
    pub async fn watch_presence(&self) {
        loop {
            let changes = self.presence.changes().await;
            futures_util::stream::iter(changes)
                .for_each_concurrent(ANNOUNCED_AT_ONCE, async |news| {
                    if let Err(e) = self.pass_on(&news).await {
                        e.log("a user's presence could not be announced");
                    }
                })
                .await;
        }
    }

    async fn pass_on(&self, news: &PresenceNews) -> ChatResult<()> {
        let PresenceNews {
            user,
            change,
            reach,
        } = news;
        if *change == PresenceChange::Offline && !self.is_recorded(user, *reach).await? {
            self.store.set_last_seen(user, self.clock.now()).await?;
        }
        self.tell_presence(user, None, *change, *reach).await
    }

    /// Whether it was recorded that a user left, when the word of it was lost on its way here.
    async fn is_recorded(&self, user: &UserId, reach: Reach) -> ChatResult<bool> {
        let Reach::ThisNode { believed } = reach else {
            return Ok(false);
        };
        let believed = i64::try_from(believed.as_millis()).unwrap_or(i64::MAX);
        let since = Millis(self.clock.now().0.saturating_sub(believed));
        let seen = self.store.last_seen(std::slice::from_ref(user)).await?;
        Ok(seen.get(user).is_some_and(|seen| *seen >= since))
    }

    /// Sets the status that the actor shows on all devices.
    pub(super) async fn set_status(&self, actor: &Actor, status: Status) -> ChatResult<()> {
        let user = &actor.profile.id;
        if self.presence.set_status(user, status).await? {
            let (device, change) = (actor.device.as_ref(), PresenceChange::Status);
            self.tell_presence(user, device, change, Reach::Everybody)
                .await?;
        }
        Ok(())
    }

    async fn tell_presence(
        &self,
        user: &UserId,
        origin: Option<&DeviceId>,
        change: PresenceChange,
        reach: Reach,
    ) -> ChatResult<()> {
        self.announce_to(
            reach,
            Envelope {
                origin: None,
                event: Event::OnlineChanged,
            },
        );
        let mut audience = self.store.contacts(user, MAX_CONTACTS).await?;
        audience.push(user.clone());
        let Some(info) = self.whereabouts(std::slice::from_ref(user)).await?.pop() else {
            return Ok(());
        };
        let stale = match change {
            PresenceChange::Online => !info.online,
            PresenceChange::Offline => info.online,
            PresenceChange::Status => false,
        };
        let now = self.presence.get(std::slice::from_ref(user)).await?;
        if stale || now.first().is_some_and(|now| now.online != info.online) {
            // It changed meanwhile, and whoever changed it tells the newer truth.
            return Ok(());
        }
        let at = self.clock.now();
        let event = Event::Presence {
            info,
            change,
            at,
            audience: audience.into(),
        };
        self.announce_to(
            reach,
            Envelope {
                origin: origin.cloned(),
                event,
            },
        );
        Ok(())
    }

    fn announce_to(&self, reach: Reach, envelope: Envelope) {
        match reach {
            Reach::Everybody => self.announce(envelope, None),
            Reach::ThisNode { .. } => self.local.deliver(&envelope, None),
            // Nobody waits for the end.
            Reach::OtherNodes => drop(self.bus.publish(&envelope)),
        }
    }

    /// How these users are, as far as the actor may know: oneself and those one shares a
    /// conversation with. The others are left out.
    pub async fn presence(&self, actor: &Actor, users: &[UserId]) -> ChatResult<Vec<PresenceInfo>> {
        if users.len() > MAX_ASKED {
            return Err(ChatError::too_large(format!(
                "at most {MAX_ASKED} users at once"
            )));
        }
        if actor.service {
            return self.whereabouts(users).await;
        }
        let contacts = self.store.contacts(&actor.profile.id, MAX_CONTACTS).await?;
        let known: HashSet<_> = contacts.iter().chain([&actor.profile.id]).collect();
        let users: Vec<_> = users
            .iter()
            .filter(|u| known.contains(u))
            .cloned()
            .collect();
        self.whereabouts(&users).await
    }

    /// How these users are, whoever asks.
    pub async fn whereabouts(&self, users: &[UserId]) -> ChatResult<Vec<PresenceInfo>> {
        let mut infos = self.presence.get(users).await?;
        let away: Vec<_> = infos
            .iter()
            .filter(|i| !i.online)
            .map(|i| i.user.clone())
            .collect();
        if !away.is_empty() {
            let seen = self.store.last_seen(&away).await?;
            for info in infos.iter_mut().filter(|i| !i.online) {
                info.last_seen = seen.get(&info.user).copied();
            }
        }
        Ok(infos)
    }

    /// Adds to the participants how they are, in one question for all. Left out while whoever
    /// knows cannot be reached, because a conversation is worth having without it.
    pub async fn add_presence(&self, conversations: &mut [&mut Conversation]) {
        let participants = conversations.iter().flat_map(|c| &c.participants);
        let mut users: Vec<_> = participants.map(|p| p.profile.id.clone()).collect();
        users.sort_unstable();
        users.dedup();
        let infos = match self.presence.get(&users).await {
            Ok(infos) => infos,
            Err(e) => {
                tracing::warn!(cause = %e, "answering without presence");
                return;
            }
        };
        let known: HashMap<_, _> = infos.iter().map(|info| (&info.user, info)).collect();
        for conversation in conversations {
            for participant in &mut conversation.participants {
                participant.presence = known.get(&participant.profile.id).copied().cloned();
            }
        }
    }

    /// Users announced online, a page by id.
    pub async fn online(&self, after: Option<&UserId>, limit: u32) -> ChatResult<Vec<UserId>> {
        Ok(self.presence.online(after, limit.clamp(1, 1000)).await?)
    }

    /// Everyone online but those who wish to appear offline, by id; `None` if more than `max` are.
    pub async fn everyone_online(&self, max: u32) -> ChatResult<Option<Vec<UserId>>> {
        let online = self.presence.online(None, max.saturating_add(1)).await?;
        match online.len() > max as usize {
            true => Ok(None),
            false => Ok(Some(self.visible(&online).await?)),
        }
    }

    /// The user and those online whom they share a conversation with, but for those who wish to
    /// appear offline, at most `max`.
    pub async fn contacts_online(&self, user: &UserId, max: u32) -> ChatResult<Vec<UserId>> {
        let mut users = self.store.contacts(user, MAX_CONTACTS).await?;
        users.push(user.clone());
        users.sort();
        let mut online = self.visible(&users).await?;
        online.truncate(max as usize);
        Ok(online)
    }

    /// Those who show themselves online.
    async fn visible(&self, users: &[UserId]) -> ChatResult<Vec<UserId>> {
        let infos = self.presence.get(users).await?;
        let shown = infos
            .into_iter()
            .filter(|info| info.online && info.status != Status::Offline);
        Ok(shown.map(|info| info.user).collect())
    }

    /// A user's live connections.
    pub async fn devices(&self, user: &UserId) -> ChatResult<Vec<DeviceId>> {
        Ok(self.presence.devices(user).await?)
    }

    /// Sends a backend's own event to all connections of a user. At most once; nobody is told
    /// whether it arrived.
    pub fn emit_to(&self, user: UserId, name: Arc<str>, args: Arc<RawValue>) {
        self.announce(
            Envelope {
                origin: None,
                event: Event::Emit { user, name, args },
            },
            None,
        );
    }

    /// The present time.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }
}
