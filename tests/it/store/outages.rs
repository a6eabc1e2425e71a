//! A database that goes away, hangs, and comes back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use porchlight::chat::{ConversationId, Page, Profile, Store, StoreError};
use sqlx::{Connection, Executor};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use super::backend::*;
use crate::support::postgres::Server;

/// How long a call may take in these tests.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What a loaded machine may add to that.
const SLACK: Duration = Duration::from_secs(4);

async fn at(url: String) -> (Backend, Arc<dyn Store>) {
    let mut db = Backend::at(url);
    db.cfg.acquire_timeout = TIMEOUT;
    let store = db.open().await;
    (db, store)
}

/// Every kind of call ends in time and says that the database is not there.
async fn all_unavailable(store: &Arc<dyn Store>) {
    let (id, ann) = (room("room"), user("ann"));
    let started = Instant::now();
    let sends = (0..20).map(|n| store.append(keyed(&id, "ann", &format!("lost{n}"))));
    let (sends, read, write, ping) = tokio::join!(
        futures_util::future::join_all(sends),
        store.conversation(&id, &ann),
        store.rename(&id, "New", NOW),
        store.ping(),
    );
    sends.into_iter().for_each(unavailable);
    unavailable(read);
    unavailable(write);
    assert!(ping.is_err());
    assert!(
        started.elapsed() < TIMEOUT + SLACK,
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_gone_and_back() {
    let mut server = Server::start().await;
    let (_db, store) = at(server.database().await.url).await;
    let id = group(&*store, "room", &["ann", "bob"]).await;
    say(&*store, &id, "ann", "before").await;
    for crash in [false, true] {
        if crash {
            server.crash();
        } else {
            server.stop();
        }
        all_unavailable(&store).await;
        server.restart().await;
        store.ping().await.unwrap();
        let said = store
            .append(keyed(&id, "ann", &format!("after{crash}")))
            .await
            .unwrap();
        assert!(!said.duplicate);
        let stored = store.messages_between(&id, 0, u64::MAX).await.unwrap();
        assert!(stored.iter().map(|m| m.seq).eq(1..=said.message.seq));
    }
}

/// Every call that reads, and those that change something, all at once on as many connections as
/// there are.
async fn all_at_once(store: &Arc<dyn Store>, id: &ConversationId, round: &str) {
    let (ann, bob) = (user("ann"), user("bob"));
    let page = Page::Newest {
        before: None,
        limit: 9,
    };
    let (ids, users) = (std::slice::from_ref(id), [ann.clone(), bob.clone()]);
    let profile = Profile {
        name: round.into(),
        ..Profile::unknown(ann.clone())
    };
    let (direct, title) = (user(round), format!("Renamed {round}"));
    tokio::try_join!(
        async { store.conversation(id, &ann).await.map(drop) },
        async { store.messages(id, &ann, page).await.map(drop) },
        async { store.messages_between(id, 0, 9).await.map(drop) },
        async { store.last_seqs(ids).await.map(drop) },
        async { store.conversations(&ann, None, 9).await.map(drop) },
        async { store.last_message(id).await.map(drop) },
        async { store.message_at(id, 1).await.map(drop) },
        async { store.locate(&[]).await.map(drop) },
        async { store.profiles(&users).await.map(drop) },
        async { store.last_seen(&users).await.map(drop) },
        async { store.contacts(&ann, 9).await.map(drop) },
        async { store.ping().await.map_err(StoreError::from) },
        async { store.rename(id, &title, NOW).await.map(drop) },
        async { store.upsert_user(&profile, NOW).await.map(drop) },
        async { store.open_direct(&ann, &direct, None, NOW).await.map(drop) },
        async { store.claim_unpublished(NOW, 9).await.map(drop) },
        async { store.append(keyed(id, "ann", round)).await.map(drop) },
    )
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connections_in_the_pool_fail_nobody() {
    let mut server = Server::start().await;
    let (db, store) = at(server.database().await.url).await;
    let id = group(&*store, "room", &["ann", "bob"]).await;
    let behind = async || {
        let mut conn = sqlx::PgConnection::connect(&db.cfg.url).await.unwrap();
        conn.execute("SET application_name = 'behind'")
            .await
            .unwrap();
        conn
    };
    let pooled = async || {
        let others = "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name <> 'behind'";
        let mut conn = behind().await;
        sqlx::query_scalar::<_, i64>(others)
            .fetch_one(&mut conn)
            .await
            .unwrap()
    };
    for round in 0..6 {
        all_at_once(&store, &id, &format!("fill{round}")).await;
        assert!(pooled().await > 2, "several idle connections");
        match round % 3 {
            0 => {
                // Faster than any restart: the pool has no reason yet to try them first.
                let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name <> 'behind'";
                behind().await.execute(kill).await.unwrap();
                eventually("they are gone", async || pooled().await == 0).await;
            }
            1 => {
                server.stop();
                server.restart().await;
            }
            _ => {
                server.crash();
                server.restart().await;
            }
        }
        all_at_once(&store, &id, &format!("after{round}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acked_is_lost_in_crashes_under_load() {
    let mut server = Server::start().await;
    let (_db, store) = at(server.database().await.url).await;
    let id = group(&*store, "room", &["ann"]).await;
    let (stop, stopped) = watch::channel(false);
    let mut senders = JoinSet::new();
    for n in 0..8 {
        let (store, id, stopped) = (Arc::clone(&store), id.clone(), stopped.clone());
        senders.spawn(async move {
            let mut acked = Vec::new();
            for i in 0.. {
                // As a client does: the same key until it is acked.
                let new = keyed(&id, "ann", &format!("{n}/{i}"));
                loop {
                    match store.append(new.clone()).await {
                        Ok(ack) => break acked.push((new.client_id.clone(), ack.message.seq)),
                        Err(StoreError::Unavailable(_)) => {}
                        Err(e) => panic!("{e}"),
                    }
                }
                if *stopped.borrow() {
                    break;
                }
            }
            acked
        });
    }
    let last_seq = async || match store.last_seqs(std::slice::from_ref(&id)).await {
        Ok(seqs) => seqs[&id],
        Err(_) => 0,
    };
    for _ in 0..3 {
        let before = last_seq().await;
        eventually("messages flow", async || last_seq().await > before + 20).await;
        server.crash();
        server.restart().await;
    }
    stop.send_replace(true);
    let acked: Vec<_> = senders.join_all().await.into_iter().flatten().collect();
    let stored = store.messages_between(&id, 0, u64::MAX).await.unwrap();
    assert!(stored.iter().map(|m| m.seq).eq(1..=stored.len() as u64));
    assert_eq!(stored.len(), acked.len(), "each key once");
    for (key, seq) in acked {
        assert_eq!(stored[seq as usize - 1].client_id, key);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_does_not_hang_the_callers() {
    let server = Server::start().await;
    let url = server.database().await.url;
    let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = front.local_addr().unwrap().port();
    let back = server.port();
    // Passes everything on, until it holds everything back, for ever as far as TCP can tell.
    let (hang, hanging) = watch::channel(false);
    let proxy = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut client, _)) = front.accept().await {
            if *hanging.borrow() {
                held.push(client);
                continue;
            }
            let mut server = TcpStream::connect(("127.0.0.1", back)).await.unwrap();
            let mut hanging = hanging.clone();
            tokio::spawn(async move {
                let hung = tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut server) => false,
                    _ = hanging.wait_for(|on| *on) => true,
                };
                if hung {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    let (_db, store) = at(url.replace(&back.to_string(), &port.to_string())).await;
    let id = group(&*store, "room", &["ann", "bob"]).await;
    say(&*store, &id, "ann", "before").await;
    hang.send_replace(true);
    all_unavailable(&store).await;
    // The way is open again for new connections; the old ones stay stuck.
    hang.send_replace(false);
    eventually("it answers again", || async { store.ping().await.is_ok() }).await;
    eventually("it commits again", || async {
        store.append(keyed(&id, "ann", "again")).await.is_ok()
    })
    .await;
    proxy.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_within_the_time_of_a_call_is_not_noticed() {
    let mut server = Server::start().await;
    let mut db = Backend::at(server.database().await.url);
    db.cfg.acquire_timeout = Duration::from_secs(30);
    let store = db.open().await;
    let id = group(&*store, "room", &["ann"]).await;
    server.stop();
    let sends = (0..10).map(|n| {
        let (store, id) = (Arc::clone(&store), id.clone());
        tokio::spawn(async move { store.append(keyed(&id, "ann", &n.to_string())).await })
    });
    let sends: Vec<_> = sends.collect();
    server.restart().await;
    for send in sends {
        send.await.unwrap().unwrap();
    }
    assert_eq!(
        store.last_seqs(std::slice::from_ref(&id)).await.unwrap()[&id],
        10
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_locked_by_somebody_else_and_free_again() {
    let (db, store) = at(String::new()).await;
    let id = group(&*store, "room", &["ann"]).await;
    let url = format!("sqlite://{}", db.file.display());
    let mut other = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url)
        .await
        .unwrap();
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let started = Instant::now();
    unavailable(store.append(keyed(&id, "ann", "k")).await);
    unavailable(store.rename(&id, "New", NOW).await);
    assert!(started.elapsed() < 2 * (TIMEOUT + SLACK));
    // Reading goes on.
    store.conversation(&id, &user("ann")).await.unwrap();
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    eventually("it commits again", || async {
        store.append(keyed(&id, "ann", "k")).await.is_ok()
    })
    .await;
    assert_eq!(
        store.last_seqs(std::slice::from_ref(&id)).await.unwrap()[&id],
        1
    );
}
