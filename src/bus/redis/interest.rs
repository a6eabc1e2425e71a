//! Which channels this node listens to, and which it should: what is counted, waited for and
//! lingering. It decides; [`subscriber`](super::subscriber) acts.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::Channel;

/// The channels wanted.
pub(super) struct Interest {
    linger: Duration,
    /// Subscribed on this connection and never on another one.
    witness: Option<Channel>,
    channels: HashMap<Channel, Entry>,
    /// Wanted, and not asked for on this connection.
    missing: BTreeSet<Channel>,
    /// Wanted by nobody since then, oldest first. Those wanted again stay in the queue and are
    /// passed over.
    idle: VecDeque<(Instant, Channel)>,
}

#[derive(Default)]
struct Entry {
    wanted: usize,
    /// Redis confirmed it on this connection.
    confirmed: bool,
    /// Since when nobody wants it.
    idle_since: Option<Instant>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Entry {
    fn tell(&mut self) {
        for waiting in self.waiting.drain(..) {
            // Whoever does not wait any more has gone.
            let _ = waiting.send(());
        }
    }
}

impl Interest {
    pub(super) fn new(linger: Duration) -> Self {
        Self {
            linger,
            witness: None,
            channels: HashMap::new(),
            missing: BTreeSet::new(),
            idle: VecDeque::new(),
        }
    }

    /// Channels that are known for what they bring, also those that linger.
    pub(super) fn len(&self) -> usize {
        self.channels.len() - usize::from(self.witness.is_some())
    }

    /// Somebody wants a channel. What it returns ends when Redis has confirmed it; `None`: it has.
    pub(super) fn add(&mut self, channel: Channel) -> Option<oneshot::Receiver<()>> {
        let entry = self.channels.entry(channel.clone()).or_default();
        entry.wanted += 1;
        entry.idle_since = None;
        if entry.confirmed {
            return None;
        }
        self.missing.insert(channel);
        let (confirm, confirmed) = oneshot::channel();
        entry.waiting.push(confirm);
        Some(confirmed)
    }

    /// Somebody wants a channel no more. `true`: nobody does.
    pub(super) fn remove(&mut self, channel: &Channel, now: Instant) -> bool {
        let Some(entry) = self.channels.get_mut(channel) else {
            return false;
        };
        entry.wanted = entry.wanted.saturating_sub(1);
        let idle = entry.wanted == 0;
        if idle {
            entry.idle_since = Some(now);
            self.idle.push_back((now, channel.clone()));
        }
        idle
    }

    /// Channels to ask Redis for now, at most so many. The witness comes before all others: when it is
    /// subscribed, each of them is on the same connection or on a later one.
    pub(super) fn take_missing(&mut self, limit: usize) -> Vec<Channel> {
        let witness = self.witness.as_ref();
        if let Some(witness) = witness.and_then(|w| self.missing.take(w)) {
            return vec![witness];
        }
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some(channel) = self.missing.pop_first()
        {
            taken.push(channel);
        }
        taken
    }

    /// These could not be asked for.
    pub(super) fn put_back(&mut self, channels: Vec<Channel>) {
        let wanted = channels.into_iter();
        self.missing
            .extend(wanted.filter(|c| self.channels.contains_key(c)));
    }

    /// Redis confirmed these.
    pub(super) fn confirm(&mut self, channels: &[Channel]) {
        for channel in channels {
            if let Some(entry) = self.channels.get_mut(channel) {
                entry.confirmed = true;
                entry.tell();
            }
        }
    }

    /// Channels that nobody has wanted for the time of lingering, at most so many. They are
    /// forgotten: the caller ends their subscription before it asks for any other.
    pub(super) fn take_idle(&mut self, now: Instant, limit: usize) -> Vec<Channel> {
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some((since, channel)) = self.idle.front()
            && now.duration_since(*since) >= self.linger
        {
            let idle = self.channels.get(channel).and_then(|e| e.idle_since);
            let gone = idle == Some(*since);
            if let Some((_, channel)) = self.idle.pop_front()
                && gone
            {
                self.channels.remove(&channel);
                self.missing.remove(&channel);
                taken.push(channel);
            }
        }
        taken
    }

    /// When [`Interest::take_idle`] may have something.
    pub(super) fn next_idle(&self) -> Option<Instant> {
        self.idle.front().map(|(since, _)| *since + self.linger)
    }

    /// For each of these channels whether this node listens to it, and the channel that Redis knows
    /// for as long as that holds; `None`: nothing is certain. Channels that linger do not count: they
    /// could be gone before the answer is used.
    pub(super) fn own(&self, channels: &[Channel]) -> Option<(Channel, Vec<bool>)> {
        let confirmed = |channel: &Channel| {
            let entry = self.channels.get(channel);
            entry.is_some_and(|e| e.confirmed && e.wanted > 0)
        };
        let witness = self.witness.as_ref().filter(|w| confirmed(w))?;
        Some((witness.clone(), channels.iter().map(confirmed).collect()))
    }

