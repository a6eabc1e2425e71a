//! Uploads: what is known of each file, which conversations refer to it, and which are given up.
//!
//! A message that refers to uploads locks their rows and marks them as used in its own transaction;
//! giving up an upload needs the same lock and finds the mark. So one of the two comes first, and
//! the other one sees it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    core::Core,
    engine::{Arg, Cells, Column, Engine, Sql, sql_in},
    failure::Failure,
    session::Session,
    text::storable,
};
use crate::chat::{
    Attachment, Dimensions, Message, Millis, NewMessage, StoreError, StoreResult, Upload, UploadId,
    UserId,
};

const BEGIN: Sql = Sql::same("INSERT INTO uploads (id, owner_id, created_at) VALUES ($1, $2, $3)");

const COMPLETE: Sql = Sql::same(
    "UPDATE uploads SET name = $2, media_type = $3, size = $4, width = $5, height = $6,
        thumbnail = $7, completed_at = $8
     WHERE id = $1 AND claimed_until IS NULL
     RETURNING id",
);

const COMPLETE_ONES: Sql = sql_in!(
    "SELECT id, owner_id, name, media_type, size, width, height, thumbnail, created_at
     FROM uploads WHERE completed_at IS NOT NULL AND claimed_until IS NULL AND id",
    ""
);

const SHARED: Sql = Sql::same(
    "SELECT 1 FROM upload_uses x
     JOIN conversations c ON c.id = x.conversation_id AND c.deleted_at IS NULL
     JOIN participants p ON p.conversation_id = x.conversation_id
        AND p.user_id = $2 AND p.left_at IS NULL
     WHERE x.upload_id = $1 LIMIT 1",
);

const LOCK: Sql = Sql {
    sqlite: "\
        SELECT id, owner_id FROM uploads
        WHERE completed_at IS NOT NULL AND claimed_until IS NULL
            AND id IN (SELECT value FROM json_each($1))",
    postgres: "\
        SELECT id, owner_id FROM uploads
        WHERE completed_at IS NOT NULL AND claimed_until IS NULL AND id = ANY($1)
        ORDER BY id FOR NO KEY UPDATE",
};

const MARK_USED: Sql = sql_in!(
    "UPDATE uploads SET used_at = COALESCE(used_at, $2) WHERE id",
    ""
);

const USE: Sql = Sql {
    sqlite: "\
        INSERT INTO upload_uses (upload_id, conversation_id)
        SELECT value ->> 0, value ->> 1 FROM json_each($1) WHERE true
        ON CONFLICT DO NOTHING",
    postgres: "\
        INSERT INTO upload_uses (upload_id, conversation_id)
        SELECT * FROM UNNEST($1::text[], $2::text[])
        ON CONFLICT DO NOTHING",
};

