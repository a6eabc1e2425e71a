//! Appending: numbers, idempotency, refusals, durability.

use std::{collections::BTreeSet, sync::Arc};

use porchlight::chat::{Cursor, Millis, NewMessage, Page, Profile};
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use super::backend::*;

pub async fn numbers_messages_without_gaps_under_concurrent_senders(db: Backend) {
    const SENDERS: usize = 64;
    const ROOMS: usize = 5;
    const EACH: usize = 15;
    // Two stores, as two nodes have them.
    let stores = [db.open().await, db.open().await];
    let names: Vec<String> = (0..SENDERS).map(|n| format!("u{n}")).collect();
    let everyone: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut rooms = Vec::new();
    for n in 0..ROOMS {
        rooms.push(group(&*stores[0], &format!("room{n}"), &everyone).await);
    }
    let mut senders = JoinSet::new();
    for (n, name) in names.clone().into_iter().enumerate() {
        let store = Arc::clone(&stores[n % 2]);
        let rooms = rooms.clone();
        senders.spawn(async move {
            let mut acked = Vec::new();
            for i in 0..EACH {
                let room = &rooms[(n + i) % ROOMS];
                acked.push(
                    say(&*store, room, &name, &format!("{name}/{i}"))
                        .await
                        .message,
                );
            }
            acked
        });
    }
    let acked: Vec<_> = senders.join_all().await.into_iter().flatten().collect();
    assert_eq!(acked.len(), SENDERS * EACH);
    for room in &rooms {
        let stored = stores[0].messages_between(room, 0, u64::MAX).await.unwrap();
        let seqs: Vec<u64> = stored.iter().map(|m| m.seq).collect();
        assert_eq!(seqs, (1..=stored.len() as u64).collect::<Vec<_>>());
        let here: Vec<_> = acked.iter().filter(|m| &m.conversation == room).collect();
        assert_eq!(here.len(), stored.len());
        for ack in here {
            let same = &stored[ack.seq as usize - 1];
            assert_eq!((&same.id, &same.content), (&ack.id, &ack.content));
        }
        // One sender's messages are in the order in which they were acked.
        for name in &names {
            let own: Vec<usize> = stored
                .iter()
                .filter(|m| m.sender.id.as_str() == name)
                .map(|m| m.content.rsplit('/').next().unwrap().parse().unwrap())
                .collect();
            assert!(own.is_sorted());
        }
    }
}

