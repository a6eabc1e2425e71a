//! Uploads: who may attach them and see them, and when they are given up.

use std::sync::Arc;

use porchlight::chat::{
    Appended, Attachment, Dimensions, Millis, NewMessage, Store, StoreResult, Upload, UploadId,
};

use super::backend::{Backend, NOW, group, invalid, message, not_found, say, user};

fn picture(id: &str, owner: &str) -> Upload {
    let sides = Dimensions {
        width: 4000,
        height: 3000,
    };
    Upload {
        owner: user(owner),
        file: Attachment::new(
            UploadId::new(id).unwrap(),
            "caf\u{e9} \"1\".png".into(),
            "image/png".into(),
            5_000_000_000,
            Some(sides),
            true,
        ),
        created_at: NOW,
    }
}

async fn begin(store: &dyn Store, upload: &Upload) {
    let (id, at) = (&upload.file.id, upload.created_at);
    store.begin_upload(id, &upload.owner, at).await.unwrap();
}

async fn uploaded(store: &dyn Store, id: &str, owner: &str) -> Upload {
    let upload = picture(id, owner);
    begin(store, &upload).await;
    store.complete_upload(&upload, NOW).await.unwrap();
    upload
}

fn with(room: &str, sender: &str, uploads: &[&Upload]) -> NewMessage {
    NewMessage {
        attachments: uploads.iter().map(|u| u.file.clone()).collect(),
        ..message(&super::backend::room(room), sender, "")
    }
}

async fn send(
    store: &dyn Store,
    room: &str,
    sender: &str,
    uploads: &[&Upload],
) -> StoreResult<Appended> {
    store.append(with(room, sender, uploads)).await
}

fn later() -> Millis {
    NOW.plus(1)
}

pub async fn exist_once_they_are_complete(db: Backend) {
    let store = db.open().await;
    let upload = picture("u-1", "ann");
    let ids = [upload.file.id.clone(), UploadId::new("u-2").unwrap()];
    not_found(store.complete_upload(&upload, NOW).await);
    begin(&*store, &upload).await;
    assert_eq!(store.uploads(&ids).await.unwrap(), []);
    store.complete_upload(&upload, NOW).await.unwrap();
    assert_eq!(store.uploads(&ids).await.unwrap(), [upload]);

    let text = Upload {
        file: Attachment::new(
            ids[1].clone(),
            "a.txt".into(),
            "text/plain".into(),
            0,
            None,
            false,
        ),
        ..picture("u-2", "bob")
    };
    begin(&*store, &text).await;
    store.complete_upload(&text, NOW).await.unwrap();
    assert_eq!(store.uploads(&ids[1..]).await.unwrap(), [text]);
}

pub async fn are_kept_with_the_message(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann", "bob"]).await;
    let (one, two) = (
        uploaded(&*store, "u-1", "ann").await,
        uploaded(&*store, "u-2", "ann").await,
    );
    let files = [one.file.clone(), two.file.clone()];
    let sent = send(&*store, "room", "ann", &[&one, &two]).await.unwrap();
    assert_eq!(*sent.message.attachments, files);
    let read = store.message_at(&room, 1).await.unwrap().unwrap();
    assert_eq!(*read.attachments, files);
    say(&*store, &room, "ann", "no file").await;
    let read = store.message_at(&room, 2).await.unwrap().unwrap();
    assert!(read.attachments.is_empty());
    // Again, and in another conversation.
    group(&*store, "other", &["ann"]).await;
    for room in ["room", "other"] {
        send(&*store, room, "ann", &[&one]).await.unwrap();
    }
}

pub async fn of_others_or_unknown_are_refused(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann", "bob"]).await;
    let own = uploaded(&*store, "u-1", "ann").await;
    let foreign = uploaded(&*store, "u-2", "bob").await;
    let begun = picture("u-3", "ann");
    begin(&*store, &begun).await;
    let unknown = picture("u-4", "ann");
    for other in [&foreign, &begun, &unknown] {
        invalid(send(&*store, "room", "ann", &[&own, other]).await);
    }
    assert!(store.message_at(&room, 1).await.unwrap().is_none());
    // One that is refused does not fail those beside it, nor counts as a use.
    let theirs = [&foreign];
    let (bad, good) = tokio::join!(
        send(&*store, "room", "ann", &theirs),
        send(&*store, "room", "bob", &theirs),
    );
    invalid(bad);
    assert_eq!(good.unwrap().message.seq, 1);
    let claimed = store.claim_uploads(later(), 10).await.unwrap();
    let mut claimed: Vec<_> = claimed.iter().map(|id| id.as_str()).collect();
    claimed.sort_unstable();
    assert_eq!(claimed, ["u-1", "u-3"]);
}

