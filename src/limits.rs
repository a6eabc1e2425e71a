//! How much anybody may ask of this node.
//!
//! Rates are token buckets (GCRA): `*_burst` at once, then `*_per_second` evenly. Numbers of
//! connections are counted while a [`Slot`] is held. Everything is this node's own: with several
//! nodes a user may have as much on each. Every refusal is counted in [`RATE_LIMITED_TOTAL`] under
//! the limit's name.

use std::{
    fmt,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use dashmap::{DashMap, Entry};
use governor::{
    NotUntil, Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed, keyed::DashMapStateStore},
};

use crate::{chat::UserId, config, telemetry::RATE_LIMITED_TOTAL};

/// The names of the limits: the label of [`RATE_LIMITED_TOTAL`].
mod name {
    pub(super) const EVENTS: &str = "events";
    pub(super) const MESSAGES: &str = "messages";
    pub(super) const HANDSHAKES: &str = "handshakes";
    pub(super) const REQUESTS: &str = "requests";
    pub(super) const UPLOADS: &str = "uploads";
    pub(super) const CONNECTIONS_PER_ADDRESS: &str = "connections_per_address";
    pub(super) const CONNECTIONS_PER_USER: &str = "connections_per_user";
}

/// Every limit of a node. `C` is the clock, another one in tests only.
pub struct Limits<C: Clock = MonotonicClock> {
    clock: C,
    events: Quota,
    messages: Keyed<UserId, C>,
    handshakes: Keyed<IpAddr, C>,
    requests: Keyed<Box<str>, C>,
    uploads: Keyed<UserId, C>,
    connections: Arc<DashMap<Holder, u32>>,
    per_address: u32,
    per_user: u32,
}

type Keyed<K, C> = RateLimiter<K, DashMapStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

impl Limits {
    /// The limits of a configuration, by the machine's clock.
    pub fn new(config: &config::Limits) -> Self {
        Self::with_clock(config, MonotonicClock)
    }
}

impl<C: Clock + Clone> Limits<C> {
    /// The limits of a configuration.
    pub fn with_clock(config: &config::Limits, clock: C) -> Self {
        Self {
            events: quota(config.events_per_second, config.events_burst),
            messages: keyed(config.messages_per_second, config.messages_burst, &clock),
            handshakes: keyed(
                config.handshakes_per_second,
                config.handshakes_burst,
                &clock,
            ),
            requests: keyed(config.requests_per_second, config.requests_burst, &clock),
            uploads: RateLimiter::dashmap_with_clock(
                Quota::per_minute(at_least_one(config.uploads_per_minute))
                    .allow_burst(at_least_one(config.uploads_burst)),
                clock.clone(),
            ),
            connections: Arc::default(),
            per_address: config.connections_per_address,
            per_user: config.connections_per_user,
            clock,
        }
    }

    /// The events of one connection: `events_per_second`, `events_burst`.
    pub fn event_bucket(&self) -> EventBucket<C> {
        EventBucket(RateLimiter::direct_with_clock(
            self.events,
            self.clock.clone(),
        ))
    }

    /// Counts a message of a user. `Err` tells how long to wait until one is allowed.
    pub fn message(&self, user: &UserId) -> Result<(), Duration> {
        self.answer(name::MESSAGES, self.messages.check_key(user))
    }

    /// Counts a handshake of an address (of its /64 where it is IPv6). `Err` tells how long to
    /// wait until one is allowed.
    pub fn handshake(&self, address: IpAddr) -> Result<(), Duration> {
        let address = network(address);
        self.answer(name::HANDSHAKES, self.handshakes.check_key(&address))
    }

    /// Counts a REST request of a caller, named in whatever way tells callers apart. `Err` tells
    /// how long to wait until one is allowed.
    pub fn request(&self, caller: &str) -> Result<(), Duration> {
        self.answer(name::REQUESTS, self.requests.check_key(&caller.into()))
    }

    /// Counts a REST request of nobody known at an address (its /64 where it is IPv6).
    pub fn request_of_address(&self, address: IpAddr) -> Result<(), Duration> {
        self.request(&format!("address:{}", network(address)))
    }

    /// Counts an upload of a user. `Err` tells how long to wait until one is allowed.
    pub fn upload(&self, user: &UserId) -> Result<(), Duration> {
        self.answer(name::UPLOADS, self.uploads.check_key(user))
    }

    /// A connection of an address (of its /64 where it is IPv6), for as long as the slot lives;
    /// `None` if it has `connections_per_address`.
    pub fn connection_of_address(&self, address: IpAddr) -> Option<Slot> {
        let holder = Holder::Address(network(address));
        self.slot(holder, self.per_address, name::CONNECTIONS_PER_ADDRESS)
    }

    /// A connection of a user, for as long as the slot lives; `None` if they have
    /// `connections_per_user`.
    pub fn connection_of_user(&self, user: &UserId) -> Option<Slot> {
        let holder = Holder::User(user.clone());
        self.slot(holder, self.per_user, name::CONNECTIONS_PER_USER)
    }

