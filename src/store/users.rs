//! What tokens told about users, and when they were last seen.

use std::collections::BTreeMap;

use super::{
    core::Core,
    engine::{Arg, Cells, Engine, Sql, sql_in},
    rows,
    text::storable,
};
use crate::chat::{Millis, Profile, StoreError, StoreResult, UserId};

const PROFILES: Sql = sql_in!("SELECT id, name, email, avatar FROM users WHERE id", "");

const LAST_SEEN: Sql = sql_in!(
    "SELECT id, last_seen FROM users WHERE last_seen IS NOT NULL AND id",
    ""
);

const UPSERT: Sql = Sql::same(
    "INSERT INTO users (id, name, email, avatar, updated_at) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (id) DO UPDATE
        SET name = COALESCE(excluded.name, users.name),
            email = COALESCE(excluded.email, users.email),
            avatar = COALESCE(excluded.avatar, users.avatar),
            updated_at = excluded.updated_at
     RETURNING id, name, email, avatar",
);

const CONTACTS: Sql = Sql::same(
    "SELECT DISTINCT them.user_id
     FROM participants me JOIN participants them ON them.conversation_id = me.conversation_id
     WHERE me.user_id = $1 AND me.left_at IS NULL
        AND them.user_id <> $1 AND them.left_at IS NULL
     ORDER BY them.user_id LIMIT $2",
);

/// See [`Store::upsert_user`](crate::chat::Store::upsert_user).
pub(super) async fn upsert<E: Engine>(
    core: &Core<E>,
    profile: &Profile,
    now: Millis,
) -> StoreResult<Profile> {
    // A name that is the id stands for "no token told one".
    let named = Some(&*profile.name).filter(|name| *name != profile.id.as_str());
    let told = [named, profile.email.as_deref(), profile.avatar.as_deref()];
    for text in told.iter().flatten() {
        storable(text)?;
    }
    // Nearly always everything is known already, and reading costs no commit.
    let known = || profiles(core, std::slice::from_ref(&profile.id));
    if let [known] = &core.again_if_lost(known).await?[..] {
        let fields = [
            Some(&*known.name),
            known.email.as_deref(),
            known.avatar.as_deref(),
        ];
        let news = |(told, known): (&Option<&str>, &Option<&str>)| told.is_some() && told != known;
        if !told.iter().zip(&fields).any(news) {
            return Ok(known.clone());
        }
    }
    let args = [
        Arg::Text(profile.id.as_str()),
        Arg::MaybeText(told[0]),
        Arg::MaybeText(told[1]),
        Arg::MaybeText(told[2]),
        Arg::Int(now.0),
    ];
    let mut session = core.begin().await?;
    let stored = async {
        let row = session.row(UPSERT, &args).await?;
        let row =
            row.ok_or_else(|| StoreError::Corrupt("an upsert returned nothing".to_owned()))?;
        rows::profile(&row, 0)
    }
    .await;
    session.finish(stored).await
}

/// See [`Store::profiles`](crate::chat::Store::profiles).
pub(super) async fn profiles<E: Engine>(
    core: &Core<E>,
    users: &[UserId],
) -> StoreResult<Vec<Profile>> {
    let found = core.reader().await?.rows(PROFILES, &[list(users)]).await?;
    found.iter().map(|row| rows::profile(row, 0)).collect()
}

/// See [`Store::last_seen`](crate::chat::Store::last_seen).
pub(super) async fn last_seen<E: Engine>(
    core: &Core<E>,
    users: &[UserId],
) -> StoreResult<BTreeMap<UserId, Millis>> {
    let found = core.reader().await?.rows(LAST_SEEN, &[list(users)]).await?;
    found
        .iter()
        .map(|row| Ok((UserId::trusted(row.text(0)?), Millis(row.int(1)?))))
        .collect()
}

/// See [`Store::contacts`](crate::chat::Store::contacts).
pub(super) async fn contacts<E: Engine>(
    core: &Core<E>,
    user: &UserId,
    limit: u32,
) -> StoreResult<Vec<UserId>> {
    let args = [Arg::Text(user.as_str()), Arg::Int(limit.into())];
    let found = core.reader().await?.rows(CONTACTS, &args).await?;
    found
        .iter()
        .map(|row| Ok(UserId::trusted(row.text(0)?)))
        .collect()
}

fn list(users: &[UserId]) -> Arg<'_> {
    Arg::Texts(users.iter().map(UserId::as_str).collect())
}
