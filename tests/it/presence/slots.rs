//! A Redis Cluster: whatever one script or command names is in one slot, wherever its slot is.

use porchlight::chat::{Presence, PresenceChange};

use super::{NodePresence, changes_of, conformance, device, user};
use crate::support::{node::until, redis::Server};

/// Three masters that share the slots.
struct RedisCluster(Vec<Server>);

impl RedisCluster {
    async fn start() -> Self {
        let servers: Vec<_> = (0..3)
            .map(|_| Server::start(&["--cluster-enabled", "yes"]))
            .collect();
        let addresses: Vec<_> = servers
            .iter()
            .map(|s| format!("127.0.0.1:{}", s.port()))
            .collect();
        let mut args = vec!["--cluster", "create"];
        args.extend(addresses.iter().map(String::as_str));
        args.push("--cluster-yes");
        let made = servers[0].cli(&args);
        let whole = |s: &Server| {
            let info = s.cli(&["cluster", "info"]);
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        };
        until(
            async || servers.iter().all(whole),
            || format!("the cluster never was whole\n{made}"),
        )
        .await;
        Self(servers)
    }

    async fn node(&self) -> NodePresence {
        let hosts = self.0.iter().map(|s| format!("127.0.0.1:{}", s.port()));
        let url = format!("redis://{}", hosts.collect::<Vec<_>>().join(","));
        NodePresence::with(&[("URL", &url), ("CLUSTER", "true")]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_cluster_is_as_good() {
    let cluster = RedisCluster::start().await;
    let mut a = cluster.node().await;
    conformance::all(a.presence.clone()).await;

    let b = cluster.node().await;
    let left: Vec<_> = a.presence.online(None, 1000).await.unwrap();
    assert!(left.len() > 10);
    for server in &cluster.0 {
        assert_ne!(
            server.cli(&["dbsize"]),
            "0",
            "a server that has nothing to do"
        );
    }
    b.presence
        .enter(&user("ann"), &device("phone"))
        .await
        .unwrap();
    a.fall_silent();
    let told = changes_of(&[&b]).await;
    let expected: Vec<_> = left
        .into_iter()
        .map(|u| (u, PresenceChange::Offline))
        .collect();
    assert_eq!(told, expected);
    assert_eq!(b.presence.online(None, 9).await.unwrap(), [user("ann")]);

    for server in &cluster.0 {
        server.cli(&["flushall"]);
    }
    assert_eq!(changes_of(&[&b]).await, []);
    assert_eq!(b.presence.online(None, 9).await.unwrap(), [user("ann")]);
}
