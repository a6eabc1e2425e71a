//! The orders that this node knows of: whom they refuse, and whose connections they end.
//!
//! A view of what the store holds, kept current by [`Chat::watch_orders`](super::Chat::watch_orders).
//! Asking it costs a look into a map or two.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use tokio::sync::Mutex;

use super::{Clock, Millis, Order, Subject, TokenKey, UserId};

/// How often everything is read anew: versions may repeat where a database came back with an older
/// state, as after a failover.
const WHOLE: Duration = Duration::from_secs(3600);
/// Tokens that one connection is known to have shown, at most; the oldest are forgotten first.
const PROOFS: usize = 16;

/// What somebody proved with who they are, as far as orders go by it. The default is no proof.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proof {
    /// When the token was issued; for one that was minted from another, when that was.
    pub issued_at: Option<Millis>,
    /// What names the token and those it was minted from. The first key names this one, with those
    /// that renew it.
    pub keys: Arc<[TokenKey]>,
}

/// Why somebody is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The user's tokens, or the user.
    User,
    /// This token.
    Token,
}

impl Refusal {
    /// The reason as metrics have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Token => "token",
        }
    }
}

/// What a connection stands on.
#[derive(Debug)]
pub struct Standing {
    /// What was known when it came.
    since: i64,
    /// What was shown, the newest last.
    proofs: Vec<Proof>,
}

impl Standing {
    /// A fresh token was accepted. What was shown before stays a reason to end the connection.
    pub fn renew(&mut self, proof: Proof) {
        self.proofs.retain(|p| p.keys != proof.keys);
        if self.proofs.len() >= PROOFS {
            self.proofs.remove(0);
        }
        self.proofs.push(proof);
    }
}

/// Why a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// What it stands on is refused.
    Refused(Refusal),
    /// The user's connections were told to go.
    Dismissed,
}

/// See the module.
pub struct Controls {
    clock: Arc<dyn Clock>,
    view: RwLock<View>,
    pub(super) reading: Mutex<Reading>,
}

#[derive(Default)]
struct View {
    version: i64,
    tokens_of: HashMap<UserId, Rule>,
    users: HashMap<UserId, Rule>,
    tokens: HashMap<TokenKey, Rule>,
    dismissed: HashMap<UserId, Rule>,
}

#[derive(Clone, Copy)]
struct Rule {
    version: i64,
    issued_before: Millis,
    ends_at: Millis,
}

/// How far the store has been read.
pub(super) struct Reading {
    version: i64,
    /// When everything was read last.
    whole: Option<Instant>,
}

impl Reading {
    /// After which version to read on; 0: everything.
    pub(super) fn after(&self) -> i64 {
        match self.whole {
            Some(at) if at.elapsed() < WHOLE => self.version,
            _ => 0,
        }
    }

    /// What comes after one version was read up to another.
    pub(super) fn done(&mut self, from: i64, version: i64) {
        self.version = version;
        if from == 0 {
            self.whole = Some(Instant::now());
        }
    }
}

impl Controls {
    /// Knows of nothing yet.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            view: RwLock::default(),
            reading: Mutex::new(Reading {
                version: 0,
                whole: None,
            }),
        })
    }

    /// How many users and tokens are refused.
    pub fn revocations(&self) -> usize {
        let view = self.view.read();
        view.tokens_of.len() + view.users.len() + view.tokens.len()
    }

    /// Whether somebody is refused.
    pub fn refuses(&self, user: &UserId, proof: &Proof) -> Option<Refusal> {
        self.view.read().refuses(user, proof, self.clock.now())
    }

    /// What a connection stands on that is being admitted with this proof.
    pub fn standing(&self, proof: Proof) -> Standing {
        let since = self.view.read().version;
        let proofs = vec![proof];
        Standing { since, proofs }
    }

    /// Whether a connection is to end.
    pub fn ends(&self, user: &UserId, standing: &Standing) -> Option<Ending> {
        let (view, now) = (self.view.read(), self.clock.now());
        let last = standing.proofs.last().into_iter();
        let of_user = last.filter_map(|p| view.refuses(user, p, now)).next();
        let of_tokens = || {
            let mut keys = standing.proofs.iter().flat_map(|p| p.keys.iter());
            keys.any(|key| view.token_ended(key, now))
                .then_some(Refusal::Token)
        };
        if let Some(refusal) = of_user.or_else(of_tokens) {
            return Some(Ending::Refused(refusal));
        }
        let dismissed = view.dismissed.get(user)?;
        (dismissed.version > standing.since).then_some(Ending::Dismissed)
    }

    /// The order about a user's tokens, if one is in effect, and the one about the user.
    pub(super) fn of_user(&self, user: &UserId) -> [Option<(Millis, Millis)>; 2] {
        let (view, now) = (self.view.read(), self.clock.now());
        [&view.tokens_of, &view.users].map(|rules| {
            let rule = rules.get(user).filter(|r| r.ends_at > now)?;
            Some((rule.issued_before, rule.ends_at))
        })
    }

    /// Takes orders in, of which some may be known, or older than what is.
    pub fn learn(&self, orders: &[Order]) {
        self.view.write().learn(orders);
    }

    /// Forgets what has no effect any more.
    pub(super) fn forget_ended(&self) {
        let now = self.clock.now();
        let mut view = self.view.write();
        fn forget<K: Hash + Eq>(rules: &mut HashMap<K, Rule>, now: Millis) {
            rules.retain(|_, rule| rule.ends_at > now);
        }
        forget(&mut view.tokens_of, now);
        forget(&mut view.users, now);
        forget(&mut view.tokens, now);
        forget(&mut view.dismissed, now);
    }
}

impl View {
    fn refuses(&self, user: &UserId, proof: &Proof, now: Millis) -> Option<Refusal> {
        let too_old = |rule: &Rule| proof.issued_at.is_none_or(|at| at < rule.issued_before);
        let in_effect = |rule: &&Rule| rule.ends_at > now;
        let of_tokens = self.tokens_of.get(user).filter(in_effect);
        if of_tokens.is_some_and(too_old) || self.users.get(user).filter(in_effect).is_some() {
            return Some(Refusal::User);
        }
        let mut keys = proof.keys.iter();
        keys.any(|key| self.token_ended(key, now))
            .then_some(Refusal::Token)
    }

    fn token_ended(&self, key: &TokenKey, now: Millis) -> bool {
        self.tokens.get(key).is_some_and(|rule| rule.ends_at > now)
    }

    fn learn(&mut self, orders: &[Order]) {
        for order in orders {
            let rule = Rule {
                version: order.version,
                issued_before: order.issued_before,
                ends_at: order.ends_at,
            };
            match &order.subject {
                Subject::Tokens(user) => learn(&mut self.tokens_of, user, rule),
                Subject::User(user) => learn(&mut self.users, user, rule),
                Subject::Token(key) => learn(&mut self.tokens, key, rule),
                Subject::Devices(user) => learn(&mut self.dismissed, user, rule),
                // They are about what a node has at the time, and nothing that may come.
                Subject::Device(..) | Subject::Members(_) => {}
            }
            self.version = self.version.max(order.version);
        }
    }
}

fn learn<K: Hash + Eq + Clone>(rules: &mut HashMap<K, Rule>, key: &K, rule: Rule) {
    match rules.get_mut(key) {
        Some(known) if known.version > rule.version => {}
        Some(known) => *known = rule,
        None => drop(rules.insert(key.clone(), rule)),
    }
}
