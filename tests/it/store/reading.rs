//! Reading: pages, lists, users.

use porchlight::chat::{ConversationId, Cursor, MessageId, Page, Profile, Role, Store};

use super::backend::*;

async fn page(store: &dyn Store, id: &ConversationId, page: Page) -> (Vec<u64>, bool) {
    let (messages, more) = store.messages(id, &user("ann"), page).await.unwrap();
    (messages.iter().map(|m| m.seq).collect(), more)
}

pub async fn pages_of_messages_in_both_directions(db: Backend) {
    let store = db.open().await;
    let id = group(&*store, "room", &["ann"]).await;
    let newest = async |before, limit| page(&*store, &id, Page::Newest { before, limit }).await;
    let after = async |after, limit| page(&*store, &id, Page::After { after, limit }).await;
    assert_eq!(newest(None, 5).await, (vec![], false));
    assert_eq!(after(0, 5).await, (vec![], false));
    for n in 0..7 {
        say(&*store, &id, "ann", &n.to_string()).await;
    }
    assert_eq!(newest(None, 3).await, (vec![5, 6, 7], true));
    assert_eq!(newest(None, 7).await, (vec![1, 2, 3, 4, 5, 6, 7], false));
    assert_eq!(newest(Some(5), 3).await, (vec![2, 3, 4], true));
    assert_eq!(newest(Some(4), 3).await, (vec![1, 2, 3], false));
    assert_eq!(newest(Some(1), 3).await, (vec![], false));
    assert_eq!(newest(Some(u64::MAX), 1).await, (vec![7], true));
    assert_eq!(after(0, 3).await, (vec![1, 2, 3], true));
    assert_eq!(after(4, 3).await, (vec![5, 6, 7], false));
    assert_eq!(after(4, 2).await, (vec![5, 6], true));
    assert_eq!(after(7, 2).await, (vec![], false));
    assert_eq!(after(u64::MAX, 2).await, (vec![], false));
}

pub async fn messages_need_a_participant(db: Backend) {
    let store = db.open().await;
    let id = group(&*store, "room", &["ann", "bob"]).await;
    let page = Page::After { after: 0, limit: 9 };
    not_participant(store.messages(&id, &user("eve"), page).await);
    not_participant(store.conversation(&id, &user("eve")).await);
    store
        .remove_participant(&id, &user("bob"), NOW)
        .await
        .unwrap();
    not_participant(store.messages(&id, &user("bob"), page).await);
    not_found(store.messages(&room("none"), &user("ann"), page).await);
    not_found(store.conversation(&room("none"), &user("ann")).await);
}

pub async fn gaps_last_seqs_and_places(db: Backend) {
    let store = db.open().await;
    let one = group(&*store, "one", &["ann"]).await;
    let two = group(&*store, "two", &["ann"]).await;
    assert!(store.last_message(&one).await.unwrap().is_none());
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(
            say(&*store, &one, "ann", &n.to_string())
                .await
                .message
                .id
                .clone(),
        );
    }
    let between = async |after, until| {
        let found = store.messages_between(&one, after, until).await.unwrap();
        found.iter().map(|m| m.seq).collect::<Vec<_>>()
    };
    assert_eq!(between(1, 3).await, [2, 3]);
    assert_eq!(between(3, 99).await, [4, 5]);
    assert!(between(5, 9).await.is_empty() && between(3, 3).await.is_empty());
    let seqs = store
        .last_seqs(&[one.clone(), two.clone(), room("none")])
        .await
        .unwrap();
    assert_eq!(
        seqs.into_iter().collect::<Vec<_>>(),
        [(one.clone(), 5), (two, 0)]
    );
    assert!(store.last_seqs(&[]).await.unwrap().is_empty());

    assert_eq!(store.last_message(&one).await.unwrap().unwrap().id, ids[4]);
    assert_eq!(store.message_at(&one, 2).await.unwrap().unwrap().id, ids[1]);
    assert!(store.message_at(&one, 6).await.unwrap().is_none());
    assert!(store.message_at(&one, 0).await.unwrap().is_none());
    let asked = [ids[3].clone(), MessageId::generate(), ids[0].clone()];
    let mut places = store.locate(&asked).await.unwrap();
    places.sort_by_key(|place| place.seq);
    assert_eq!(places.len(), 2);
    assert_eq!((&places[0].id, places[0].seq), (&ids[0], 1));
    assert_eq!((&places[1].id, places[1].seq), (&ids[3], 4));
    assert_eq!(
        (&places[1].conversation, &places[1].sender),
        (&one, &user("ann"))
    );
    assert!(store.locate(&[]).await.unwrap().is_empty());
}