pub async fn returns_what_was_committed(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann", "bob"]).await;
    let sender = Profile {
        name: "Ann".into(),
        email: Some("ann@example.org".into()),
        avatar: Some("https://example.org/ann.png".into()),
        id: user("ann"),
    };
    store.upsert_user(&sender, NOW).await.unwrap();
    let new = NewMessage {
        sender: sender.clone(),
        client_id: Some("key".into()),
        kind: "image".into(),
        metadata: Some(
            RawValue::from_string(r#"{"b": 1,  "a":[null]}"#.into())
                .unwrap()
                .into(),
        ),
        created_at: Millis(NOW.0 + 7),
        ..message(&room, "ann", "hello")
    };
    let appended = store.append(new.clone()).await.unwrap();
    assert!(!appended.duplicate && appended.outbox.is_some());
    assert_eq!(names(&*appended.participants), ["ann", "bob"]);
    let read = store.message_at(&room, 1).await.unwrap().unwrap();
    for m in [&appended.message, &read] {
        assert_eq!((&m.id, &m.conversation, m.seq), (&new.id, &room, 1));
        assert_eq!(m.sender, sender);
        assert_eq!(m.client_id.as_deref(), Some("key"));
        assert_eq!(
            (&*m.kind, &*m.content, m.created_at),
            ("image", "hello", new.created_at)
        );
        let metadata = m.metadata.as_deref().map(RawValue::get);
        assert_eq!(metadata, Some(r#"{"b": 1,  "a":[null]}"#));
    }
    let conversation = store.conversation(&room, &user("bob")).await.unwrap();
    assert_eq!(conversation.last_seq, 1);
    assert_eq!(conversation.updated_at, new.created_at);
    // A message with an earlier time does not take the conversation back.
    say(&*store, &room, "bob", "earlier").await;
    let conversation = store.conversation(&room, &user("bob")).await.unwrap();
    assert_eq!(
        (conversation.last_seq, conversation.updated_at),
        (2, new.created_at)
    );
}

pub async fn honours_a_client_id_sequentially(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann", "bob"]).await;
    let first = store.append(keyed(&room, "ann", "k")).await.unwrap();
    say(&*store, &room, "bob", "between").await;
    let again = store.append(keyed(&room, "ann", "k")).await.unwrap();
    assert!(again.duplicate && again.outbox.is_none());
    assert_eq!(
        (&again.message.id, again.message.seq),
        (&first.message.id, 1)
    );
    assert_eq!(names(&*again.participants), ["ann", "bob"]);
    // The key is the sender's own.
    let other = store.append(keyed(&room, "bob", "k")).await.unwrap();
    assert!(!other.duplicate);
    assert_eq!(other.message.seq, 3);
    // Who has left still gets the answer to what was committed before.
    store
        .remove_participant(&room, &user("ann"), NOW)
        .await
        .unwrap();
    let late = store.append(keyed(&room, "ann", "k")).await.unwrap();
    assert!(late.duplicate);
    assert_eq!(late.message.seq, 1);
    assert_eq!(db.count("messages").await, 3);
}

pub async fn honours_a_client_id_concurrently(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann"]).await;
    for round in 0..10 {
        let sends = (0..20).map(|_| store.append(keyed(&room, "ann", &format!("k{round}"))));
        let acks = futures_util::future::join_all(sends).await;
        let acks: Vec<_> = acks.into_iter().map(Result::unwrap).collect();
        assert_eq!(acks.iter().filter(|a| !a.duplicate).count(), 1);
        assert!(acks.iter().all(|a| a.message.seq == round + 1));
        assert!(acks.iter().all(|a| a.message.id == acks[0].message.id));
    }
}

pub async fn honours_a_client_id_over_two_stores(db: Backend) {
    let stores = [db.open().await, db.open().await];
    let room = group(&*stores[0], "room", &["ann"]).await;
    for round in 0..20 {
        let sends = (0..8).map(|n| {
            let store = Arc::clone(&stores[n % 2]);
            let new = keyed(&room, "ann", &format!("k{round}"));
            tokio::spawn(async move { store.append(new).await.unwrap() })
        });
        let acks = futures_util::future::join_all(sends).await;
        let acks: Vec<_> = acks.into_iter().map(Result::unwrap).collect();
        assert_eq!(acks.iter().filter(|a| !a.duplicate).count(), 1);
        assert!(acks.iter().all(|a| a.message.seq == round + 1));
    }
    assert_eq!(db.count("messages").await, 20);
}

pub async fn honours_a_client_id_after_reopening(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann"]).await;
    let first = store.append(keyed(&room, "ann", "k")).await.unwrap();
    store.close().await;
    let store = db.open().await;
    let again = store.append(keyed(&room, "ann", "k")).await.unwrap();
    assert!(again.duplicate);
    assert_eq!(again.message.id, first.message.id);
    assert_eq!(say(&*store, &room, "ann", "next").await.message.seq, 2);
}

pub async fn refuses_a_client_id_of_another_conversation(db: Backend) {
    let store = db.open().await;
    let one = group(&*store, "one", &["ann"]).await;
    let two = group(&*store, "two", &["ann"]).await;
    let strange = group(&*store, "strange", &["bob"]).await;
    store.append(keyed(&one, "ann", "k")).await.unwrap();
    conflict(store.append(keyed(&two, "ann", "k")).await);
    not_participant(store.append(keyed(&strange, "ann", "k")).await);
    assert_eq!(say(&*store, &two, "ann", "first").await.message.seq, 1);
}

pub async fn settles_a_race_for_one_client_id_between_conversations(db: Backend) {
    let stores = [db.open().await, db.open().await];
    let rooms = [
        group(&*stores[0], "one", &["ann"]).await,
        group(&*stores[0], "two", &["ann"]).await,
    ];
    for round in 0..20 {
        let sends = (0..8).map(|n| {
            let store = Arc::clone(&stores[n % 2]);
            let new = keyed(&rooms[n / 2 % 2], "ann", &format!("k{round}"));
            tokio::spawn(async move { store.append(new).await })
        });
        let mut new = 0;
        let mut conflicts = 0;
        for ack in futures_util::future::join_all(sends).await {
            match ack.unwrap() {
                Ok(ack) => new += usize::from(!ack.duplicate),
                refused => {
                    conflict(refused);
                    conflicts += 1;
                }
            }
        }
        assert_eq!((new, conflicts), (1, 4));
    }
    let seqs = stores[0].last_seqs(&rooms).await.unwrap();
    assert_eq!(seqs.values().sum::<u64>(), 20);
    for room in &rooms {
        let stored = stores[0].messages_between(room, 0, u64::MAX).await.unwrap();
        assert!(stored.iter().map(|m| m.seq).eq(1..=seqs[room]));
    }
}

pub async fn refuses_strangers_and_those_removed(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann", "bob"]).await;
    not_participant(store.append(message(&room, "eve", "hi")).await);
    say(&*store, &room, "bob", "hi").await;
    store
        .remove_participant(&room, &user("bob"), NOW)
        .await
        .unwrap();
    not_participant(store.append(message(&room, "bob", "still here?")).await);
    store
        .add_participants(&room, &[user("bob")], 10, NOW)
        .await
        .unwrap();
    assert_eq!(say(&*store, &room, "bob", "back").await.message.seq, 2);
}

pub async fn refuses_unknown_and_deleted_conversations(db: Backend) {
    let store = db.open().await;
    not_found(store.append(message(&room("none"), "ann", "hi")).await);
    let gone = group(&*store, "gone", &["ann"]).await;
    store.append(keyed(&gone, "ann", "k")).await.unwrap();
    store.delete(&gone, NOW).await.unwrap();
    not_found(store.append(message(&gone, "ann", "hi")).await);
    not_found(store.append(keyed(&gone, "ann", "k")).await);
}

pub async fn one_bad_message_does_not_fail_the_others(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann"]).await;
    let other = group(&*store, "other", &["ann"]).await;
    let taken = store
        .append(keyed(&other, "ann", "taken"))
        .await
        .unwrap()
        .message;
    // Polled together, so that they queue up while the first one is being committed.
    let sends = (0..60).map(|n| {
        let new = match n % 6 {
            0 => message(&super::backend::room("none"), "ann", "nowhere"),
            1 => message(&room, "eve", "stranger"),
            2 => keyed(&room, "ann", "taken"),
            3 => message(&room, "ann", "a NUL \0 that PostgreSQL cannot hold"),
            4 => NewMessage {
                id: taken.id.clone(),
                ..message(&room, "ann", "an id that is taken")
            },
            _ => message(&room, "ann", "good"),
        };
        store.append(new)
    });
    let results = futures_util::future::join_all(sends).await;
    let mut seqs = BTreeSet::new();
    for (n, result) in results.into_iter().enumerate() {
        match n % 6 {
            0 => not_found(result),
            1 => not_participant(result),
            2 | 4 => conflict(result),
            3 => invalid(result),
            _ => assert!(seqs.insert(result.unwrap().message.seq)),
        }
    }
    assert!(seqs.into_iter().eq(1..=10));
}

pub async fn a_taken_message_id_is_a_conflict(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann"]).await;
    let first = say(&*store, &room, "ann", "first").await.message;
    let second = NewMessage {
        id: first.id.clone(),
        ..message(&room, "ann", "second")
    };
    conflict(store.append(second).await);
    assert_eq!(say(&*store, &room, "ann", "third").await.message.seq, 2);
}

pub async fn keeps_every_text(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann"]).await;
    let long = "häßlich ".repeat(2000);
    let texts = [
        "",
        " ",
        "null",
        "12",
        "1.0",
        "[1]",
        "{\"a\":1}",
        "\"quoted\" \\ back / slash",
        "\u{1}\u{7f}\u{85}\u{2028}\t\r\n",
        "👩‍👩‍👧 ẞ \u{10ffff}",
        "'; DROP TABLE messages; --",
        &long,
    ];
    for text in texts {
        let new = NewMessage {
            kind: text.into(),
            client_id: Some(format!("k{text:.20}").into()),
            ..message(&room, "ann", text)
        };
        let appended = store.append(new.clone()).await.unwrap();
        let read = store
            .message_at(&room, appended.message.seq)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((&*read.content, &*read.kind), (text, text));
        assert_eq!(read.client_id, new.client_id);
    }
}

pub async fn survives_without_closing(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann"]).await;
    let acked = futures_util::future::join_all((0..50).map(|n| {
        let (store, room) = (&store, &room);
        async move { say(&**store, room, "ann", &n.to_string()).await.message }
    }))
    .await;
    // Neither closed nor checkpointed: what another process finds after a crash.
    let copy = Backend::at(db.cfg.url.clone());
    if db.cfg.url.is_empty() {
        std::fs::create_dir_all(copy.file.parent().unwrap()).unwrap();
        for suffix in ["", "-wal"] {
            let name = |file: &std::path::Path| format!("{}{suffix}", file.display());
            std::fs::copy(name(&db.file), name(&copy.file)).unwrap();
        }
    }
    drop(store);
    let store = copy.open().await;
    let stored = store.messages_between(&room, 0, u64::MAX).await.unwrap();
    assert_eq!(stored.len(), 50);
    for ack in acked {
        assert_eq!(stored[ack.seq as usize - 1].id, ack.id);
    }
}

pub async fn commits_what_is_queued_when_closing(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann"]).await;
    let mut sends = JoinSet::new();
    for n in 0..300 {
        let (store, room) = (Arc::clone(&store), room.clone());
        sends.spawn(async move { store.append(message(&room, "ann", &n.to_string())).await });
    }
    // Some are committed, some queued, some not yet sent.
    sends.join_next().await.unwrap().unwrap().unwrap();
    store.close().await;
    let mut acked = 1;
    while let Some(result) = sends.join_next().await {
        match result.unwrap() {
            Ok(_) => acked += 1,
            refused => unavailable(refused),
        }
    }
    let store = db.open().await;
    assert_eq!(
        store.last_seqs(std::slice::from_ref(&room)).await.unwrap()[&room],
        acked
    );
}

pub async fn refuses_everything_after_closing(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann"]).await;
    store.close().await;
    store.close().await;
    unavailable(store.append(message(&room, "ann", "late")).await);
    unavailable(
        store
            .advance(&room, &user("ann"), Cursor::Read, 1, NOW)
            .await,
    );
    unavailable(store.conversation(&room, &user("ann")).await);
    unavailable(store.rename(&room, "late", NOW).await);
    let page = Page::Newest {
        before: None,
        limit: 1,
    };
    unavailable(store.messages(&room, &user("ann"), page).await);
    assert!(store.ping().await.is_err());
}
