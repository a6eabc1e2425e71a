//! Other backends on the same Redis, as the configuration has them.

use std::sync::Arc;

use crate::{
    bus::{
        RedisBus,
        foreign::{Gate, Link, NodeServers, WithEmitters, names},
    },
    chat::{Bus, SystemClock},
    config::{self, Config},
    dialect::Dialects,
    socket::{foreign::ForeignSockets, hub::Hub, node_servers::WithNodeServers},
};

/// The link to them, yet to be opened.
pub(super) struct Emitters {
    config: config::Emitters,
    link: Arc<Link>,
}

impl Emitters {
    /// `own` with other backends beside the nodes on it, as far as they are wanted.
    pub(super) fn join(
        config: &Config,
        dialects: &Dialects,
        own: &Arc<RedisBus>,
    ) -> (Arc<dyn Bus>, Option<Self>) {
        let emitters = &config.emitters;
        let bus: Arc<dyn Bus> = own.clone();
        if !emitters.enabled {
            return (bus, None);
        }
        let link = Link::new(own.clone(), emitters);
        let mut bus: Arc<dyn Bus> = Arc::new(WithEmitters::new(bus, link.clone()));
        let dialect = match (emitters.node_dialect.as_str(), config.socket.first()) {
            ("", first) => first.and_then(|first| dialects.get(&first.dialect)),
            // Checked when the dialects were loaded.
            (name, _) => dialects.get(name),
        };
        if let Some(dialect) = dialect.filter(|_| emitters.node_servers) {
            let others = Arc::new(NodeServers::new(emitters, link.clone()));
            let (names, clock) = (names(emitters), Arc::new(SystemClock));
            bus = Arc::new(WithNodeServers::new(bus, others, dialect, names, clock));
        }
        let joined = Self {
            config: emitters.clone(),
            link,
        };
        (bus, Some(joined))
    }

    /// Lets them reach the hub's connections, as soon as the bus runs.
    pub(super) fn open(self, hub: &Arc<Hub>) {
        let Self { config, link } = self;
        let sockets = Arc::new(ForeignSockets::new(hub.clone(), names(&config)));
        let gate = Gate::new(&config, sockets, link.clone());
        link.open(gate);
    }
}
