//! What [`Presence`] promises, whoever implements it.

use std::{collections::BTreeSet, sync::Arc};

use porchlight::{
    chat::{Absence, Presence, Status},
    presence::MemoryPresence,
};

use super::{NodePresence, device, seen, user};
use crate::support::redis::Server;

async fn first_in_and_last_out(presence: &dyn Presence) {
    let (ann, phone, laptop) = (user("ann"), device("phone"), device("laptop"));
    assert!(presence.enter(&ann, &phone).await.unwrap());
    assert!(!presence.enter(&ann, &laptop).await.unwrap());
    assert!(!presence.enter(&ann, &laptop).await.unwrap(), "again");
    let devices = presence.devices(&ann).await.unwrap();
    assert_eq!(devices, [laptop.clone(), phone.clone()]);

    assert_eq!(presence.leave(&ann, &phone).await.unwrap(), None);
    assert_eq!(presence.leave(&ann, &phone).await.unwrap(), None, "again");
    let stranger = device("stranger");
    assert_eq!(presence.leave(&ann, &stranger).await.unwrap(), None);
    let absence = presence.leave(&ann, &laptop).await.unwrap().unwrap();
    assert!(seen(presence, &ann).await.online, "a grace");
    assert!(presence.settle(&ann, absence).await.unwrap());
    assert!(!presence.settle(&ann, absence).await.unwrap(), "once");
    assert!(!seen(presence, &ann).await.online);
    assert!(presence.devices(&ann).await.unwrap().is_empty());
    assert!(presence.enter(&ann, &phone).await.unwrap(), "anew");
    let absence = presence.leave(&ann, &phone).await.unwrap().unwrap();
    assert!(presence.settle(&ann, absence).await.unwrap());
    let nobody = user("nobody");
    assert_eq!(presence.leave(&nobody, &phone).await.unwrap(), None);
    assert!(!presence.settle(&nobody, Absence(1)).await.unwrap());
}

async fn a_reload_hides_behind_the_grace(presence: &dyn Presence) {
    let (bob, page) = (user("bob"), device("page"));
    assert!(presence.enter(&bob, &page).await.unwrap());
    let first = presence.leave(&bob, &page).await.unwrap().unwrap();
    assert!(!presence.enter(&bob, &device("page2")).await.unwrap());
    assert!(!presence.settle(&bob, first).await.unwrap(), "back in time");
    let second = presence.leave(&bob, &device("page2")).await.unwrap();
    let second = second.unwrap();
    assert_ne!(first, second);
    assert!(!presence.settle(&bob, first).await.unwrap(), "another one");
    assert!(presence.settle(&bob, second).await.unwrap());
}

async fn statuses_are_the_users(presence: &dyn Presence) {
    let (cat, dan) = (user("cat"), user("dan"));
    assert!(
        !presence.set_status(&cat, Status::Busy).await.unwrap(),
        "away"
    );
    presence.enter(&cat, &device("c1")).await.unwrap();
    let infos = presence.get(&[dan.clone(), cat.clone()]).await.unwrap();
    assert_eq!(infos[0].user, dan);
    assert_eq!((infos[0].online, infos[0].status), (false, Status::Offline));
    assert_eq!((infos[1].online, infos[1].status), (true, Status::Online));
    assert_eq!(infos[1].last_seen, None);
    for status in [Status::Busy, Status::Away, Status::Idle, Status::Offline] {
        assert!(presence.set_status(&cat, status).await.unwrap());
        assert!(
            !presence.set_status(&cat, status).await.unwrap(),
            "the same"
        );
        presence.enter(&cat, &device("c2")).await.unwrap();
        let info = seen(presence, &cat).await;
        assert_eq!((info.online, info.status), (true, status));
    }
    presence.leave(&cat, &device("c2")).await.unwrap();
    let absence = presence.leave(&cat, &device("c1")).await.unwrap().unwrap();
    assert!(presence.settle(&cat, absence).await.unwrap());
    presence.enter(&cat, &device("c3")).await.unwrap();
    let info = seen(presence, &cat).await;
    assert_eq!(info.status, Status::Online, "it lasts until one is offline");
}

async fn everyone_online_in_pages(presence: &dyn Presence) {
    let before: BTreeSet<_> = presence
        .online(None, 1000)
        .await
        .unwrap()
        .into_iter()
        .collect();
    let mut expected = before;
    for n in 0..25 {
        let one = user(&format!("e-{n:02}"));
        presence
            .enter(&one, &device(&format!("{n}")))
            .await
            .unwrap();
        expected.insert(one);
    }
    // One who is in the grace is online, one who is out is not.
    presence.leave(&user("e-03"), &device("3")).await.unwrap();
    let gone = presence.leave(&user("e-04"), &device("4")).await.unwrap();
    presence.settle(&user("e-04"), gone.unwrap()).await.unwrap();
    expected.remove("e-04");
    let expected: Vec<_> = expected.into_iter().collect();
    assert_eq!(presence.online(None, 1000).await.unwrap(), expected);
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = presence.online(after.as_ref(), 4).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 4);
        after = Some(last.clone());
        paged.extend(page);
    }
    assert_eq!(paged, expected);
}

/// However many come and go at the same time, one is told of each change.
async fn one_is_told(presence: Arc<dyn Presence>) {
    for round in 0..10 {
        let eve = user(&format!("eve{round}"));
        let at_once = |n: usize| {
            let (presence, eve) = (presence.clone(), eve.clone());
            tokio::spawn(
                async move { presence.enter(&eve, &device(&n.to_string())).await.unwrap() },
            )
        };
        let came: Vec<_> = (0..20).map(at_once).collect();
        let mut told = 0;
        for one in came {
            told += usize::from(one.await.unwrap());
        }
        assert_eq!(told, 1);

        let at_once = |n: usize| {
            let (presence, eve) = (presence.clone(), eve.clone());
            tokio::spawn(
                async move { presence.leave(&eve, &device(&n.to_string())).await.unwrap() },
            )
        };
        let left: Vec<_> = (0..20).map(at_once).collect();
        let mut absences = Vec::new();
        for one in left {
            absences.extend(one.await.unwrap());
        }
        let [absence] = absences[..] else {
            panic!("{absences:?}")
        };
        let at_once = |_| {
            let (presence, eve) = (presence.clone(), eve.clone());
            tokio::spawn(async move { presence.settle(&eve, absence).await.unwrap() })
        };
        let settled: Vec<_> = (0..5).map(at_once).collect();
        let mut told = 0;
        for one in settled {
            told += usize::from(one.await.unwrap());
        }
        assert_eq!(told, 1);
    }
}

pub async fn all(presence: Arc<dyn Presence>) {
    first_in_and_last_out(&*presence).await;
    a_reload_hides_behind_the_grace(&*presence).await;
    statuses_are_the_users(&*presence).await;
    everyone_online_in_pages(&*presence).await;
    one_is_told(presence).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory() {
    all(Arc::new(MemoryPresence::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis() {
    let server = Server::start(&[]);
    let node = NodePresence::start(&server).await;
    all(node.presence.clone()).await;
    assert_eq!(
        server.cli(&["keys", "*"]).matches("test:").count(),
        server.cli(&["keys", "*"]).lines().count()
    );
}

/// As far as it goes without other nodes: Redis was never there.
#[tokio::test(flavor = "multi_thread")]
async fn redis_that_is_down() {
    let mut server = Server::start(&[]);
    server.stop();
    let node = NodePresence::start(&server).await;
    all(node.presence.clone()).await;
}
