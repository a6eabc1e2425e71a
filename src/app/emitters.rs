//! Other backends on the same Redis, as the configuration has them.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{
    bus::{
        RedisBus,
        foreign::{Gate, Link, NodeServers, Outgoing, WithEmitters, names},
    },
    chat::Bus,
    config::{self, Config},
    dialect::Dialects,
    redis::Redis,
    socket::{foreign::ForeignSockets, hub::Hub, node_servers::WithNodeServers},
};

/// The link to them, yet to run.
pub(super) struct Emitters {
    config: config::Emitters,
    link: Arc<Link>,
    outgoing: Outgoing,
}

impl Emitters {
    /// `own` with other backends beside the nodes on it, as far as they are wanted.
    pub(super) fn join(
        config: &Config,
        dialects: &Dialects,
        redis: &Arc<Redis>,
        own: &Arc<RedisBus>,
    ) -> (Arc<dyn Bus>, Option<Self>) {
        let emitters = &config.emitters;
        let bus: Arc<dyn Bus> = own.clone();
        if !emitters.enabled {
            return (bus, None);
        }
        let (link, outgoing) = Link::new(redis.clone(), own.clone(), emitters);
        let mut bus: Arc<dyn Bus> = Arc::new(WithEmitters::new(bus, link.clone()));
        let dialect = match (emitters.node_dialect.as_str(), config.socket.first()) {
            ("", first) => first.and_then(|first| dialects.get(&first.dialect)),
            // Checked when the dialects were loaded.
            (name, _) => dialects.get(name),
        };
        if let Some(dialect) = dialect.filter(|_| emitters.node_servers) {
            let others = Arc::new(NodeServers::new(emitters, link.clone()));
            bus = Arc::new(WithNodeServers::new(bus, others, dialect, names(emitters)));
        }
        let joined = Self {
            config: emitters.clone(),
            link,
            outgoing,
        };
        (bus, Some(joined))
    }

    /// Lets them reach the hub's connections, until `stop`.
    pub(super) async fn run(self, hub: Arc<Hub>, stop: CancellationToken) {
        let Self {
            config,
            link,
            outgoing,
        } = self;
        let sockets = Arc::new(ForeignSockets::new(hub, names(&config)));
        let gate = Gate::new(&config, sockets, link.clone());
        link.run(gate, outgoing, stop).await;
    }
}
