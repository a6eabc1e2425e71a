//! Orders that refuse tokens or end connections: what is kept, and that every reader sees each.

use std::collections::HashSet;

use porchlight::chat::{DeviceId, Millis, NEVER, Order, Store, Subject, TokenKey};

use super::backend::*;

fn order(subject: Subject, issued_before: i64, ends_at: Millis) -> Order {
    Order {
        version: 0,
        subject,
        issued_before: Millis(issued_before),
        ends_at,
    }
}

/// All of them, as one who knows nothing yet reads them.
async fn all(store: &dyn Store) -> Vec<Order> {
    let read = store.orders_after(0, 100).await.unwrap();
    assert_eq!(read.version, read.orders.last().map_or(0, |o| o.version));
    read.orders
}

pub async fn are_read_by_version(db: Backend) {
    let (store, other) = (db.open().await, db.open().await);
    assert_eq!(all(&*store).await, []);
    let given = [
        order(Subject::Tokens(user("ann")), 7, NEVER),
        order(Subject::User(user("ann")), 0, NOW.plus(5)),
        order(Subject::Token(TokenKey::new([255; 16])), 0, NEVER),
        order(Subject::Devices(user("bob")), 0, NEVER),
        order(
            Subject::Device(user("bob"), DeviceId::trusted("d:1")),
            0,
            NEVER,
        ),
    ];
    let mut kept = Vec::new();
    for (order, version) in given.iter().zip(1..) {
        let given = store.give_order(order.clone(), NOW).await.unwrap();
        let order = order.clone();
        assert_eq!(given, Order { version, ..order });
        kept.push(given);
    }
    let read = all(&*other).await;
    assert_eq!(read, kept);
    let page = other.orders_after(1, 2).await.unwrap();
    assert_eq!((page.orders, page.version), (read[1..3].to_vec(), 3));
    let end = other.orders_after(5, 2).await.unwrap();
    assert_eq!((end.orders.len(), end.version), (0, 5));
    // What comes again comes to those who have read it, too.
    let again = store.give_order(given[0].clone(), NOW).await.unwrap();
    assert_eq!(again.version, 6);
    let news = other.orders_after(5, 9).await.unwrap();
    assert_eq!(news.orders, [again]);
}

pub async fn are_extended_until_they_end(db: Backend) {
    let store = db.open().await;
    let subject = || Subject::Tokens(user("ann"));
    let give = async |before, ends, now| {
        let given = order(subject(), before, ends);
        let kept = store.give_order(given, now).await.unwrap();
        (kept.issued_before.0, kept.ends_at)
    };
    let (soon, late) = (NOW.plus(10), NOW.plus(20));
    assert_eq!(give(100, soon, NOW).await, (100, soon));
    assert_eq!(give(200, late, NOW).await, (200, late));
    assert_eq!(give(150, soon, NOW).await, (200, late), "nothing is lost");
    assert_eq!(give(300, NEVER, NOW).await, (300, NEVER));
    assert_eq!(give(400, soon, NOW).await, (400, NEVER));
    let lifted = store.lift_order(&subject(), NOW).await.unwrap().unwrap();
    let (version, ended) = (6, order(subject(), 400, NOW));
    assert_eq!(lifted, Order { version, ..ended });
    assert_eq!(all(&*store).await, [lifted], "that is read as well");
    assert_eq!(store.lift_order(&subject(), NOW).await.unwrap(), None);
    let never_given = Subject::User(user("ann"));
    assert_eq!(store.lift_order(&never_given, NOW).await.unwrap(), None);
    // One that ended, by itself or not, has no part in the next.
    assert_eq!(give(50, late, NOW.plus(1)).await, (50, late));
    assert_eq!(
        give(20, NEVER, late).await,
        (20, NEVER),
        "it ends at its end"
    );
}

pub async fn are_forgotten_after_their_end(db: Backend) {
    let store = db.open().await;
    for (name, ends) in [("ann", NOW), ("bob", NOW.plus(1)), ("cid", NEVER)] {
        let given = order(Subject::User(user(name)), 0, ends);
        store.give_order(given, NOW.plus(-1)).await.unwrap();
    }
    store.forget_orders(NOW.plus(1)).await.unwrap();
    let left = all(&*store).await.into_iter().map(|o| o.version);
    let left: Vec<_> = left.collect();
    assert_eq!(left, [2, 3]);
    // Versions go on from where they were.
    store.forget_orders(NEVER).await.unwrap();
    let given = order(Subject::User(user("dan")), 0, NEVER);
    store.give_order(given, NOW).await.unwrap();
    assert_eq!(all(&*store).await.last().unwrap().version, 4);
}

/// A reader goes on from the newest version it saw: an older one that became visible later would be
/// missed for good.
pub async fn become_visible_in_order(db: Backend) {
    const EACH: usize = 60;
    let stores = [db.open().await, db.open().await];
    let reader = db.open().await;
    let mut givers = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = stores[n % 2].clone();
        givers.spawn(async move {
            for m in 0..EACH {
                let subject = Subject::User(user(&format!("u{n}-{m}")));
                let given = order(subject, 0, NEVER);
                store.give_order(given, NOW).await.unwrap();
            }
        });
    }
    let (mut seen, mut cursor) = (HashSet::new(), 0);
    let mut giving = true;
    loop {
        let read = reader.orders_after(cursor, 1000).await.unwrap();
        let last = read.version == cursor;
        cursor = read.version;
        seen.extend(read.orders.into_iter().map(|o| o.version));
        if last && !giving {
            break;
        }
        while givers.try_join_next().is_some_and(|done| done.is_ok()) {}
        giving = !givers.is_empty();
    }
    assert_eq!(seen.len(), 8 * EACH);
}

pub async fn of_kinds_to_come_are_passed_over(db: Backend) {
    let store = db.open().await;
    let given = order(Subject::User(user("ann")), 0, NEVER);
    let given = store.give_order(given, NOW).await.unwrap();
    db.execute("INSERT INTO orders VALUES ('later:x', 2, 0, 9)")
        .await;
    let read = store.orders_after(0, 9).await.unwrap();
    assert_eq!((read.orders, read.version), (vec![given], 2));
}

pub async fn tell_who_takes_no_part_any_more(db: Backend) {
    let store = db.open().await;
    for name in ["left", "ended", "deleted", "stays"] {
        group(&*store, name, &["ann", "bob"]).await;
    }
    let leave = async |name: &str, who: &str| {
        let (name, who) = (room(name), user(who));
        store.remove_participant(&name, &who, NOW).await.unwrap();
    };
    leave("left", "bob").await;
    leave("ended", "ann").await;
    leave("ended", "bob").await;
    store.delete(&room("deleted"), NOW).await.unwrap();
    not_participant(
        store
            .remove_participant(&room("stays"), &user("cid"), NOW)
            .await,
    );
    let told = all(&*store).await;
    let told: Vec<_> = told.iter().map(|o| o.subject.to_string()).collect();
    assert_eq!(told, ["members:left", "members:ended", "members:deleted"]);
}