    /// The connection is another one: nothing is subscribed on it. A witness will be, and is wanted
    /// until the connection is another one again; without one nothing is ever certain.
    pub(super) fn forget(&mut self, witness: Option<Channel>) {
        if let Some(old) = self.witness.take() {
            self.channels.remove(&old);
            self.missing.remove(&old);
        }
        if let Some(witness) = witness {
            self.channels.entry(witness.clone()).or_default().wanted += 1;
            self.witness = Some(witness);
        }
        for (channel, entry) in &mut self.channels {
            entry.confirmed = false;
            self.missing.insert(channel.clone());
        }
    }

    /// Redis cannot confirm anything for now: nobody waits for it.
    pub(super) fn let_go(&mut self) {
        for entry in self.channels.values_mut() {
            entry.tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_secs(2);

    fn channel(name: &str) -> Channel {
        Channel::own(name.to_owned())
    }

    fn interest() -> Interest {
        Interest::new(LINGER)
    }

    #[test]
    fn a_channel_is_asked_for_once_and_confirmed_to_all() {
        let mut i = interest();
        let mut first = i.add(channel("a")).expect("not confirmed");
        let mut second = i.add(channel("a")).expect("not confirmed");
        assert_eq!(i.take_missing(10), [channel("a")]);
        assert!(i.take_missing(10).is_empty());
        assert!(first.try_recv().is_err());
        i.confirm(&[channel("a")]);
        assert_eq!((first.try_recv(), second.try_recv()), (Ok(()), Ok(())));
        assert!(i.add(channel("a")).is_none());
    }

    #[test]
    fn it_lingers_and_then_goes_unless_wanted_again() {
        let (mut i, now) = (interest(), Instant::now());
        for name in ["a", "b", "a"] {
            let _ = i.add(channel(name));
        }
        i.take_missing(10);
        i.confirm(&[channel("a"), channel("b")]);
        assert!(!i.remove(&channel("a"), now));
        assert!(i.remove(&channel("a"), now));
        assert!(i.remove(&channel("b"), now));
        assert_eq!(i.next_idle(), Some(now + LINGER));
        assert!(i.take_idle(now + LINGER / 2, 10).is_empty());
        assert!(i.add(channel("a")).is_none(), "it lingered");
        assert_eq!(i.take_idle(now + LINGER, 10), [channel("b")]);
        assert_eq!(i.len(), 1);
        // Idle again: the earlier time is not the one that counts.
        let later = now + LINGER;
        assert!(i.remove(&channel("a"), later));
        assert!(i.take_idle(later + LINGER / 2, 10).is_empty());
        assert_eq!(i.take_idle(later + LINGER, 10), [channel("a")]);
        assert_eq!(i.next_idle(), None);
        assert!(i.add(channel("a")).is_some(), "it is asked for anew");
    }

    #[test]
    fn another_connection_has_nothing() {
        let mut i = interest();
        let _ = i.add(channel("a"));
        i.take_missing(10);
        i.confirm(&[channel("a")]);
        i.forget(Some(channel("w:1")));
        let mut waiting = i.add(channel("a")).expect("not confirmed any more");
        assert_eq!(i.take_missing(10), [channel("w:1")]);
        assert_eq!(i.take_missing(10), [channel("a")]);
        i.let_go();
        assert_eq!(waiting.try_recv(), Ok(()));
    }

    #[test]
    fn what_is_not_wanted_any_more_is_not_asked_for() {
        let (mut i, now) = (interest(), Instant::now());
        let _ = i.add(channel("a"));
        i.remove(&channel("a"), now);
        i.take_idle(now + LINGER, 10);
        assert!(i.take_missing(10).is_empty());
    }

    #[test]
    fn what_is_wanted_and_confirmed_on_this_connection_is_certain() {
        let mut i = interest();
        let all = ["a", "b", "c", "d"].map(channel);
        assert_eq!(i.own(&all), None, "there is no connection");
        for name in ["a", "b", "c"] {
            let _ = i.add(channel(name));
        }
        i.forget(Some(channel("w:1")));
        i.confirm(&all[..2]);
        assert_eq!(i.own(&all), None, "the witness is not subscribed");
        i.confirm(&[channel("w:1")]);
        let own = |first, second| Some((channel("w:1"), vec![first, second, false, false]));
        assert_eq!(i.own(&all), own(true, true));
        i.remove(&channel("b"), Instant::now());
        assert_eq!(i.own(&all), own(true, false), "it lingers");

        i.forget(Some(channel("w:2")));
        assert_eq!(i.len(), 3, "it brings nothing");
        i.confirm(&all);
        assert_eq!(i.own(&all), None);
        let (first, rest) = (i.take_missing(10), i.take_missing(10));
        assert_eq!(
            first,
            [channel("w:2")],
            "before anything that it vouches for"
        );
        assert_eq!(
            rest,
            ["a", "b", "c"].map(channel),
            "and the old one never again"
        );
    }
}
