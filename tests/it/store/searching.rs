//! Finding messages: what a query means on both databases, and who finds what.

use porchlight::chat::{ConversationId, MessageId, SearchQuery, Store, StoreResult};

use super::backend::*;

fn query(text: &str) -> SearchQuery {
    SearchQuery::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

async fn search(
    store: &dyn Store,
    name: &str,
    conversation: Option<&ConversationId>,
    text: &str,
) -> StoreResult<Vec<String>> {
    let (user, query) = (user(name), query(text));
    let found = store.search(&user, conversation, &query, None, 100);
    Ok(found.await?.iter().map(|m| m.content.to_string()).collect())
}

/// What ann finds, newest first.
async fn found(store: &dyn Store, text: &str) -> Vec<String> {
    search(store, "ann", None, text).await.unwrap()
}

/// Waits until everything committed is in the index: the last thing is.
async fn indexed(store: &dyn Store, conversation: &ConversationId) {
    say(store, conversation, "ann", "thelastofall").await;
    let found = async || found(store, "thelastofall").await.len() == 1;
    eventually("the index has followed", found).await;
}

async fn said(store: &dyn Store, texts: &[&str]) -> ConversationId {
    let id = group(store, "room", &["ann", "bob"]).await;
    for text in texts {
        say(store, &id, "ann", text).await;
    }
    indexed(store, &id).await;
    id
}

pub async fn words_are_found_however_they_are_written(db: Backend) {
    let store = db.open().await;
    let texts = [
        "Le CAFÉ est fermé",
        "cafe\u{301} noir",
        "Привет, мир!",
        "you@example.org wrote to item-42",
        "数字 and 漢字",
        "nothing of it",
    ];
    said(&*store, &texts).await;
    for (text, places) in [
        ("cafe ", &[1, 0][..]),
        ("CAFÉ", &[1, 0]),
        ("ferme cafe ", &[0]),
        ("привет", &[2]),
        ("example.org", &[3]),
        ("item 42", &[3]),
        ("item-42", &[3]),
        ("漢字 ", &[4]),
        ("absent", &[]),
        ("nothing cafe", &[]),
    ] {
        let expected: Vec<_> = places.iter().map(|n| texts[*n]).collect();
        assert_eq!(found(&*store, text).await, expected, "{text}");
    }
}

pub async fn phrases_beginnings_and_exclusions(db: Backend) {
    let store = db.open().await;
    let texts = ["red apple pie", "apple red", "redder apples", "pie"];
    said(&*store, &texts).await;
    for (text, places) in [
        ("red ", &[1, 0][..]),
        ("red", &[2, 1, 0]),
        ("\"red apple\"", &[0]),
        ("\"apple red\" ", &[1]),
        ("apple -pie", &[1]),
        ("pie -\"apple pie\"", &[3]),
        ("-pie app", &[2, 1]),
        ("app ", &[]),
    ] {
        let expected: Vec<_> = places.iter().map(|n| texts[*n]).collect();
        assert_eq!(found(&*store, text).await, expected, "{text}");
    }
}

pub async fn only_those_present_find_anything(db: Backend) {
    let store = db.open().await;
    let (one, two) = (
        group(&*store, "one-1", &["ann", "bob"]).await,
        group(&*store, "one:1", &["ann", "eve"]).await,
    );
    say(&*store, &one, "bob", "needle in one").await;
    say(&*store, &two, "eve", "needle in two").await;
    indexed(&*store, &one).await;
    let of = async |name: &str, room: Option<&ConversationId>| {
        search(&*store, name, room, "needle").await
    };
    assert_eq!(of("ann", None).await.unwrap().len(), 2);
    assert_eq!(of("ann", Some(&two)).await.unwrap(), ["needle in two"]);
    assert_eq!(of("bob", None).await.unwrap(), ["needle in one"]);
    assert_eq!(of("dan", None).await.unwrap(), [""; 0]);
    not_participant(of("bob", Some(&two)).await);
    not_participant(of("bob", Some(&room("none"))).await);
    // Naming conversations in the query does not reach them.
    for text in [
        "one1 needle",
        "\"one1\" OR needle",
        "room:one1",
        "'=one:1' needle",
    ] {
        let found = search(&*store, "bob", None, text).await.unwrap();
        assert_eq!(found, [""; 0], "{text}");
    }

    // Who comes later finds what was said before, as they can read it; who left finds nothing.
    let bob = user("bob");
    let added = store.add_participants(&one, &[user("dan")], 9, NOW).await;
    added.unwrap();
    store.remove_participant(&one, &bob, NOW).await.unwrap();
    assert_eq!(of("dan", None).await.unwrap(), ["needle in one"]);
    assert_eq!(of("bob", None).await.unwrap(), [""; 0]);
    not_participant(of("bob", Some(&one)).await);
    store.delete(&one, NOW).await.unwrap();
    assert_eq!(of("ann", None).await.unwrap(), ["needle in two"]);
    not_participant(of("ann", Some(&one)).await);
}

pub async fn hostile_queries_mean_words_only(db: Backend) {
    let store = db.open().await;
    let text = "near and or not null room content a b c";
    said(&*store, &[text]).await;
    let long = "\"a".repeat(8);
    for hostile in [
        "a\" OR \"b",
        "a' | 'b",
        "a') OR 1=1 --",
        "'); DROP TABLE messages; --",
        "NEAR(a b, 2)",
        "content : a",
        "{room content} : a",
        "^a + b",
        "a AND NOT b",
        "a*b*c* ***",
        "a:* & !b | <-> c",
        "\\' \\\" \\ a",
        "%a% _ $1 ?1 :a @a",
        "a\u{0}b",
        "((((((a",
        "a))))))",
        "\"\"\"\"a\"\"",
        "- -- -a- b",
        "NULL a",
        "\u{202e}a \u{feff}b \u{1f600}",
        "\u{345}\u{301}a",
        &long,
    ] {
        // None of these is an error, and none matches more than its words.
        let found = search(&*store, "ann", None, hostile).await;
        let found = found.unwrap_or_else(|e| panic!("{hostile}: {e}"));
        assert!(
            found.iter().all(|f| f == text || f == "thelastofall"),
            "{hostile}"
        );
        let with = format!("absent {hostile}");
        let found = search(&*store, "ann", None, &with).await.unwrap();
        assert_eq!(found, [""; 0], "{hostile}");
    }
}

pub async fn pages_begin_where_they_are_told(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann"]).await;
    let mut ids = Vec::new();
    for n in 0..7 {
        let text = if n % 2 == 0 { "needle" } else { "hay" };
        ids.push(say(&*store, &room, "ann", text).await.message.id.clone());
    }
    indexed(&*store, &room).await;
    let (ann, query) = (user("ann"), query("needle"));
    let page = async |from: Option<&MessageId>, limit| {
        let found = store.search(&ann, Some(&room), &query, from, limit);
        let found = found.await.unwrap();
        found.iter().map(|m| m.seq).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2).await, [7, 5]);
    assert_eq!(page(Some(&ids[4]), 2).await, [5, 3]);
    assert_eq!(page(Some(&ids[3]), 9).await, [3, 1]);
    assert_eq!(page(Some(&ids[0]), 9).await, [1]);
}

