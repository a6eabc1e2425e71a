//! What a store remembers between commits, and others change meanwhile.

use porchlight::chat::Store;

use super::backend::*;

pub async fn names_who_takes_part_at_each_commit(db: Backend) {
    // Changed through one store, seen by the other at once.
    let (store, other) = (db.open().await, db.open().await);
    let room = group(&*store, "room", &["ann", "bob"]).await;
    let present = async |store: &dyn Store| {
        let appended = say(store, &room, "ann", "who is here?").await;
        names(&*appended.participants).join(" ")
    };
    assert_eq!(present(&*other).await, "ann bob");
    store
        .add_participants(&room, &[user("cid")], 10, NOW.plus(1))
        .await
        .unwrap();
    assert_eq!(present(&*other).await, "ann bob cid");
    assert_eq!(present(&*store).await, "ann bob cid");
    other
        .remove_participant(&room, &user("bob"), NOW.plus(2))
        .await
        .unwrap();
    assert_eq!(present(&*store).await, "ann cid");
    assert_eq!(present(&*other).await, "ann cid");
}

pub async fn believes_the_database_over_its_memory(db: Backend) {
    // One store remembers what the other changes behind its back.
    let (store, other) = (db.open().await, db.open().await);
    let room = group(&*store, "room", &["ann", "bob"]).await;
    let seq = async |by: &str| say(&*store, &room, by, "hi").await.message.seq;
    assert_eq!((seq("ann").await, seq("bob").await), (1, 2));
    assert_eq!(say(&*other, &room, "ann", "too").await.message.seq, 3);
    assert_eq!((seq("ann").await, seq("bob").await), (4, 5));
    other
        .remove_participant(&room, &user("bob"), NOW)
        .await
        .unwrap();
    not_participant(store.append(message(&room, "bob", "still?")).await);
    assert_eq!(seq("ann").await, 6);
    other
        .add_participants(&room, &[user("bob")], 9, NOW)
        .await
        .unwrap();
    let read = async |of: &str| {
        let conversation = other.conversation(&room, &user("ann")).await.unwrap();
        let of = conversation.participant(&user(of)).unwrap();
        (of.read_seq, of.delivered_seq, of.read_at)
    };
    // The sender's cursors end at the new message, nobody else's move.
    assert_eq!((seq("bob").await, seq("bob").await), (7, 8));
    assert_eq!(read("bob").await, (8, 8, Some(NOW)));
    assert_eq!(read("ann").await, (6, 6, Some(NOW)));
    let key = keyed(&room, "ann", "key");
    let said = other.append(key.clone()).await.unwrap();
    let again = store.append(key).await.unwrap();
    assert!(again.duplicate);
    assert_eq!(again.message.id, said.message.id);
    assert_eq!(seq("ann").await, 10);
    other.delete(&room, NOW).await.unwrap();
    not_found(store.append(message(&room, "ann", "gone")).await);
    let rows = [db.count("messages").await, db.count("outbox").await];
    assert_eq!(rows, [10, 10]);
}
