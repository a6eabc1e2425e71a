//! Logging, and the name of every metric.
//!
//! Metrics are recorded where things happen with the `metrics` macros and the names below, so that
//! dashboards and code cannot drift apart.

mod export;
mod logging;
mod process;

pub use export::{InstallError, Metrics, install_metrics, metrics_recorder};
pub use logging::{LoggingError, init_logging, subscriber};

/// What a metric does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often values fell into each of a number of ranges.
    Histogram,
}

/// An entry of the catalogue.
#[derive(Debug)]
pub struct Metric {
    /// The name, as Prometheus sees it.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// The labels that it always has.
    pub labels: &'static [&'static str],
    /// What it means; the doc comment of its constant.
    pub help: &'static str,
}

/// Makes a documented constant of each entry, and [`CATALOGUE`] of them all.
macro_rules! catalogue {
    ($($(#[doc = $doc:literal])+ $kind:ident [$($label:literal),*] $name:ident = $text:literal;)+) => {
        $($(#[doc = $doc])+
        #[doc = concat!("\n\nLabels:", $(" `", $label, "`",)* ".")]
        pub const $name: &str = $text;)+

        /// Every metric of the gateway itself.
        pub const CATALOGUE: &[Metric] = &[$(Metric {
            name: $text,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: concat!($($doc),+).trim_ascii_start(),
        }),+];
    };
}

catalogue! {
    /// Live Socket.IO connections.
    Gauge ["dialect"] CONNECTIONS = "porchlight_connections";
    /// Connections accepted since start.
    Counter ["dialect"] CONNECTIONS_TOTAL = "porchlight_connections_total";
    /// Connections ended since start.
    Counter ["reason"] DISCONNECTIONS_TOTAL = "porchlight_disconnections_total";
    /// Handshakes refused. The label is an error code.
    Counter ["reason"] HANDSHAKES_REFUSED_TOTAL = "porchlight_handshakes_refused_total";
    /// Users with at least one connection on this node.
    Gauge [] USERS = "porchlight_users";
    /// Inbound events.
    Counter ["command"] EVENTS_IN_TOTAL = "porchlight_events_in_total";
    /// Tokens refused because they or their user were revoked.
    Counter ["what"] REVOKED_REFUSED_TOTAL = "porchlight_revoked_refused_total";
    /// Revocations of users and tokens that this node knows of.
    Gauge [] REVOCATIONS = "porchlight_revocations";
    /// Inbound events refused. The label is an error code, or `unknown_event`.
    Counter ["code"] EVENTS_REFUSED_TOTAL = "porchlight_events_refused_total";
    /// Messages committed, repetitions not counted.
    Counter [] MESSAGES_IN_TOTAL = "porchlight_messages_in_total";
    /// Messages handed to connections.
    Counter [] MESSAGES_OUT_TOTAL = "porchlight_messages_out_total";
    /// Events of any kind handed to connections.
    Counter [] EVENTS_OUT_TOTAL = "porchlight_events_out_total";
    /// Events dropped because they may be: typing and presence for a congested connection.
    Counter [] EVENTS_DROPPED_TOTAL = "porchlight_events_dropped_total";
    /// From an inbound event's arrival to its ack, in seconds.
    Histogram ["command"] ACK_SECONDS = "porchlight_ack_seconds";
    /// Connections closed because their send queue was full.
    Counter [] SEND_QUEUE_FULL_TOTAL = "porchlight_send_queue_full_total";
    /// Inbound events refused because the connection's receive queue was full.
    Counter [] RECEIVE_QUEUE_FULL_TOTAL = "porchlight_receive_queue_full_total";
    /// Connections closed because the reader took nothing within the write timeout.
    Counter [] WRITE_TIMEOUTS_TOTAL = "porchlight_write_timeouts_total";
    /// Refusals by a limit.
    Counter ["limit"] RATE_LIMITED_TOTAL = "porchlight_rate_limited_total";
    /// Gaps of a room filled from the store.
    Counter [] GAPS_FILLED_TOTAL = "porchlight_gaps_filled_total";
    /// Duration of one group commit, in seconds.
    Histogram [] STORE_COMMIT_SECONDS = "porchlight_store_commit_seconds";
    /// Messages in one group commit.
    Histogram [] STORE_BATCH_SIZE = "porchlight_store_batch_size";
    /// Store calls that failed because the database did not answer.
    Counter [] STORE_UNAVAILABLE_TOTAL = "porchlight_store_unavailable_total";
    /// REST requests.
    Counter ["route", "method", "status"] HTTP_REQUESTS_TOTAL = "porchlight_http_requests_total";
    /// REST latency, in seconds.
    Histogram ["route"] HTTP_SECONDS = "porchlight_http_seconds";
    /// Whether presence is shared with the other nodes: 1, or 0 while this node knows its own users
    /// only.
    Gauge [] PRESENCE_SHARED = "porchlight_presence_shared";
    /// Users whose presence was taken over from nodes that died.
    Counter [] PRESENCE_REAPED_TOTAL = "porchlight_presence_reaped_total";
    /// Users told to Redis again because it had forgotten them.
    Counter [] PRESENCE_REASSERTED_TOTAL = "porchlight_presence_reasserted_total";
    /// Messages published by the sweeper because the node that committed them did not.
    Counter [] OUTBOX_SWEPT_TOTAL = "porchlight_outbox_swept_total";
    /// Rooms compared with the store because events of other nodes may have been missed.
    Counter [] ROOMS_VERIFIED_TOTAL = "porchlight_rooms_verified_total";
    /// Events handed to other nodes and to other backends, once per topic.
    Counter [] BUS_PUBLISHED_TOTAL = "porchlight_bus_published_total";
    /// Events that could not be, once per topic.
    Counter [] BUS_UNPUBLISHED_TOTAL = "porchlight_bus_unpublished_total";
    /// Events that came from other nodes.
    Counter [] BUS_RECEIVED_TOTAL = "porchlight_bus_received_total";
    /// Events from the bus that were dropped: of an unknown version, unreadable, too many at once.
    Counter ["reason"] BUS_DROPPED_TOTAL = "porchlight_bus_dropped_total";
    /// Channels that this node listens to.
    Gauge [] BUS_SUBSCRIPTIONS = "porchlight_bus_subscriptions";
    /// Whether a connection to Redis works: 1 or 0.
    Gauge ["connection"] REDIS_UP = "porchlight_redis_up";
    /// Times that a connection to Redis came about, the first one too.
    Counter ["connection"] REDIS_CONNECTED_TOTAL = "porchlight_redis_connected_total";
    /// What other backends asked for by Socket.IO's own Redis channels, and was done.
    Counter ["kind"] EMITTERS_IN_TOTAL = "porchlight_emitters_in_total";
    /// What was published there, or was to be, and was dropped. The label says why.
    Counter ["kind"] EMITTERS_DROPPED_TOTAL = "porchlight_emitters_dropped_total";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_from_names() {
        for metric in CATALOGUE {
            let kind = if metric.name.ends_with("_total") {
                Kind::Counter
            } else if metric.name.ends_with("_seconds") || metric.name.ends_with("_size") {
                Kind::Histogram
            } else {
                Kind::Gauge
            };
            assert_eq!(metric.kind, kind, "{}", metric.name);
            assert!(metric.name.starts_with("porchlight_"), "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.help);
        }
    }
}