pub async fn the_list_is_ordered_and_paged(db: Backend) {
    let store = db.open().await;
    // Some share a time, so that the id decides.
    for n in 0..11 {
        let id = room(&format!("g{n:02}"));
        let members = [(user("ann"), Role::Admin), (user("bob"), Role::Member)];
        store
            .create_group(&id, "G", &members, NOW.plus(n / 3))
            .await
            .unwrap();
    }
    group(&*store, "strange", &["bob"]).await;
    let walk = async |limit| {
        let mut seen = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let found = store
                .conversations(&user("ann"), cursor.as_deref(), limit)
                .await
                .unwrap();
            assert!(found.items.len() <= limit as usize);
            seen.extend(
                found
                    .items
                    .iter()
                    .map(|item| item.conversation.id.to_string()),
            );
            match found.next {
                Some(next) => cursor = Some(next),
                None => return seen,
            }
        }
    };
    let expected: Vec<String> = (0..11).rev().map(|n| format!("g{n:02}")).collect();
    for limit in [1, 3, 10, 11, 50] {
        assert_eq!(walk(limit).await, expected, "{limit}");
    }
    // Saying something takes a conversation to the top.
    let mut new = message(&room("g04"), "bob", "hi");
    new.created_at = NOW.plus(100);
    store.append(new).await.unwrap();
    assert_eq!(walk(4).await[0], "g04");
    store.delete(&room("g04"), NOW.plus(101)).await.unwrap();
    assert_eq!(walk(4).await.len(), 10);
    for bad in ["", "nonsense", "%%%"] {
        not_found(store.conversations(&user("ann"), Some(bad), 5).await);
    }
    assert!(
        store
            .conversations(&user("nobody"), None, 5)
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

pub async fn the_list_counts_and_shows(db: Backend) {
    let store = db.open().await;
    let ann = Profile {
        name: "Ann".into(),
        ..Profile::unknown(user("ann"))
    };
    store.upsert_user(&ann, NOW).await.unwrap();
    let quiet = group(&*store, "quiet", &["ann", "bob"]).await;
    let (direct, _) = store
        .open_direct(&user("ann"), &user("bob"), None, NOW)
        .await
        .unwrap();
    for n in 0..4 {
        let mut new = message(&direct.id, "ann", &n.to_string());
        new.created_at = NOW.plus(n);
        store.append(new).await.unwrap();
    }
    store
        .advance(&direct.id, &user("bob"), Cursor::Read, 1, NOW)
        .await
        .unwrap();
    let found = store.conversations(&user("bob"), None, 9).await.unwrap();
    assert!(found.next.is_none());
    let [first, second] = &found.items[..] else {
        panic!("{found:?}")
    };
    assert_eq!((&first.conversation.id, first.unread), (&direct.id, 3));
    let last = first.last_message.as_ref().unwrap();
    assert_eq!(
        (last.seq, &*last.content, &*last.sender.name),
        (4, "3", "Ann")
    );
    assert_eq!(names(&*first.conversation.user_ids()), ["ann", "bob"]);
    assert_eq!(
        first.conversation,
        store.conversation(&direct.id, &user("bob")).await.unwrap()
    );
    assert_eq!((&second.conversation.id, second.unread), (&quiet, 0));
    assert!(second.last_message.is_none());
    assert_eq!(second.conversation.title.as_deref(), Some("A group"));
    // For the sender nothing is unread.
    let found = store.conversations(&user("ann"), None, 9).await.unwrap();
    assert_eq!(found.items[0].unread, 0);
}

pub async fn users_keep_what_tokens_told(db: Backend) {
    let store = db.open().await;
    let unknown = Profile::unknown(user("ann"));
    assert!(store.profiles(&[user("ann")]).await.unwrap().is_empty());
    assert_eq!(store.upsert_user(&unknown, NOW).await.unwrap(), unknown);
    let named = Profile {
        name: "Ann".into(),
        email: Some("ann@example.org".into()),
        ..unknown.clone()
    };
    assert_eq!(store.upsert_user(&named, NOW).await.unwrap(), named);
    // A token that names less takes nothing away.
    assert_eq!(store.upsert_user(&unknown, NOW).await.unwrap(), named);
    let pictured = Profile {
        avatar: Some("https://example.org/a.png".into()),
        ..unknown.clone()
    };
    let all = Profile {
        avatar: pictured.avatar.clone(),
        ..named.clone()
    };
    assert_eq!(store.upsert_user(&pictured, NOW).await.unwrap(), all);
    let found = store.profiles(&[user("bob"), user("ann")]).await.unwrap();
    assert_eq!(found, std::slice::from_ref(&all));
    invalid(
        store
            .upsert_user(
                &Profile {
                    name: "\0".into(),
                    ..named
                },
                NOW,
            )
            .await,
    );
    let id = group(&*store, "g", &["ann"]).await;
    let shown = store.conversation(&id, &user("ann")).await.unwrap();
    assert_eq!(shown.participants[0].profile, all);
}

pub async fn last_seen_never_goes_back(db: Backend) {
    let store = db.open().await;
    let (ann, bob) = (user("ann"), user("bob"));
    let both = [ann.clone(), bob.clone()];
    assert!(store.last_seen(&both).await.unwrap().is_empty());
    store
        .upsert_user(&Profile::unknown(bob.clone()), NOW)
        .await
        .unwrap();
    store.set_last_seen(&ann, NOW.plus(5)).await.unwrap();
    store.set_last_seen(&ann, NOW).await.unwrap();
    let seen = store.last_seen(&both).await.unwrap();
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        [(ann.clone(), NOW.plus(5))]
    );
    let id = group(&*store, "g", &["ann", "bob"]).await;
    let shown = store.conversation(&id, &bob).await.unwrap();
    assert_eq!(
        shown.participant(&ann).unwrap().last_seen,
        Some(NOW.plus(5))
    );
    assert_eq!(shown.participant(&bob).unwrap().last_seen, None);
    // Being seen tells nothing about the name.
    assert_eq!(
        store.profiles(&[ann]).await.unwrap(),
        [Profile::unknown(user("ann"))]
    );
}

