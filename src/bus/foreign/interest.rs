//! Which channels of other backends this node listens to: those of rooms with connections here, and
//! the few that concern everybody.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// How long a channel is listened to after the last one who wanted it: people come back at once.
const LINGER: Duration = Duration::from_secs(2);

/// What is wanted and what is so.
pub struct Interest {
    state: Mutex<State>,
    changed: Notify,
    /// The number of the newest wish that has come true, with all before it.
    done: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    wanted: HashMap<String, usize>,
    /// Listened to, as far as is known.
    active: HashSet<String>,
    /// Wanted, and perhaps not listened to yet.
    fresh: Vec<String>,
    /// Not wanted since.
    idle: VecDeque<(Instant, String)>,
    wishes: u64,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Channels to listen to.
    pub add: Vec<String>,
    /// Channels to listen to no more.
    pub remove: Vec<String>,
    /// The newest wish that this makes true.
    wish: u64,
}

impl Interest {
    /// These channels for ever.
    pub fn new(always: Vec<String>) -> Self {
        let mut state = State::default();
        for channel in always {
            state.want(channel);
        }
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
            done: watch::Sender::new(0),
        }
    }

    /// Wants a channel once more. Ends when it is listened to, or after `patience`.
    pub async fn want(&self, channel: String, patience: Duration) {
        let Some(wish) = self.state.lock().want(channel) else {
            return;
        };
        self.changed.notify_one();
        let mut done = self.done.subscribe();
        // It goes on being tried.
        let _ = tokio::time::timeout(patience, done.wait_for(|done| *done >= wish)).await;
    }

    /// Wants a channel once less.
    pub fn unwant(&self, channel: &str) {
        if self.state.lock().unwant(channel, Instant::now()) {
            self.changed.notify_one();
        }
    }

    /// Waits until something may be to be done.
    pub async fn changed(&self) {
        let due = self
            .state
            .lock()
            .idle
            .front()
            .map(|(since, _)| *since + LINGER);
        match due {
            Some(due) => {
                let _ = tokio::time::timeout_at(due, self.changed.notified()).await;
            }
            None => self.changed.notified().await,
        }
    }

    /// Nothing is listened to any more: all of it is to be done anew.
    pub fn lost(&self) {
        let mut state = self.state.lock();
        state.active.clear();
        state.idle.clear();
        state.fresh = state.wanted.keys().cloned().collect();
        self.changed.notify_one();
    }

    /// What is to be done now.
    pub fn step(&self) -> Step {
        self.state.lock().step(Instant::now())
    }

    /// It was done.
    pub fn done(&self, step: Step) {
        self.state.lock().active.extend(step.add);
        self.done.send_replace(step.wish);
    }

    /// It failed, and must be done again.
    pub fn failed(&self, step: Step) {
        let mut state = self.state.lock();
        state.fresh.extend(step.add);
        let now = Instant::now();
        for channel in step.remove {
            state.active.insert(channel.clone());
            state.idle.push_back((now, channel));
        }
    }
}

impl State {
    /// The number of the wish, if it has yet to come true.
    fn want(&mut self, channel: String) -> Option<u64> {
        let count = self.wanted.entry(channel.clone()).or_default();
        *count += 1;
        if self.active.contains(&channel) {
            return None;
        }
        self.fresh.push(channel);
        self.wishes += 1;
        Some(self.wishes)
    }

    /// Whether nobody wants it any more.
    fn unwant(&mut self, channel: &str, now: Instant) -> bool {
        let Some(count) = self.wanted.get_mut(channel) else {
            return false;
        };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        self.wanted.remove(channel);
        self.idle.push_back((now, channel.to_owned()));
        true
    }

    fn step(&mut self, now: Instant) -> Step {
        let mut step = Step {
            wish: self.wishes,
            ..Step::default()
        };
        let mut seen = HashSet::new();
        for channel in std::mem::take(&mut self.fresh) {
            let open = self.wanted.contains_key(&channel) && !self.active.contains(&channel);
            if open && seen.insert(channel.clone()) {
                step.add.push(channel);
            }
        }
        while let Some((since, _)) = self.idle.front()
            && *since + LINGER <= now
        {
            let Some((_, channel)) = self.idle.pop_front() else {
                break;
            };
            if !self.wanted.contains_key(&channel) && self.active.remove(&channel) {
                step.remove.push(channel);
            }
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(channels: &[&str]) -> Vec<String> {
        channels.iter().map(|c| (*c).to_owned()).collect()
    }

    fn want(interest: &Interest, channel: &str) -> Option<u64> {
        interest.state.lock().want(channel.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn channels_are_counted_and_linger() {
        let interest = Interest::new(names(&["all"]));
        want(&interest, "a");
        want(&interest, "a");
        let step = interest.step();
        assert_eq!(step.add, ["all", "a"]);
        interest.done(step);
        assert_eq!(want(&interest, "a"), None, "is so already");
        for _ in 0..3 {
            interest.unwant("a");
        }
        assert_eq!(interest.step().remove, names(&[]));
        tokio::time::advance(LINGER).await;
        let step = interest.step();
        assert_eq!(
            (&step.add[..], &step.remove[..]),
            (&[][..], &names(&["a"])[..])
        );
        interest.done(step);
        assert!(want(&interest, "a").is_some());
        assert_eq!(interest.step().add, ["a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_back_soon_costs_nothing() {
        let interest = Interest::new(names(&["a"]));
        interest.done(interest.step());
        interest.unwant("a");
        want(&interest, "a");
        tokio::time::advance(LINGER).await;
        assert_eq!(interest.step().remove, names(&[]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_or_was_lost_is_done_again() {
        let interest = Interest::new(names(&["a"]));
        interest.failed(interest.step());
        let step = interest.step();
        assert_eq!(step.add, ["a"]);
        interest.done(step);
        interest.lost();
        let step = interest.step();
        assert_eq!(step.add, ["a"]);
        interest.done(step);
        interest.unwant("a");
        tokio::time::advance(LINGER).await;
        interest.failed(interest.step());
        tokio::time::advance(LINGER).await;
        assert_eq!(interest.step().remove, ["a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_waits_until_it_is_true_or_patience_ends() {
        let interest = Interest::new(Vec::new());
        let before = Instant::now();
        interest.want("a".into(), Duration::from_secs(1)).await;
        assert_eq!(before.elapsed().as_secs(), 1);
        let both = tokio::join!(interest.want("b".into(), Duration::from_secs(9)), async {
            tokio::task::yield_now().await;
            interest.done(interest.step());
        });
        let ((), ()) = both;
        assert_eq!(before.elapsed().as_secs(), 1);
    }
}
