//! Read and delivered cursors.

use porchlight::chat::{ConversationId, Cursor, Millis, Store};

use super::backend::*;

/// A participant's read seq, delivered seq and time of reading.
async fn cursors(store: &dyn Store, room: &ConversationId, name: &str) -> (u64, u64, Option<i64>) {
    let conversation = store.conversation(room, &user(name)).await.unwrap();
    let p = conversation.participant(&user(name)).unwrap();
    (p.read_seq, p.delivered_seq, p.read_at.map(|at| at.0))
}

pub async fn move_forward_only_and_within_the_conversation(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann", "bob"]).await;
    for n in 0..5 {
        say(&*store, &room, "ann", &n.to_string()).await;
    }
    let bob = user("bob");
    let delivered = async |seq| {
        store
            .advance(&room, &bob, Cursor::Delivered, seq, NOW)
            .await
            .unwrap()
    };
    assert_eq!(delivered(2).await, 0);
    assert_eq!(delivered(1).await, 2);
    assert_eq!(cursors(&*store, &room, "bob").await, (0, 2, None));
    assert_eq!(delivered(99).await, 2);
    assert_eq!(delivered(u64::MAX).await, 5);
    assert_eq!(cursors(&*store, &room, "bob").await, (0, 5, None));
}

pub async fn reading_is_receiving(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann", "bob"]).await;
    for n in 0..5 {
        say(&*store, &room, "ann", &n.to_string()).await;
    }
    let bob = user("bob");
    let at = |ms| Millis(NOW.0 + ms);
    assert_eq!(
        store
            .advance(&room, &bob, Cursor::Read, 3, at(1))
            .await
            .unwrap(),
        0
    );
    assert_eq!(cursors(&*store, &room, "bob").await, (3, 3, Some(at(1).0)));
    assert_eq!(
        store
            .advance(&room, &bob, Cursor::Delivered, 5, at(2))
            .await
            .unwrap(),
        3
    );
    assert_eq!(
        store
            .advance(&room, &bob, Cursor::Read, 4, at(3))
            .await
            .unwrap(),
        3
    );
    assert_eq!(cursors(&*store, &room, "bob").await, (4, 5, Some(at(3).0)));
    assert_eq!(
        store
            .advance(&room, &bob, Cursor::Read, 2, at(4))
            .await
            .unwrap(),
        4
    );
    assert_eq!(cursors(&*store, &room, "bob").await, (4, 5, Some(at(3).0)));
}

pub async fn concurrent_moves_settle_on_the_highest(db: Backend) {
    let stores = [db.open().await, db.open().await];
    let room = group(&*stores[0], "room", &["ann", "bob"]).await;
    for n in 0..40 {
        say(&*stores[0], &room, "ann", &n.to_string()).await;
    }
    let bob = user("bob");
    let moves = (1..=40)
        .rev()
        .map(|seq| stores[seq as usize % 2].advance(&room, &bob, Cursor::Read, seq, NOW));
    let before = futures_util::future::join_all(moves).await;
    // Those who were told that they moved it moved it each from another place.
    let mut from: Vec<u64> = before
        .into_iter()
        .zip((1..=40).rev())
        .filter_map(|(before, seq)| Some(before.unwrap()).filter(|before| *before < seq))
        .collect();
    let moved = from.len();
    from.sort();
    from.dedup();
    assert_eq!(from.len(), moved);
    assert_eq!(from[0], 0);
    let (read, delivered, _) = cursors(&*stores[0], &room, "bob").await;
    assert_eq!((read, delivered), (40, 40));
}

pub async fn the_senders_own_move_with_the_message(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann", "bob"]).await;
    say(&*store, &room, "ann", "one").await;
    say(&*store, &room, "ann", "two").await;
    assert_eq!(cursors(&*store, &room, "ann").await, (2, 2, Some(NOW.0)));
    assert_eq!(cursors(&*store, &room, "bob").await, (0, 0, None));
    store.append(keyed(&room, "bob", "k")).await.unwrap();
    say(&*store, &room, "ann", "four").await;
    // A repetition writes nothing. What ann said before is not received by answering.
    store.append(keyed(&room, "bob", "k")).await.unwrap();
    assert_eq!(cursors(&*store, &room, "bob").await, (3, 0, Some(NOW.0)));
    let (bob, delivered) = (user("bob"), Cursor::Delivered);
    store.advance(&room, &bob, delivered, 4, NOW).await.unwrap();
    say(&*store, &room, "bob", "five").await;
    assert_eq!(cursors(&*store, &room, "bob").await, (5, 5, Some(NOW.0)));
}

pub async fn refuse_outsiders_and_deleted_conversations(db: Backend) {
    let store = db.open().await;
    let id = group(&*store, "room", &["ann", "bob"]).await;
    say(&*store, &id, "ann", "one").await;
    let advance = async |id: &ConversationId, name| {
        store.advance(id, &user(name), Cursor::Read, 1, NOW).await
    };
    not_participant(advance(&id, "eve").await);
    not_found(advance(&room("none"), "ann").await);
    store
        .remove_participant(&id, &user("bob"), NOW)
        .await
        .unwrap();
    not_participant(advance(&id, "bob").await);
    store.delete(&id, NOW).await.unwrap();
    not_found(advance(&id, "ann").await);
}
