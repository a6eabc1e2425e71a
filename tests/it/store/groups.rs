//! Making and changing conversations.

use std::sync::Arc;

use porchlight::chat::{Conversation, Cursor, Role};
use tokio::task::JoinSet;

use super::backend::*;

fn members(conversation: &Conversation) -> Vec<(&str, Role)> {
    let participants = conversation.participants.iter();
    participants
        .map(|p| (p.profile.id.as_str(), p.role))
        .collect()
}

pub async fn are_made_with_their_roles(db: Backend) {
    let store = db.open().await;
    let participants = [
        (user("cid"), Role::Admin),
        (user("bob"), Role::Member),
        (user("ann"), Role::Member),
        (user("bob"), Role::Admin),
    ];
    let id = room("g");
    let made = store
        .create_group(&id, "Änderung", &participants, NOW)
        .await
        .unwrap();
    assert_eq!(
        (&made.id, made.title.as_deref(), made.is_group),
        (&id, Some("Änderung"), true)
    );
    assert_eq!(
        (made.last_seq, made.created_at, made.updated_at),
        (0, NOW, NOW)
    );
    // By joining time, then id; named twice counts once.
    let expected = [
        ("ann", Role::Member),
        ("bob", Role::Member),
        ("cid", Role::Admin),
    ];
    assert_eq!(members(&made), expected);
    assert_eq!(store.conversation(&id, &user("bob")).await.unwrap(), made);
    assert_eq!(&*made.participants[0].profile.name, "ann");
    assert!(
        made.participants
            .iter()
            .all(|p| p.joined_at == NOW && p.read_seq == 0)
    );
    invalid(store.create_group(&room("empty"), "Empty", &[], NOW).await);
    invalid(
        store
            .create_group(&room("nul"), "N\0L", &participants, NOW)
            .await,
    );
}

pub async fn refuse_a_taken_id(db: Backend) {
    let store = db.open().await;
    let id = group(&*store, "g", &["ann"]).await;
    let again = [(user("bob"), Role::Admin)];
    conflict(store.create_group(&id, "Again", &again, NOW).await);
    conflict(
        store
            .open_direct(&user("ann"), &user("bob"), Some(&id), NOW)
            .await,
    );
    store.delete(&id, NOW).await.unwrap();
    conflict(store.create_group(&id, "Again", &again, NOW).await);
    assert_eq!(store.contacts(&user("bob"), 10).await.unwrap(), []);
}

pub async fn take_in_members_once(db: Backend) {
    let store = db.open().await;
    let id = group(&*store, "g", &["ann"]).await;
    say(&*store, &id, "ann", "before they came").await;
    let users = [user("bob"), user("ann"), user("cid"), user("bob")];
    let grown = store
        .add_participants(&id, &users, 10, NOW.plus(5))
        .await
        .unwrap();
    let expected = [
        ("ann", Role::Admin),
        ("bob", Role::Member),
        ("cid", Role::Member),
    ];
    assert_eq!(members(&grown), expected);
    assert_eq!(
        (grown.updated_at, grown.participants[1].joined_at),
        (NOW.plus(5), NOW.plus(5))
    );
    // What was said before is not unread.
    assert_eq!(grown.participants[1].read_seq, 1);
    let same = store
        .add_participants(&id, &users, 3, NOW.plus(9))
        .await
        .unwrap();
    assert_eq!(same, grown);
    not_found(store.add_participants(&room("none"), &users, 10, NOW).await);
}

pub async fn are_bounded(db: Backend) {
    let store = db.open().await;
    let id = group(&*store, "g", &["ann"]).await;
    let users = [user("bob"), user("cid")];
    too_many(store.add_participants(&id, &users, 2, NOW).await);
    assert_eq!(
        store
            .conversation(&id, &user("ann"))
            .await
            .unwrap()
            .participants
            .len(),
        1
    );
    store.add_participants(&id, &users, 3, NOW).await.unwrap();
    // Concurrently, over two stores, the bound holds too.
    let other = db.open().await;
    let mut adding = JoinSet::new();
    for n in 0..10 {
        let store = Arc::clone(if n % 2 == 0 { &store } else { &other });
        let id = id.clone();
        adding.spawn(async move {
            store
                .add_participants(&id, &[user(&format!("u{n}"))], 7, NOW)
                .await
                .is_ok()
        });
    }
    let added = adding.join_all().await.into_iter().filter(|ok| *ok).count();
    assert_eq!(added, 4);
    assert_eq!(
        store
            .conversation(&id, &user("ann"))
            .await
            .unwrap()
            .participants
            .len(),
        7
    );
}

