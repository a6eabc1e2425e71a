//! Logging, and the name of every metric.
//!
//! Metrics are recorded where things happen with the `metrics` macros and the names below, so that
//! dashboards and code cannot drift apart.

/// Live Socket.IO connections. Label `dialect`.
pub const CONNECTIONS: &str = "porchlight_connections";
/// Connections accepted since start. Label `dialect`.
pub const CONNECTIONS_TOTAL: &str = "porchlight_connections_total";
/// Connections ended since start. Label `reason`.
pub const DISCONNECTIONS_TOTAL: &str = "porchlight_disconnections_total";
/// Handshakes refused. Label `reason`: an error code.
pub const HANDSHAKES_REFUSED_TOTAL: &str = "porchlight_handshakes_refused_total";
/// Users with at least one connection on this node.
pub const USERS: &str = "porchlight_users";
/// Inbound events. Label `command`.
pub const EVENTS_IN_TOTAL: &str = "porchlight_events_in_total";
/// Inbound events refused. Label `code`: an error code, or `unknown_event`.
pub const EVENTS_REFUSED_TOTAL: &str = "porchlight_events_refused_total";
/// Messages committed, repetitions not counted.
pub const MESSAGES_IN_TOTAL: &str = "porchlight_messages_in_total";
/// Messages handed to connections.
pub const MESSAGES_OUT_TOTAL: &str = "porchlight_messages_out_total";
/// Events of any kind handed to connections.
pub const EVENTS_OUT_TOTAL: &str = "porchlight_events_out_total";
/// Events dropped because they may be: typing and presence for a congested connection.
pub const EVENTS_DROPPED_TOTAL: &str = "porchlight_events_dropped_total";
/// From an inbound event's arrival to its ack, in seconds. Label `command`.
pub const ACK_SECONDS: &str = "porchlight_ack_seconds";
/// Connections closed because their send queue was full.
pub const SEND_QUEUE_FULL_TOTAL: &str = "porchlight_send_queue_full_total";
/// Inbound events refused because the connection's receive queue was full.
pub const RECEIVE_QUEUE_FULL_TOTAL: &str = "porchlight_receive_queue_full_total";
/// Connections closed because the reader took nothing within the write timeout.
pub const WRITE_TIMEOUTS_TOTAL: &str = "porchlight_write_timeouts_total";
/// Refusals by a limit. Label `limit`.
pub const RATE_LIMITED_TOTAL: &str = "porchlight_rate_limited_total";
/// Gaps of a room filled from the store.
pub const GAPS_FILLED_TOTAL: &str = "porchlight_gaps_filled_total";
/// Duration of one group commit, in seconds.
pub const STORE_COMMIT_SECONDS: &str = "porchlight_store_commit_seconds";
/// Messages in one group commit.
pub const STORE_BATCH_SIZE: &str = "porchlight_store_batch_size";
/// Store calls that failed because the database did not answer.
pub const STORE_UNAVAILABLE_TOTAL: &str = "porchlight_store_unavailable_total";
/// REST requests. Labels `route`, `method`, `status`.
pub const HTTP_REQUESTS_TOTAL: &str = "porchlight_http_requests_total";
/// REST latency, in seconds. Label `route`.
pub const HTTP_SECONDS: &str = "porchlight_http_seconds";
/// Messages published by the sweeper because the node that committed them did not.
pub const OUTBOX_SWEPT_TOTAL: &str = "porchlight_outbox_swept_total";
