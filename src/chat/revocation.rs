//! Sending users away: revoking a user or a token, taking that back, closing connections. And how
//! every node learns of it.
//!
//! An order is kept in the store before anybody is told. Then the bus tells it, so that nodes act at
//! once, before they hear what is published later. And every node reads in the store what is new
//! there, every [`INTERVAL`]: one that cannot hear the bus is late by that. A node that cannot read
//! the store admits nobody in any case, because every admission needs it ([`Chat::introduce`]).

use std::time::{Duration, Instant};

use super::{
    Chat, ChatError, ChatResult, DeviceId, Envelope, Event, Millis, NEVER, Order, StoreResult,
    Subject, TokenKey, Topic, UserId,
};

/// How often a node looks for orders that nobody told it of.
const INTERVAL: Duration = Duration::from_secs(1);
/// Time between two rounds that forget what has no effect any more.
const TIDY: Duration = Duration::from_secs(60);
/// Orders read at once.
const BATCH: u32 = 1000;
/// How long an order stays known after its end, for nodes that did not read all that time, and for
/// how long such a node closes connections that were to be closed. In milliseconds.
const KEPT_MS: i64 = 24 * 3600 * 1000;

/// How a user is revoked.
#[derive(Debug, Clone, Default)]
pub struct RevokeUser {
    /// Tokens issued before this are refused. Without it: those issued up to now.
    pub issued_before: Option<Millis>,
    /// Until when; without it until the user is allowed again.
    pub until: Option<Millis>,
    /// Whether tokens issued afterwards are refused too.
    pub block: bool,
}

/// How a user is revoked at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserRevocation {
    /// Tokens issued before this are refused; `None`: all.
    pub issued_before: Option<Millis>,
    /// Until when; `None`: until the user is allowed again.
    pub until: Option<Millis>,
}

impl UserRevocation {
    fn of(issued_before: Option<Millis>, ends_at: Millis) -> Self {
        let until = Some(ends_at).filter(|at| *at != NEVER);
        Self {
            issued_before,
            until,
        }
    }
}

impl Chat {
    /// Refuses a user's tokens from now on and closes the connections that stand on them, on every
    /// node. What was revoked before stays so.
    pub async fn revoke_user(
        &self,
        user: &UserId,
        revoke: &RevokeUser,
    ) -> ChatResult<UserRevocation> {
        let now = self.clock.now();
        if revoke.block && revoke.issued_before.is_some() {
            let text = "a blocked user is refused whenever a token was issued";
            return Err(ChatError::invalid(text));
        }
        let (subject, issued_before) = match revoke.block {
            true => (Subject::User(user.clone()), Millis(0)),
            false => {
                let before = revoke.issued_before.unwrap_or_else(|| next_second(now));
                (Subject::Tokens(user.clone()), before)
            }
        };
        let order = Order {
            version: 0,
            subject,
            issued_before,
            ends_at: self.end(revoke.until)?,
        };
        let kept = self.give(order).await?;
        let before = (!revoke.block).then_some(kept.issued_before);
        let revocation = UserRevocation::of(before, kept.ends_at);
        tracing::info!(%user, block = revoke.block, issued_before = before.map(Millis::to_iso),
            until = revocation.until.map(Millis::to_iso), "user revoked");
        Ok(revocation)
    }

    /// Takes [`Chat::revoke_user`] back, whatever it was. `false`: the user was not revoked.
    pub async fn allow_user(&self, user: &UserId) -> ChatResult<bool> {
        let subjects = [Subject::Tokens(user.clone()), Subject::User(user.clone())];
        let lifted = self.lift(&subjects).await?;
        tracing::info!(%user, lifted, "user allowed again");
        Ok(lifted)
    }

    /// How a user is revoked, as far as this node knows.
    pub fn revocation(&self, user: &UserId) -> Option<UserRevocation> {
        let [tokens, all] = self.controls.of_user(user);
        let all = all.map(|(_, ends)| UserRevocation::of(None, ends));
        all.or(tokens.map(|(before, ends)| UserRevocation::of(Some(before), ends)))
    }