pub async fn lose_members_and_take_them_back(db: Backend) {
    let store = db.open().await;
    let id = group(&*store, "g", &["ann", "bob"]).await;
    say(&*store, &id, "bob", "one").await;
    let left = store
        .remove_participant(&id, &user("bob"), NOW.plus(1))
        .await
        .unwrap();
    assert_eq!(
        (members(&left), left.updated_at),
        (vec![("ann", Role::Admin)], NOW.plus(1))
    );
    not_participant(store.remove_participant(&id, &user("bob"), NOW).await);
    not_participant(store.remove_participant(&id, &user("eve"), NOW).await);
    not_participant(store.conversation(&id, &user("bob")).await);
    assert!(
        store
            .conversations(&user("bob"), None, 9)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    say(&*store, &id, "ann", "two").await;
    let back = store
        .add_participants(&id, &[user("bob")], 9, NOW.plus(2))
        .await
        .unwrap();
    let bob = back.participant(&user("bob")).unwrap();
    assert_eq!(
        (bob.role, bob.joined_at, bob.read_seq),
        (Role::Member, NOW.plus(2), 2)
    );
    not_found(
        store
            .remove_participant(&room("none"), &user("ann"), NOW)
            .await,
    );
}

pub async fn never_remain_without_an_admin(db: Backend) {
    let store = db.open().await;
    let id = group(&*store, "g", &["zoe"]).await;
    store
        .add_participants(&id, &[user("yan")], 9, NOW.plus(1))
        .await
        .unwrap();
    store
        .add_participants(&id, &[user("ann")], 9, NOW.plus(2))
        .await
        .unwrap();
    let left = store
        .remove_participant(&id, &user("zoe"), NOW.plus(3))
        .await
        .unwrap();
    assert_eq!(
        members(&left),
        [("yan", Role::Admin), ("ann", Role::Member)]
    );
    // While an admin remains nobody is promoted.
    store
        .add_participants(&id, &[user("zoe")], 9, NOW.plus(4))
        .await
        .unwrap();
    let left = store
        .remove_participant(&id, &user("ann"), NOW.plus(5))
        .await
        .unwrap();
    assert_eq!(
        members(&left),
        [("yan", Role::Admin), ("zoe", Role::Member)]
    );
}

pub async fn end_with_their_last_member(db: Backend) {
    let store = db.open().await;
    let id = group(&*store, "g", &["ann", "bob"]).await;
    store
        .remove_participant(&id, &user("bob"), NOW)
        .await
        .unwrap();
    let ended = store
        .remove_participant(&id, &user("ann"), NOW.plus(1))
        .await
        .unwrap();
    assert_eq!((&ended.id, ended.participants.len()), (&id, 0));
    not_found(store.conversation(&id, &user("ann")).await);
    not_found(store.add_participants(&id, &[user("ann")], 9, NOW).await);
}

pub async fn are_renamed(db: Backend) {
    let store = db.open().await;
    let id = group(&*store, "g", &["ann"]).await;
    let renamed = store.rename(&id, "New", NOW.plus(1)).await.unwrap();
    assert_eq!(
        (renamed.title.as_deref(), renamed.updated_at),
        (Some("New"), NOW.plus(1))
    );
    assert_eq!(
        store.conversation(&id, &user("ann")).await.unwrap(),
        renamed
    );
    invalid(store.rename(&id, "\0", NOW).await);
    not_found(store.rename(&room("none"), "New", NOW).await);
}

pub async fn direct_is_unique_for_a_pair(db: Backend) {
    let store = db.open().await;
    let (ann, bob) = (user("ann"), user("bob"));
    let (made, new) = store
        .open_direct(&bob, &ann, Some(&room("d")), NOW)
        .await
        .unwrap();
    assert!(new && !made.is_group && made.title.is_none());
    assert_eq!(made.id, room("d"));
    assert_eq!(names(&*made.user_ids()), ["ann", "bob"]);
    let (found, new) = store
        .open_direct(&ann, &bob, None, NOW.plus(1))
        .await
        .unwrap();
    assert!(!new);
    assert_eq!(found, made);
    // An id is ignored where there is a conversation already, even one that names another.
    let other = group(&*store, "g", &["ann"]).await;
    let (found, new) = store
        .open_direct(&ann, &bob, Some(&other), NOW)
        .await
        .unwrap();
    assert_eq!((found, new), (made, false));
    conflict(
        store
            .open_direct(&ann, &user("cid"), Some(&other), NOW)
            .await,
    );
    invalid(store.open_direct(&ann, &ann, None, NOW).await);
    // Pairs whose ids run together are different pairs.
    let (one, _) = store
        .open_direct(&user("a:b"), &user("c"), None, NOW)
        .await
        .unwrap();
    let (two, _) = store
        .open_direct(&user("a"), &user("b:c"), None, NOW)
        .await
        .unwrap();
    assert_ne!(one.id, two.id);
}

pub async fn direct_is_made_once_by_many(db: Backend) {
    let stores = [db.open().await, db.open().await];
    for round in 0..10 {
        let mut opening = JoinSet::new();
        for n in 0..8 {
            let store = Arc::clone(&stores[n % 2]);
            opening.spawn(async move {
                let (a, b) = (user("ann"), user(&format!("bob{round}")));
                let (a, b) = if n < 4 { (a, b) } else { (b, a) };
                store.open_direct(&a, &b, None, NOW).await.unwrap()
            });
        }
        let opened = opening.join_all().await;
        assert_eq!(opened.iter().filter(|(_, new)| *new).count(), 1);
        assert!(
            opened
                .iter()
                .all(|(c, _)| c.id == opened[0].0.id && c.participants.len() == 2)
        );
    }
}

pub async fn direct_does_not_change(db: Backend) {
    let store = db.open().await;
    let (direct, _) = store
        .open_direct(&user("ann"), &user("bob"), None, NOW)
        .await
        .unwrap();
    let (id, ann) = (&direct.id, &user("ann"));
    conflict(store.add_participants(id, &[user("cid")], 9, NOW).await);
    conflict(store.remove_participant(id, ann, NOW).await);
    conflict(store.rename(id, "Us", NOW).await);
    assert_eq!(store.conversation(id, ann).await.unwrap(), direct);
}

pub async fn deleting_frees_the_pair(db: Backend) {
    let store = db.open().await;
    let (ann, bob) = (user("ann"), user("bob"));
    let (first, _) = store.open_direct(&ann, &bob, None, NOW).await.unwrap();
    say(&*store, &first.id, "ann", "hi").await;
    store.delete(&first.id, NOW).await.unwrap();
    let (second, new) = store.open_direct(&ann, &bob, None, NOW).await.unwrap();
    assert!(new && second.id != first.id);
    assert_eq!(second.last_seq, 0);
    let page = store.conversations(&ann, None, 9).await.unwrap();
    assert_eq!(page.items.len(), 1);
    // The id of the deleted one stays taken.
    conflict(
        store
            .open_direct(&ann, &user("cid"), Some(&first.id), NOW)
            .await,
    );
}

pub async fn deleting_tells_who_took_part(db: Backend) {
    let store = db.open().await;
    let id = group(&*store, "g", &["ann", "bob", "cid"]).await;
    store
        .remove_participant(&id, &user("bob"), NOW)
        .await
        .unwrap();
    assert_eq!(
        names(&*store.delete(&id, NOW).await.unwrap()),
        ["ann", "cid"]
    );
    not_found(store.delete(&id, NOW).await);
}

pub async fn membership_and_messages_do_not_deadlock(db: Backend) {
    let stores = [db.open().await, db.open().await];
    let mut rooms = Vec::new();
    for n in 0..4 {
        let people = ["ann", "bob", "cid", "dan"];
        rooms.push(group(&*stores[0], &format!("g{n}"), &people).await);
    }
    let mut work = JoinSet::new();
    for n in 0..32_usize {
        let store = Arc::clone(&stores[n % 2]);
        let rooms = rooms.clone();
        work.spawn(async move {
            for i in 0..12_usize {
                let room = &rooms[(n + i) % rooms.len()];
                let [ann, bob, cid, dan] = ["ann", "bob", "cid", "dan"].map(user);
                match n % 4 {
                    0 => drop(say(&*store, room, "ann", "hi").await),
                    1 => {
                        for reader in [&bob, &ann] {
                            let read = store.advance(room, reader, Cursor::Read, 1000, NOW);
                            read.await.unwrap();
                        }
                    }
                    2 => match store.remove_participant(room, &cid, NOW).await {
                        Ok(_) => {}
                        refused => not_participant(refused),
                    },
                    _ => drop(
                        store
                            .add_participants(room, &[dan, cid], 9, NOW)
                            .await
                            .unwrap(),
                    ),
                }
            }
        });
    }
    work.join_all().await;
    for room in &rooms {
        let last = stores[0]
            .last_seqs(std::slice::from_ref(room))
            .await
            .unwrap()[room];
        let stored = stores[0].messages_between(room, 0, last).await.unwrap();
        assert!(stored.iter().map(|m| m.seq).eq(1..=last));
    }
}