pub async fn many_conversations_are_searched_at_once(db: Backend) {
    let store = db.open().await;
    let mut last = room("none");
    for n in 0..200 {
        last = group(&*store, &format!("room-{n}"), &["ann"]).await;
        say(&*store, &last, "ann", &format!("needle {n}")).await;
    }
    indexed(&*store, &last).await;
    let (ann, query) = (user("ann"), query("needle"));
    let found = store.search(&ann, None, &query, None, 500);
    assert_eq!(found.await.unwrap().len(), 200);
}

pub async fn contents_of_any_kind_can_be_sent(db: Backend) {
    let store = db.open().await;
    let words: String = (0..20_000).map(|n| format!("w{n:x} ")).collect();
    let texts = [
        "",
        &"x".repeat(100_000),
        &"é ".repeat(60_000),
        &"\u{fdfa}".repeat(40_000),
        &words,
        "\u{1}\u{7f}\u{fffd}\u{10ffff}",
    ];
    let room = said(&*store, &texts).await;
    let last = store.last_message(&room).await.unwrap().unwrap();
    assert_eq!(last.seq as usize, texts.len() + 1);
    assert_eq!(found(&*store, "w2a ").await.len(), 1);
}

/// A database from before there was an index, and one whose node was killed before it followed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_indexes_what_was_there_before() {
    let db = Backend::sqlite();
    let store = db.open().await;
    let room = group(&*store, "room", &["ann"]).await;
    for n in 0..250 {
        say(&*store, &room, "ann", &format!("needle {n}")).await;
    }
    indexed(&*store, &room).await;
    store.close().await;
    db.execute(
        "INSERT INTO message_index (message_index) VALUES ('delete-all');
         UPDATE message_index_progress SET done = 0",
    )
    .await;
    let store = db.open().await;
    let (ann, query) = (user("ann"), query("needle"));
    let all = async || {
        let found = store.search(&ann, None, &query, None, 500);
        found.await.unwrap().len() == 250
    };
    eventually("everything is indexed", all).await;
    // Once each: nothing comes twice after another start.
    store.close().await;
    let store = db.open().await;
    let found = store.search(&ann, None, &query, None, 500);
    assert_eq!(found.await.unwrap().len(), 250);
}