pub async fn are_shared_with_those_present(db: Backend) {
    let store = db.open().await;
    let room = group(&*store, "room", &["ann", "bob", "cid"]).await;
    let upload = uploaded(&*store, "u-1", "ann").await;
    let id = &upload.file.id;
    let shared = async |name: &str| store.shares_upload(id, &user(name)).await.unwrap();
    assert!(!shared("bob").await);
    send(&*store, "room", "ann", &[&upload]).await.unwrap();
    assert!(shared("bob").await && shared("cid").await && !shared("dan").await);
    store
        .remove_participant(&room, &user("cid"), NOW)
        .await
        .unwrap();
    assert!(shared("bob").await && !shared("cid").await);
    // Who comes later sees what was said before.
    store
        .add_participants(&room, &[user("dan")], 10, NOW)
        .await
        .unwrap();
    assert!(shared("dan").await);
    store.delete(&room, NOW).await.unwrap();
    assert!(!shared("bob").await);
}

pub async fn without_a_message_are_given_up(db: Backend) {
    let store = db.open().await;
    group(&*store, "room", &["ann"]).await;
    let used = uploaded(&*store, "u-1", "ann").await;
    let unused = uploaded(&*store, "u-2", "ann").await;
    let begun = picture("u-3", "ann");
    begin(&*store, &begun).await;
    send(&*store, "room", "ann", &[&used]).await.unwrap();
    assert_eq!(store.claim_uploads(NOW, 10).await.unwrap(), []);

    let mut claimed = store.claim_uploads(later(), 1).await.unwrap();
    claimed.extend(store.claim_uploads(later(), 10).await.unwrap());
    claimed.sort_unstable();
    assert_eq!(claimed, [unused.file.id.clone(), begun.file.id.clone()]);
    // Leased to whoever claimed them, and gone for everybody else.
    assert_eq!(store.claim_uploads(later(), 10).await.unwrap(), []);
    assert_eq!(store.uploads(&claimed).await.unwrap(), []);
    invalid(send(&*store, "room", "ann", &[&unused]).await);
    not_found(store.complete_upload(&begun, NOW).await);

    // Whoever claimed them may have died.
    db.execute("UPDATE uploads SET claimed_until = 1 WHERE claimed_until IS NOT NULL")
        .await;
    assert_eq!(store.claim_uploads(later(), 10).await.unwrap().len(), 2);
    store.forget_uploads(&claimed).await.unwrap();
    store
        .forget_uploads(std::slice::from_ref(&used.file.id))
        .await
        .unwrap();
    assert_eq!(db.count("uploads").await, 1);
    assert_eq!(
        store
            .uploads(std::slice::from_ref(&used.file.id))
            .await
            .unwrap(),
        [used]
    );
}

/// Whichever comes first, a message never refers to an upload that was given up.
pub async fn are_not_given_up_while_being_attached(db: Backend) {
    const UPLOADS: usize = 60;
    let (one, two) = (db.open().await, db.open().await);
    group(&*one, "room", &["ann"]).await;
    let mut uploads = Vec::new();
    for n in 0..UPLOADS {
        uploads.push(Arc::new(uploaded(&*one, &format!("u-{n}"), "ann").await));
    }
    let senders = uploads.iter().map(|upload| {
        let (store, upload) = (one.clone(), upload.clone());
        tokio::spawn(async move { send(&*store, "room", "ann", &[&upload]).await.is_ok() })
    });
    let senders: Vec<_> = senders.collect();
    let claimer = tokio::spawn(async move {
        let mut claimed = Vec::new();
        for _ in 0..UPLOADS {
            claimed.extend(two.claim_uploads(later(), 2).await.unwrap());
        }
        claimed
    });
    let mut sent = Vec::new();
    for sender in senders {
        sent.push(sender.await.unwrap());
    }
    let claimed = claimer.await.unwrap();
    for (upload, sent) in uploads.iter().zip(sent) {
        let given_up = claimed.contains(&upload.file.id);
        assert_ne!(sent, given_up, "{}", upload.file.id);
    }
}