pub async fn contacts_share_a_conversation(db: Backend) {
    let store = db.open().await;
    group(&*store, "one", &["ann", "bob", "cid"]).await;
    let two = group(&*store, "two", &["ann", "bob", "dan"]).await;
    let three = group(&*store, "three", &["ann", "eve"]).await;
    group(&*store, "four", &["bob", "fay"]).await;
    let contacts = async |limit| {
        let found = store.contacts(&user("ann"), limit).await.unwrap();
        names(&found).join(" ")
    };
    assert_eq!(contacts(9).await, "bob cid dan eve");
    assert_eq!(contacts(2).await.split(' ').count(), 2);
    store.delete(&three, NOW).await.unwrap();
    store
        .remove_participant(&two, &user("dan"), NOW)
        .await
        .unwrap();
    assert_eq!(contacts(9).await, "bob cid");
}

pub async fn what_is_gone_is_not_found(db: Backend) {
    let store = db.open().await;
    let id = group(&*store, "room", &["ann"]).await;
    let said = say(&*store, &id, "ann", "hi").await.message.id.clone();
    store.delete(&id, NOW).await.unwrap();
    for id in [&id, &room("none")] {
        not_found(store.conversation(id, &user("ann")).await);
        let page = Page::After { after: 0, limit: 9 };
        not_found(store.messages(id, &user("ann"), page).await);
        not_found(store.messages_between(id, 0, 9).await);
        not_found(store.last_message(id).await);
        not_found(store.message_at(id, 1).await);
        not_found(store.rename(id, "Late", NOW).await);
        not_found(store.remove_participant(id, &user("ann"), NOW).await);
        not_found(store.delete(id, NOW).await);
    }
    assert!(store.locate(&[said]).await.unwrap().is_empty());
    assert!(store.last_seqs(&[id]).await.unwrap().is_empty());
    assert!(
        store
            .conversations(&user("ann"), None, 9)
            .await
            .unwrap()
            .items
            .is_empty()
    );
}
