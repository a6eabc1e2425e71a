//! Conversations of two users under an id that one of them chose.

use porchlight::chat::NewMessage;

use super::backend::*;

pub async fn opens_the_conversation_of_an_id_for_its_two_users_only(db: Backend) {
    let store = db.open().await;
    let id = room("chat-1");
    let open = async |a, b| store.open_between(&id, &user(a), &user(b), NOW).await;
    let (made, fresh) = open("ann", "bob").await.unwrap();
    assert!(fresh && !made.is_group);
    assert_eq!((made.id.as_str(), made.last_seq), ("chat-1", 0));
    assert_eq!(names(&*made.user_ids()), ["ann", "bob"]);
    let (found, fresh) = open("bob", "ann").await.unwrap();
    assert!(!fresh);
    assert_eq!(found, made);
    not_participant(open("ann", "eve").await);
    not_participant(open("eve", "bob").await);
    not_participant(open("eve", "mallory").await);
    invalid(open("ann", "ann").await);
    store.delete(&id, NOW).await.unwrap();
    conflict(open("ann", "bob").await);
}

/// A group is nobody's own: any two of it may use it.
pub async fn the_first_direct_conversation_is_the_one_without_an_id(db: Backend) {
    let store = db.open().await;
    let (ann, bob) = (user("ann"), user("bob"));
    let between = async |name| {
        let opened = store.open_between(&room(name), &ann, &bob, NOW).await;
        let (conversation, fresh) = opened.unwrap();
        (conversation.id.as_str().to_owned(), fresh)
    };
    assert_eq!(between("chat-1").await, ("chat-1".to_owned(), true));
    assert_eq!(between("chat-2").await, ("chat-2".to_owned(), true));
    assert_eq!(between("chat-2").await, ("chat-2".to_owned(), false));
    let (direct, fresh) = store.open_direct(&bob, &ann, None, NOW).await.unwrap();
    assert_eq!((direct.id.as_str(), fresh), ("chat-1", false));
    store.delete(&room("chat-1"), NOW).await.unwrap();
    assert_eq!(between("chat-3").await, ("chat-3".to_owned(), true));
    let (direct, fresh) = store.open_direct(&ann, &bob, None, NOW).await.unwrap();
    assert_eq!((direct.id.as_str(), fresh), ("chat-3", false));
    group(&*store, "group", &["ann", "bob", "eve"]).await;
    assert_eq!(between("group").await, ("group".to_owned(), false));
    conflict(store.rename(&room("chat-2"), "no", NOW).await);
}

pub async fn concurrent_openings_make_one_conversation(db: Backend) {
    let stores = [db.open().await, db.open().await];
    let (id, ann, bob) = (room("chat-1"), user("ann"), user("bob"));
    let openings = (0..12).map(|n| {
        let (a, b) = if n % 3 == 0 {
            (&ann, &bob)
        } else {
            (&bob, &ann)
        };
        stores[n % 2].open_between(&id, a, b, NOW)
    });
    let opened = futures_util::future::join_all(openings).await;
    let fresh = opened.iter().filter(|o| o.as_ref().unwrap().1).count();
    assert_eq!(fresh, 1);
    for result in opened {
        assert_eq!(result.unwrap().0.user_ids().len(), 2);
    }
}

pub async fn a_named_receiver_must_take_part(db: Backend) {
    let store = db.open().await;
    let id = group(&*store, "room", &["ann", "bob"]).await;
    let to = |who: &str| NewMessage {
        with: Some(user(who)),
        ..message(&id, "ann", "hello")
    };
    assert_eq!(store.append(to("bob")).await.unwrap().message.seq, 1);
    not_participant(store.append(to("eve")).await);
    store
        .remove_participant(&id, &user("bob"), NOW)
        .await
        .unwrap();
    not_participant(store.append(to("bob")).await);
    assert_eq!(say(&*store, &id, "ann", "alone").await.message.seq, 2);
    not_found(
        store
            .append(NewMessage {
                conversation: room("none"),
                ..to("bob")
            })
            .await,
    );
}
