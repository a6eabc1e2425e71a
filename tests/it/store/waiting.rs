//! Conversations with messages that wait for a user.

use porchlight::chat::{ConversationId, Cursor, Millis, NewMessage, Store, Waiting};

use super::backend::*;

async fn waiting(store: &dyn Store, name: &str) -> Vec<(String, u64)> {
    let found = store.waiting(&user(name), None, 100).await.unwrap();
    let place = |w: Waiting| (w.conversation.as_str().to_owned(), w.delivered_seq);
    found.into_iter().map(place).collect()
}

async fn say_at(store: &dyn Store, room: &ConversationId, at: Millis) {
    let said = NewMessage {
        created_at: at,
        ..message(room, "ann", "hello")
    };
    store.append(said).await.unwrap();
}

pub async fn what_was_not_received_waits(db: Backend) {
    let store = db.open().await;
    let one = group(&*store, "one", &["ann", "bob"]).await;
    let two = group(&*store, "two", &["ann", "bob"]).await;
    group(&*store, "empty", &["ann", "bob"]).await;
    for (n, id) in [&two, &one, &two].into_iter().enumerate() {
        say_at(&*store, id, NOW.plus(n as i64)).await;
    }
    let all = |one: u64, two: u64| vec![("one".to_owned(), one), ("two".to_owned(), two)];
    assert_eq!(waiting(&*store, "bob").await, all(0, 0));
    assert_eq!(waiting(&*store, "ann").await, [], "her own");
    assert_eq!(waiting(&*store, "eve").await, []);

    let move_to = async |id, cursor, seq| {
        store
            .advance(id, &user("bob"), cursor, seq, NOW)
            .await
            .unwrap()
    };
    move_to(&two, Cursor::Delivered, 1).await;
    assert_eq!(waiting(&*store, "bob").await, all(0, 1));
    move_to(&two, Cursor::Read, 2).await;
    assert_eq!(waiting(&*store, "bob").await, all(0, 0)[..1]);
    store.delete(&one, NOW).await.unwrap();
    assert_eq!(waiting(&*store, "bob").await, []);

    say(&*store, &two, "ann", "more").await;
    say(&*store, &two, "bob", "an answer takes nothing away").await;
    assert_eq!(waiting(&*store, "bob").await, [("two".to_owned(), 2)]);
    assert_eq!(waiting(&*store, "ann").await, [("two".to_owned(), 3)]);
    for (who, seq) in [("bob", 3), ("ann", 4)] {
        let who = user(who);
        store
            .advance(&two, &who, Cursor::Delivered, seq, NOW)
            .await
            .unwrap();
    }
    assert_eq!(waiting(&*store, "bob").await, [], "nothing but his own");
    say(&*store, &two, "ann", "and more").await;
    store
        .remove_participant(&two, &user("bob"), NOW)
        .await
        .unwrap();
    assert_eq!(waiting(&*store, "bob").await, [], "no business of his");
    store
        .add_participants(&two, &[user("bob")], 10, NOW)
        .await
        .unwrap();
    assert_eq!(waiting(&*store, "bob").await, [], "from before he came");
}

/// The one whose last change is oldest comes first, and equal times do no harm.
pub async fn pages_follow_one_another(db: Backend) {
    let store = db.open().await;
    let mut expected = Vec::new();
    for n in 0..7i64 {
        let id = group(&*store, &format!("room-{n}"), &["ann", "bob"]).await;
        say_at(&*store, &id, NOW.plus(100 - n / 2)).await;
        expected.push((100 - n / 2, format!("room-{n}")));
    }
    expected.sort();
    for limit in [1, 2, 3, 7, 9] {
        let mut found: Vec<Waiting> = Vec::new();
        loop {
            let last = found.last().cloned();
            let page = store.waiting(&user("bob"), last.as_ref(), limit).await;
            let page = page.unwrap();
            assert!(page.len() <= limit as usize);
            let full = page.len() == limit as usize;
            found.extend(page);
            if !full {
                break;
            }
        }
        let found: Vec<_> = found
            .iter()
            .map(|w| (w.updated_at.0 - NOW.0, w.conversation.as_str().to_owned()))
            .collect();
        assert_eq!(found, expected, "in pages of {limit}");
    }
}
