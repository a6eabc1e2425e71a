//! Orders that refuse tokens or end connections.

use super::{
    core::Core,
    engine::{Arg, Cells, Engine, Sql},
    session::Session,
};
use crate::chat::{ConversationId, Millis, Order, Orders, StoreError, StoreResult, Subject};

/// Held until the transaction ends: versions become visible one after the other.
const NEXT: Sql = Sql::same("UPDATE newest_order SET version = version + 1 RETURNING version");

/// An order in effect is extended, one that ended is replaced.
const GIVE: Sql = Sql::same(
    "INSERT INTO orders (subject, version, issued_before, ends_at) VALUES ($1, $2, $3, $4)
     ON CONFLICT (subject) DO UPDATE SET version = excluded.version,
        issued_before = CASE
            WHEN orders.ends_at > $5 AND orders.issued_before > excluded.issued_before
            THEN orders.issued_before ELSE excluded.issued_before END,
        ends_at = CASE
            WHEN orders.ends_at > excluded.ends_at
            THEN orders.ends_at ELSE excluded.ends_at END
     RETURNING version, subject, issued_before, ends_at",
);

const LIFT: Sql = Sql::same(
    "UPDATE orders SET version = $2, ends_at = $3 WHERE subject = $1 AND ends_at > $3
     RETURNING version, subject, issued_before, ends_at",
);

const AFTER: Sql = Sql::same(
    "SELECT version, subject, issued_before, ends_at FROM orders
     WHERE version > $1 ORDER BY version LIMIT $2",
);

const FORGET: Sql = Sql::same("DELETE FROM orders WHERE ends_at < $1");

/// See [`Store::give_order`](crate::chat::Store::give_order).
pub(super) async fn give<E: Engine>(
    core: &Core<E>,
    order: Order,
    now: Millis,
) -> StoreResult<Order> {
    let mut session = core.begin().await?;
    let given = put(&mut session, order, now).await;
    session.finish(given).await
}

/// Somebody takes no part in the conversation any more, in the transaction that says so. The order
/// has no time: that there is one is all.
pub(super) async fn note_members<E: Engine>(
    session: &mut Session<E>,
    id: &ConversationId,
    now: Millis,
) -> StoreResult<()> {
    let order = Order {
        version: 0,
        subject: Subject::Members(id.clone()),
        issued_before: Millis(0),
        ends_at: now,
    };
    put(session, order, now).await.map(drop)
}

async fn put<E: Engine>(session: &mut Session<E>, order: Order, now: Millis) -> StoreResult<Order> {
    let version = next(session).await?;
    let subject = order.subject.to_string();
    let args = [
        Arg::Text(&subject),
        Arg::Int(version),
        Arg::Int(order.issued_before.0),
        Arg::Int(order.ends_at.0),
        Arg::Int(now.0),
    ];
    let kept = session.row(GIVE, &args).await?.ok_or_else(nothing)?;
    read(&kept, order.subject)
}

/// See [`Store::lift_order`](crate::chat::Store::lift_order).
pub(super) async fn lift<E: Engine>(
    core: &Core<E>,
    subject: &Subject,
    now: Millis,
) -> StoreResult<Option<Order>> {
    let mut session = core.begin().await?;
    let lifted = async {
        let version = next(&mut session).await?;
        let text = subject.to_string();
        let args = [Arg::Text(&text), Arg::Int(version), Arg::Int(now.0)];
        let lifted = session.row(LIFT, &args).await?;
        lifted.map(|row| read(&row, subject.clone())).transpose()
    }
    .await;
    session.finish(lifted).await
}

/// See [`Store::orders_after`](crate::chat::Store::orders_after).
pub(super) async fn after<E: Engine>(
    core: &Core<E>,
    version: i64,
    limit: u32,
) -> StoreResult<Orders> {
    let args = [Arg::Int(version), Arg::Int(limit.into())];
    let rows = core.reader().await?.rows(AFTER, &args).await?;
    let mut found = Orders {
        orders: Vec::with_capacity(rows.len()),
        version,
    };
    for row in rows {
        found.version = row.int(0)?;
        // One that cannot be read was given by a newer version of this program.
        if let Ok(subject) = row.text(1)?.parse() {
            found.orders.push(read(&row, subject)?);
        }
    }
    Ok(found)
}

fn read(row: &impl Cells, subject: Subject) -> StoreResult<Order> {
    Ok(Order {
        version: row.int(0)?,
        subject,
        issued_before: Millis(row.int(2)?),
        ends_at: Millis(row.int(3)?),
    })
}

/// See [`Store::forget_orders`](crate::chat::Store::forget_orders).
pub(super) async fn forget<E: Engine>(core: &Core<E>, ended_before: Millis) -> StoreResult<()> {
    let mut session = core.begin().await?;
    let forgotten = session.rows(FORGET, &[Arg::Int(ended_before.0)]).await;
    let forgotten = forgotten.map(drop).map_err(StoreError::from);
    session.finish(forgotten).await
}

async fn next<E: Engine>(session: &mut Session<E>) -> StoreResult<i64> {
    session.row(NEXT, &[]).await?.ok_or_else(nothing)?.int(0)
}

fn nothing() -> StoreError {
    StoreError::Corrupt("a change of orders returned nothing".to_owned())
}
