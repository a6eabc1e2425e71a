//! The outbox: claimed, leased, cleared.

use std::{collections::BTreeSet, sync::Arc};

use porchlight::chat::{Millis, NewMessage};

use super::backend::*;

/// Later than every message of these tests.
const LATER: Millis = Millis(NOW.0 + 1000);

pub async fn holds_each_message_until_it_is_published(db: Backend) {
    let store = db.open().await;
    let one = group(&*store, "one", &["ann", "bob"]).await;
    let two = group(&*store, "two", &["ann"]).await;
    let said = [
        say(&*store, &one, "ann", "first").await,
        say(&*store, &two, "ann", "second").await,
        say(&*store, &one, "bob", "third").await,
    ];
    let young = NewMessage {
        created_at: LATER,
        ..message(&one, "ann", "too young")
    };
    store.append(young).await.unwrap();
    store.published(&[said[1].outbox.unwrap()]);
    store.published(&[]);
    eventually("the row is deleted", || async {
        db.count("outbox").await == 3
    })
    .await;
    let claimed = store.claim_unpublished(LATER, 9).await.unwrap();
    let ids: Vec<_> = claimed.iter().map(|row| Some(row.id)).collect();
    assert_eq!(ids, [said[0].outbox, said[2].outbox]);
    assert_eq!(claimed[0].message.id, said[0].message.id);
    assert_eq!(
        (&*claimed[1].message.content, claimed[1].message.seq),
        ("third", 2)
    );
    assert_eq!(names(&*claimed[0].participants), ["ann", "bob"]);
    store.published(&[claimed[0].id, claimed[1].id]);
    eventually("the rows are deleted", || async {
        db.count("outbox").await == 1
    })
    .await;
}

pub async fn leases_what_it_hands_out(db: Backend) {
    let (store, other) = (db.open().await, db.open().await);
    let id = group(&*store, "room", &["ann"]).await;
    for n in 0..5 {
        say(&*store, &id, "ann", &n.to_string()).await;
    }
    let seqs = async |store: &Arc<dyn porchlight::chat::Store>, limit| {
        let claimed = store.claim_unpublished(LATER, limit).await.unwrap();
        claimed
            .iter()
            .map(|row| row.message.seq)
            .collect::<Vec<_>>()
    };
    assert_eq!(seqs(&store, 2).await, [1, 2]);
    assert_eq!(seqs(&other, 2).await, [3, 4]);
    assert_eq!(seqs(&other, 9).await, [5]);
    assert!(seqs(&store, 9).await.is_empty());
    // Nine seconds later, and two more.
    db.execute("UPDATE outbox SET claimed_until = claimed_until - 9000")
        .await;
    assert!(seqs(&store, 9).await.is_empty());
    db.execute("UPDATE outbox SET claimed_until = claimed_until - 2000")
        .await;
    assert_eq!(seqs(&other, 9).await, [1, 2, 3, 4, 5]);
}

pub async fn hands_each_row_to_one_claimer(db: Backend) {
    let stores = [db.open().await, db.open().await];
    let id = group(&*stores[0], "room", &["ann"]).await;
    let sends = (0..60).map(|n| stores[n % 2].append(message(&id, "ann", "hi")));
    futures_util::future::join_all(sends).await;
    let claims = (0..8).map(|n| stores[n % 2].claim_unpublished(LATER, 10));
    let mut seen = BTreeSet::new();
    for claimed in futures_util::future::join_all(claims).await {
        for row in claimed.unwrap() {
            assert!(seen.insert(row.message.seq), "handed out twice");
        }
    }
    // Claimers that run into each other may leave rows for the next round.
    for row in stores[0].claim_unpublished(LATER, 100).await.unwrap() {
        assert!(seen.insert(row.message.seq), "handed out twice");
    }
    assert!(seen.into_iter().eq(1..=60));
}

pub async fn clears_without_further_traffic(db: Backend) {
    let store = db.open().await;
    let id = group(&*store, "room", &["ann"]).await;
    let said = say(&*store, &id, "ann", "hi").await;
    store.published(&[said.outbox.unwrap()]);
    eventually("cleared while idle", || async {
        db.count("outbox").await == 0
    })
    .await;
    // What is cleared last goes when the store closes.
    let said = say(&*store, &id, "ann", "bye").await;
    store.published(&[said.outbox.unwrap()]);
    store.close().await;
    assert_eq!(db.count("outbox").await, 0);
}
