//! Everyone who is online, a page by id, put together from what each node has.

use fred::{
    error::Error,
    prelude::*,
    types::sorted_sets::{ZRange, ZRangeBound, ZRangeKind},
};
use futures_util::future::try_join_all;

use super::RedisPresence;
use crate::chat::UserId;

impl RedisPresence {
    /// A page of those who have devices anywhere or had until a moment ago, by id.
    async fn candidates(&self, after: Option<&UserId>, limit: u32) -> Option<Vec<UserId>> {
        let redis = self.client()?;
        let from = after.map_or_else(lowest, |user| ZRange {
            kind: ZRangeKind::Exclusive,
            range: ZRangeBound::Lex(user.as_str().to_owned()),
        });
        let asked = async {
            let nodes: Vec<String> = redis.smembers(self.keys.nodes()).await?;
            let page = |node: String| {
                let (key, from) = (self.keys.users(&node), from.clone());
                let limit = Some((0, i64::from(limit)));
                async move {
                    let page: Vec<String> = redis.zrangebylex(key, from, highest(), limit).await?;
                    Ok::<_, Error>(page)
                }
            };
            try_join_all(nodes.into_iter().map(page)).await
        };
        let pages = self.ask(asked).await?;
        let mut users: Vec<_> = pages
            .iter()
            .flatten()
            .filter_map(|user| UserId::new(user).ok())
            .collect();
        users.sort_unstable();
        users.dedup();
        // What is beyond may be missing from a page that was full.
        users.truncate(limit as usize);
        Some(users)
    }

    /// A page of those announced online, by id.
    pub(super) async fn online_anywhere(
        &self,
        after: Option<&UserId>,
        limit: u32,
    ) -> Option<Vec<UserId>> {
        let mut online = Vec::new();
        let mut after = after.cloned();
        loop {
            let users = self.candidates(after.as_ref(), limit).await?;
            let statuses = self.statuses(&users).await?;
            let is_last = users.len() < limit as usize;
            after = users.last().cloned();
            let announced = users.into_iter().zip(statuses).filter(|(_, s)| s.is_some());
            online.extend(announced.map(|(user, _)| user));
            if is_last || online.len() >= limit as usize {
                online.truncate(limit as usize);
                return Some(online);
            }
        }
    }
}

fn lowest() -> ZRange {
    bound(ZRangeBound::NegInfinityLex)
}

fn highest() -> ZRange {
    bound(ZRangeBound::InfiniteLex)
}

fn bound(range: ZRangeBound) -> ZRange {
    ZRange {
        kind: ZRangeKind::Inclusive,
        range,
    }
}