    /// Refuses a token, and those minted from it, and closes the connections that stand on them.
    pub async fn revoke_token(&self, key: TokenKey, until: Option<Millis>) -> ChatResult<()> {
        let order = Order {
            version: 0,
            subject: Subject::Token(key),
            issued_before: Millis(0),
            ends_at: self.end(until)?,
        };
        self.give(order).await?;
        tracing::info!(%key, until = until.map(Millis::to_iso), "token revoked");
        Ok(())
    }

    /// Takes [`Chat::revoke_token`] back. `false`: it was not revoked.
    pub async fn allow_token(&self, key: TokenKey) -> ChatResult<bool> {
        let lifted = self.lift(&[Subject::Token(key)]).await?;
        tracing::info!(%key, lifted, "token allowed again");
        Ok(lifted)
    }

    /// Closes a user's connections, or one of them, for good: their clients do not come back by
    /// themselves.
    pub async fn disconnect(&self, user: UserId, device: Option<DeviceId>) -> ChatResult<()> {
        tracing::info!(%user, device = device.as_ref().map(DeviceId::as_str), "user disconnected");
        let subject = match device {
            Some(device) => Subject::Device(user, device),
            None => Subject::Devices(user),
        };
        let order = Order {
            version: 0,
            subject,
            issued_before: Millis(0),
            ends_at: self.clock.now().plus(KEPT_MS),
        };
        self.give(order).await.map(drop)
    }

    fn end(&self, until: Option<Millis>) -> ChatResult<Millis> {
        match until {
            Some(until) if until <= self.clock.now() => {
                Err(ChatError::invalid("the end of a revocation is past"))
            }
            until => Ok(until.unwrap_or(NEVER)),
        }
    }

    async fn give(&self, order: Order) -> ChatResult<Order> {
        let kept = self.store.give_order(order, self.clock.now()).await?;
        self.spread(std::slice::from_ref(&kept));
        Ok(kept)
    }

    async fn lift(&self, subjects: &[Subject]) -> ChatResult<bool> {
        let mut lifted = Vec::new();
        for subject in subjects {
            lifted.extend(self.store.lift_order(subject, self.clock.now()).await?);
        }
        self.spread(&lifted);
        Ok(!lifted.is_empty())
    }

    /// Acts upon orders that the store has kept, here and at the other nodes.
    fn spread(&self, orders: &[Order]) {
        if orders.is_empty() {
            return;
        }
        self.controls.learn(orders);
        let envelope = Envelope {
            origin: None,
            event: Event::Orders(orders.into()),
        };
        self.announce(envelope, None);
    }

    /// Reads what is new in the store and acts upon it. To be called once before anybody is admitted.
    pub async fn learn_orders(&self) -> StoreResult<()> {
        let mut reading = self.controls.reading.lock().await;
        let from = reading.after();
        let (mut orders, mut version) = (Vec::new(), from);
        loop {
            let page = self.store.orders_after(version, BATCH).await?;
            orders.extend(page.orders);
            if page.version == version {
                break;
            }
            version = page.version;
        }
        reading.done(from, version);
        if !orders.is_empty() {
            self.controls.learn(&orders);
            self.local.obey(&orders);
        }
        Ok(())
    }

    /// Keeps what this node knows of orders current, for ever; the caller ends it by dropping the
    /// future.
    pub async fn watch_orders(&self) {
        self.bus.subscribe(Topic::Orders).await;
        let mut tidied = Instant::now();
        let mut failing = false;
        loop {
            tokio::time::sleep(INTERVAL).await;
            let learned = self.learn_orders().await;
            match &learned {
                Err(e) if !failing => tracing::warn!(error = %e, "orders cannot be read"),
                Ok(()) if failing => tracing::info!("orders can be read again"),
                _ => {}
            }
            failing = learned.is_err();
            if !failing && tidied.elapsed() >= TIDY {
                tidied = Instant::now();
                self.controls.forget_ended();
                let forgotten = self.clock.now().plus(-KEPT_MS);
                if let Err(e) = self.store.forget_orders(forgotten).await {
                    tracing::warn!(error = %e, "orders without effect cannot be deleted");
                }
            }
        }
    }
}

/// Times of issue are whole seconds, rounded down, in nearly all tokens. So that none issued before
/// `now` is left, the second that `now` is in counts as before.
fn next_second(now: Millis) -> Millis {
    Millis((now.0.div_euclid(1000) + 1) * 1000)
}
