//! A Redis Cluster: whatever one script or command names is in one slot, wherever its slot is.

use porchlight::chat::PresenceChange;

use super::{NodePresence, changes_of, conformance, user};
use crate::support::redis::setup::Setup;

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_cluster_is_as_good() {
    let cluster = Setup::cluster();
    let settings = cluster.settings.iter().map(|(k, v)| (*k, v.as_str()));
    let settings: Vec<_> = settings.collect();
    let mut a = NodePresence::with(&settings).await;
    conformance::all(a.presence.clone()).await;

    let b = NodePresence::with(&settings).await;
    let left: Vec<_> = a.online().await;
    assert!(left.len() > 10);
    for server in &cluster.servers {
        assert_ne!(
            server.cli(&["dbsize"]),
            "0",
            "a server that has nothing to do"
        );
    }
    b.enter("ann", "phone").await;
    a.fall_silent();
    let told = changes_of(&[&b]).await;
    let expected: Vec<_> = left
        .into_iter()
        .map(|u| (u, PresenceChange::Offline))
        .collect();
    assert_eq!(told, expected);
    assert_eq!(b.online().await, [user("ann")]);

    for server in &cluster.servers {
        server.cli(&["flushall"]);
    }
    assert_eq!(changes_of(&[&b]).await, []);
    assert_eq!(b.online().await, [user("ann")]);
}