    /// Forgets who has not been seen long enough to have a full bucket again. To be called every
    /// minute or so; what is kept between two calls grows with every new user and address.
    pub fn sweep(&self) {
        sweep(&self.messages);
        sweep(&self.handshakes);
        sweep(&self.requests);
        sweep(&self.uploads);
        self.connections.shrink_to_fit();
    }

    /// How many users and addresses are remembered, those with connections included.
    pub fn remembered(&self) -> usize {
        self.messages.len()
            + self.handshakes.len()
            + self.requests.len()
            + self.uploads.len()
            + self.connections.len()
    }

    fn answer(
        &self,
        limit: &'static str,
        checked: Result<(), NotUntil<C::Instant>>,
    ) -> Result<(), Duration> {
        checked.map_err(|until| refused(limit, &until, &self.clock))
    }

    fn slot(&self, holder: Holder, most: u32, limit: &'static str) -> Option<Slot> {
        match self.connections.entry(holder.clone()) {
            Entry::Occupied(mut held) => {
                if *held.get() >= most {
                    count(limit);
                    return None;
                }
                *held.get_mut() += 1;
            }
            Entry::Vacant(none) => {
                none.insert(1);
            }
        }
        Some(Slot {
            holder,
            connections: Arc::clone(&self.connections),
        })
    }
}

/// The events of one connection.
pub struct EventBucket<C: Clock = MonotonicClock>(
    RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
);

impl<C: Clock> EventBucket<C> {
    /// Counts an event. `Err` tells how long to wait until one is allowed.
    pub fn check(&self) -> Result<(), Duration> {
        let checked = self.0.check();
        checked.map_err(|until| refused(name::EVENTS, &until, self.0.clock()))
    }
}

impl<C: Clock> fmt::Debug for EventBucket<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBucket").finish_non_exhaustive()
    }
}

/// Who holds connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Holder {
    Address(IpAddr),
    User(UserId),
}

/// A place among the connections of an address or user; free again when it is dropped.
#[derive(Debug)]
#[must_use = "the place is free again when this is dropped"]
pub struct Slot {
    holder: Holder,
    connections: Arc<DashMap<Holder, u32>>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Entry::Occupied(mut held) = self.connections.entry(self.holder.clone()) {
            if *held.get() > 1 {
                *held.get_mut() -= 1;
            } else {
                held.remove();
            }
        }
    }
}

fn keyed<K: Hash + Eq + Clone, C: Clock + Clone>(
    per_second: u32,
    burst: u32,
    clock: &C,
) -> Keyed<K, C> {
    RateLimiter::dashmap_with_clock(quota(per_second, burst), clock.clone())
}

fn sweep<K: Hash + Eq + Clone, C: Clock>(limiter: &Keyed<K, C>) {
    limiter.retain_recent();
    limiter.shrink_to_fit();
}

/// The configuration allows no zeros; one is the least that a bucket can be.
fn at_least_one(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN)
}

fn quota(per_second: u32, burst: u32) -> Quota {
    Quota::per_second(at_least_one(per_second)).allow_burst(at_least_one(burst))
}

fn refused<C: Clock>(limit: &'static str, until: &NotUntil<C::Instant>, clock: &C) -> Duration {
    count(limit);
    until.wait_time_from(clock.now())
}

fn count(limit: &'static str) {
    metrics::counter!(RATE_LIMITED_TOTAL, "limit" => limit).increment(1);
}