/// The lease is measured by the database's clock, the only one that all nodes share.
const CLAIM: Sql = Sql {
    sqlite: "\
        UPDATE uploads SET claimed_until = CAST(unixepoch('subsec') * 1000 AS INTEGER) + 60000
        WHERE id IN (
            SELECT id FROM uploads
            WHERE used_at IS NULL AND created_at < $1
                AND COALESCE(claimed_until, 0) < CAST(unixepoch('subsec') * 1000 AS INTEGER)
            ORDER BY created_at LIMIT $2)
        RETURNING id",
    postgres: "\
        UPDATE uploads
        SET claimed_until = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 60000
        WHERE id IN (
            SELECT id FROM uploads
            WHERE used_at IS NULL AND created_at < $1 AND COALESCE(claimed_until, 0)
                < (extract(epoch FROM clock_timestamp()) * 1000)::bigint
            ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
        RETURNING id",
};

const FORGET: Sql = sql_in!(
    "DELETE FROM uploads WHERE claimed_until IS NOT NULL AND used_at IS NULL AND id",
    ""
);

/// See [`Store::begin_upload`](crate::chat::Store::begin_upload).
pub(super) async fn begin<E: Engine>(
    core: &Core<E>,
    id: &UploadId,
    owner: &UserId,
    now: Millis,
) -> StoreResult<()> {
    let args = [
        Arg::Text(id.as_str()),
        Arg::Text(owner.as_str()),
        Arg::Int(now.0),
    ];
    write(core, BEGIN, &args).await.map(drop)
}

/// See [`Store::complete_upload`](crate::chat::Store::complete_upload).
pub(super) async fn complete<E: Engine>(
    core: &Core<E>,
    upload: &Upload,
    now: Millis,
) -> StoreResult<()> {
    let file = &upload.file;
    for text in [&file.name, &file.media_type] {
        storable(text)?;
    }
    let size = i64::try_from(file.size).map_err(|_| StoreError::Invalid("a size is too large"))?;
    let side = |of: fn(Dimensions) -> u32| Arg::MaybeInt(file.dimensions.map(|d| of(d).into()));
    let args = [
        Arg::Text(file.id.as_str()),
        Arg::Text(&file.name),
        Arg::Text(&file.media_type),
        Arg::Int(size),
        side(|d| d.width),
        side(|d| d.height),
        Arg::Flag(file.thumbnail_url.is_some()),
        Arg::Int(now.0),
    ];
    match write(core, COMPLETE, &args).await?.is_empty() {
        true => Err(StoreError::NotFound),
        false => Ok(()),
    }
}

/// See [`Store::uploads`](crate::chat::Store::uploads).
pub(super) async fn complete_ones<E: Engine>(
    core: &Core<E>,
    ids: &[UploadId],
) -> StoreResult<Vec<Upload>> {
    let found = core
        .reader()
        .await?
        .rows(COMPLETE_ONES, &[list(ids)])
        .await?;
    found.iter().map(upload).collect()
}

/// See [`Store::shares_upload`](crate::chat::Store::shares_upload).
pub(super) async fn shared<E: Engine>(
    core: &Core<E>,
    id: &UploadId,
    user: &UserId,
) -> StoreResult<bool> {
    let args = [Arg::Text(id.as_str()), Arg::Text(user.as_str())];
    Ok(core.reader().await?.row(SHARED, &args).await?.is_some())
}

/// See [`Store::claim_uploads`](crate::chat::Store::claim_uploads).
pub(super) async fn claim<E: Engine>(
    core: &Core<E>,
    older_than: Millis,
    limit: u32,
) -> StoreResult<Vec<UploadId>> {
    let args = [Arg::Int(older_than.0), Arg::Int(limit.into())];
    let claimed = write(core, CLAIM, &args).await?;
    claimed
        .iter()
        .map(|row| Ok(UploadId::trusted(row.text(0)?)))
        .collect()
}

/// See [`Store::forget_uploads`](crate::chat::Store::forget_uploads).
pub(super) async fn forget<E: Engine>(core: &Core<E>, ids: &[UploadId]) -> StoreResult<()> {
    write(core, FORGET, &[list(ids)]).await.map(drop)
}

/// The owners of those uploads of a batch that can be attached, locked until it commits.
pub(super) async fn lock<E: Engine>(
    session: &mut Session<E>,
    appends: &[NewMessage],
) -> Result<HashMap<UploadId, UserId>, Failure> {
    let attached = appends.iter().flat_map(|m| m.attachments.iter());
    let wanted: BTreeSet<&str> = attached.map(|a| a.id.as_str()).collect();
    let mut usable = HashMap::new();
    if !wanted.is_empty() {
        let args = [Arg::Texts(wanted.into_iter().collect())];
        for row in session.rows(LOCK, &args).await? {
            let owner = UserId::trusted(row.text(1)?);
            usable.insert(UploadId::trusted(row.text(0)?), owner);
        }
    }
    Ok(usable)
}

/// Notes which conversations refer to which uploads, of which the batch holds the locks.
pub(super) async fn mark_used<E: Engine>(
    session: &mut Session<E>,
    messages: &[Arc<Message>],
) -> Result<(), Failure> {
    let uses = messages.iter().flat_map(|m| {
        let pair = |a: &'_ Attachment| (a.id.clone(), m.conversation.clone());
        m.attachments.iter().map(pair).collect::<Vec<_>>()
    });
    let uses: BTreeSet<_> = uses.collect();
    let Some(at) = messages.iter().map(|m| m.created_at).max() else {
        return Ok(());
    };
    if uses.is_empty() {
        return Ok(());
    }
    let (uploads, conversations): (Vec<_>, Vec<_>) =
        uses.iter().map(|(u, c)| (u.as_str(), c.as_str())).unzip();
    let args = [Arg::Texts(uploads.clone()), Arg::Int(at.0)];
    session.rows(MARK_USED, &args).await?;
    let table = [Column::Texts(uploads), Column::Texts(conversations)];
    session.rows(USE, &[Arg::Table(&table)]).await?;
    Ok(())
}

async fn write<E: Engine>(core: &Core<E>, sql: Sql, args: &[Arg<'_>]) -> StoreResult<Vec<E::Row>> {
    let mut session = core.begin().await?;
    let result = session.rows(sql, args).await;
    session.finish(result.map_err(StoreError::from)).await
}

fn upload(row: &impl Cells) -> StoreResult<Upload> {
    let number = |n: i64| {
        u32::try_from(n).map_err(|_| StoreError::Corrupt("a side is out of range".to_owned()))
    };
    let dimensions = match (row.maybe_int(5)?, row.maybe_int(6)?) {
        (Some(width), Some(height)) => Some(Dimensions {
            width: number(width)?,
            height: number(height)?,
        }),
        _ => None,
    };
    let size = u64::try_from(row.int(4)?)
        .map_err(|_| StoreError::Corrupt("a size is negative".to_owned()))?;
    let (id, name) = (UploadId::trusted(row.text(0)?), row.text(2)?.into());
    let media_type = row.text(3)?.into();
    Ok(Upload {
        owner: UserId::trusted(row.text(1)?),
        file: Attachment::new(id, name, media_type, size, dimensions, row.flag(7)?),
        created_at: Millis(row.int(8)?),
    })
}

fn list(ids: &[UploadId]) -> Arg<'_> {
    Arg::Texts(ids.iter().map(UploadId::as_str).collect())
}