/// What an address is counted as: itself, or its /64, which is the least that an IPv6 customer
/// gets (RFC 6177), so that its other half is for one customer to choose freely.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::telemetry;

    fn limits() -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
        let config = config::Limits {
            events_per_second: 10,
            events_burst: 3,
            flood_close_after: 1,
            messages_per_second: 2,
            messages_burst: 2,
            connections_per_address: 2,
            connections_per_user: 1,
            handshakes_per_second: 1,
            handshakes_burst: 1,
            requests_per_second: 4,
            requests_burst: 1,
            uploads_per_minute: 6,
            uploads_burst: 1,
            max_message_bytes: 1024,
        };
        let clock = FakeRelativeClock::default();
        (Limits::with_clock(&config, clock.clone()), clock)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn user(id: &str) -> UserId {
        UserId::new(id).expect("an id")
    }

    #[test]
    fn buckets_hold_a_burst_and_refill_evenly() {
        let (limits, clock) = limits();
        let bucket = limits.event_bucket();
        for _ in 0..3 {
            assert_eq!(bucket.check(), Ok(()));
        }
        assert_eq!(bucket.check(), Err(Duration::from_millis(100)));
        clock.advance(Duration::from_millis(60));
        assert_eq!(bucket.check(), Err(Duration::from_millis(40)));
        clock.advance(Duration::from_millis(40));
        assert_eq!(bucket.check(), Ok(()));
        assert!(bucket.check().is_err());
        assert_eq!(limits.event_bucket().check(), Ok(()), "another connection");
        clock.advance(Duration::from_secs(60));
        for _ in 0..3 {
            assert_eq!(bucket.check(), Ok(()));
        }
        assert!(bucket.check().is_err(), "no more than a burst is saved up");
    }

    #[test]
    fn users_callers_and_addresses_are_told_apart() {
        let (limits, _) = limits();
        assert_eq!(limits.message(&user("a")), Ok(()));
        assert_eq!(limits.message(&user("a")), Ok(()));
        assert_eq!(limits.message(&user("a")), Err(Duration::from_millis(500)));
        assert_eq!(limits.message(&user("b")), Ok(()));
        assert_eq!(limits.upload(&user("a")), Ok(()));
        assert_eq!(limits.upload(&user("a")), Err(Duration::from_secs(10)));
        assert_eq!(limits.upload(&user("b")), Ok(()));

        assert_eq!(limits.request("a"), Ok(()));
        assert_eq!(limits.request("a"), Err(Duration::from_millis(250)));
        assert_eq!(limits.request("b"), Ok(()));

        assert_eq!(limits.handshake(ip("192.0.2.1")), Ok(()));
        assert!(limits.handshake(ip("::ffff:192.0.2.1")).is_err());
        assert_eq!(limits.handshake(ip("192.0.2.2")), Ok(()));
        assert_eq!(limits.handshake(ip("2001:db8::1")), Ok(()));
        assert!(limits.handshake(ip("2001:db8::ffff:0:0:2")).is_err());
        assert_eq!(limits.handshake(ip("2001:db8:0:1::1")), Ok(()));
    }

    #[test]
    fn slots_are_given_back() {
        let (limits, _) = limits();
        let first = limits.connection_of_address(ip("192.0.2.1"));
        let second = limits.connection_of_address(ip("192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(limits.connection_of_address(ip("192.0.2.1")).is_none());
        assert!(limits.connection_of_address(ip("192.0.2.2")).is_some());
        drop(first);
        let third = limits.connection_of_address(ip("192.0.2.1"));
        assert!(third.is_some());

        let held = limits.connection_of_user(&user("a"));
        assert!(held.is_some());
        assert!(limits.connection_of_user(&user("a")).is_none());
        drop((second, third, held));
        assert_eq!(limits.remembered(), 0);
    }

    #[test]
    fn slots_are_counted_right_under_contention() {
        let (limits, _) = limits();
        let given = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let slot = limits.connection_of_user(&user("a"));
                        if slot.is_some() {
                            let before = given.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                            assert_eq!(before, 0, "two hold the one place");
                            given.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert_eq!(limits.remembered(), 0);
    }

    #[test]
    fn idle_keys_are_forgotten_and_busy_ones_kept() {
        let (limits, clock) = limits();
        for n in 0..1000 {
            let _ = limits.message(&user(&n.to_string()));
            let _ = limits.request(&n.to_string());
        }
        assert_eq!(limits.remembered(), 2000);
        limits.sweep();
        assert_eq!(limits.remembered(), 2000, "their buckets are not full yet");
        clock.advance(Duration::from_secs(10));
        for _ in 0..2 {
            assert_eq!(limits.message(&user("7")), Ok(()));
        }
        limits.sweep();
        assert_eq!(limits.remembered(), 1);
        assert!(
            limits.message(&user("7")).is_err(),
            "sweeping refills nothing"
        );
    }

    #[test]
    fn refusals_are_counted_by_name() {
        let (recorder, metrics) = telemetry::metrics_recorder().expect("a recorder");
        metrics::with_local_recorder(&recorder, || {
            let (limits, _) = limits();
            let bucket = limits.event_bucket();
            for _ in 0..4 {
                let _ = bucket.check();
            }
            for _ in 0..3 {
                let _ = limits.message(&user("a"));
            }
            for _ in 0..2 {
                let _ = limits.handshake(ip("192.0.2.1"));
                let _ = limits.request("a");
                let _ = limits.upload(&user("a"));
            }
            let slots: Vec<_> = (0..3)
                .map(|_| limits.connection_of_address(ip("192.0.2.1")))
                .chain((0..2).map(|_| limits.connection_of_user(&user("a"))))
                .collect();
            assert_eq!(slots.iter().flatten().count(), 3);
        });
        let text = metrics.render();
        for limit in [
            name::EVENTS,
            name::MESSAGES,
            name::HANDSHAKES,
            name::REQUESTS,
            name::UPLOADS,
            name::CONNECTIONS_PER_ADDRESS,
            name::CONNECTIONS_PER_USER,
        ] {
            let line = format!("{RATE_LIMITED_TOTAL}{{limit=\"{limit}\"}} 1");
            assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
        }
    }

    #[test]
    fn a_bucket_is_small() {
        assert!(
            size_of::<EventBucket>() <= 40,
            "{}",
            size_of::<EventBucket>()
        );
    }
}
