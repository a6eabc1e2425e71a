//! Every mistake is told at once, with its key, its origin, what is wrong and what is allowed.

use super::{SECRET, from_env, from_file, only, told, warned};

#[test]
fn all_at_once_from_file_environment_and_across_keys() {
    let text = r#"
[server]
listen = "localhost:4000"
listn = "127.0.0.1:1"
trust_forwarded_for = "yes"

[limits]
events_burst = 0
page_size = 10

[colour]
red = 1

[transport]
send_queue = 99999999999999999999
ping_timeout_ms = 1.5
"#;
    let variables = [
        ("PORCHLIGHT_CHAT_PAGE_SIZE", "500"),
        ("PORCHLIGHT_CHAT_TYPING_TIMEOUT_MS", "soon"),
        ("PORCHLIGHT_LISTEN", "127.0.0.1:2"),
        ("JWT_SECRET", "short"),
    ];
    insta::assert_snapshot!(told(from_file(text, &variables)).join("\n"), @r#"
    server.listen (porchlight.toml:3): "localhost:4000" is not an IP address with a port, such as 127.0.0.1:4000, 0.0.0.0:4000 (all interfaces) or [::1]:4000
    server.listn (porchlight.toml:4): no such key; did you mean server.listen?
    server.trust_forwarded_for (porchlight.toml:5): must be true or false without quotes
    limits.events_burst (porchlight.toml:8): 0 is too small; allowed: 1 to 1000000
    limits.page_size (porchlight.toml:9): no such key; did you mean chat.page_size?
    colour (porchlight.toml:11): no such section; default-config prints all there are
    transport.send_queue (porchlight.toml:15): the number is too large
    transport.ping_timeout_ms (porchlight.toml:16): must be a whole number without quotes
    chat.typing_timeout_ms (PORCHLIGHT_CHAT_TYPING_TIMEOUT_MS): "soon" is not a whole number; allowed: 1 to 86400000 ms
    PORCHLIGHT_LISTEN: there is no such variable; did you mean PORCHLIGHT_SERVER_LISTEN?
    auth.jwt_secrets[0] (JWT_SECRET): has 5 bytes and can be guessed; use 32 or more; `openssl rand -base64 32` makes a good one
    chat.page_size (PORCHLIGHT_CHAT_PAGE_SIZE): 500 is above chat.max_page_size, which is 200
    "#);
}

#[test]
fn files_that_cannot_be_understood() {
    insta::assert_snapshot!(
        told(from_file("[server\nlisten = 1\n\n[log]\nlevel = info\n", &[("PORT", "x")])).join("\n"),
        @r#"
    porchlight.toml:1: not TOML: unclosed table, expected `]`
    porchlight.toml:5: not TOML: invalid float, expected `inf`; a text needs quotes
    server.listen (PORT): "x" is not a port; allowed: 0 to 65535
    "#
    );
    let missing = [("PORCHLIGHT_CONFIG", "/nonexistent/a.toml")];
    insta::assert_snapshot!(only(from_env(&missing)), @r#"PORCHLIGHT_CONFIG: cannot read /nonexistent/a.toml: there is no such file"#);
    // Nothing is said of what the file may have set.
    let missing = [
        ("PORCHLIGHT_CONFIG", "/nonexistent/a.toml"),
        ("PORCHLIGHT_SERVER_LISTEN", "0.0.0.0:4000"),
    ];
    only(from_env(&missing));
}

#[test]
fn sections_of_another_kind() {
    let text = "log = 3\nlevel = \"info\"\n[socket]\npath = \"/x\"\n[sever]\nlisten = 1\n";
    insta::assert_snapshot!(told(from_file(text, &[])).join("\n"), @r#"
    log (porchlight.toml:1): must be a section: [log]
    level (porchlight.toml:2): no such key; did you mean log.level?
    socket (porchlight.toml:3): there may be several: write [[socket]] with two brackets
    sever (porchlight.toml:5): no such section; did you mean [server]?
    "#);
}

#[test]
fn lists_name_the_item() {
    let text = "[auth]\napi_keys = [\n  \"0123456789abcdef0123456789abcdef\",\n  \"short\",\n]\n\
                jwt_secrets = [1, 2]\n[server]\ncors_origins = [\"*\", \"localhost:3000\"]\n";
    insta::assert_snapshot!(told(from_file(text, &[("CLIENT_URL", "app.example")])).join("\n"), @r#"
    auth.api_keys[1] (porchlight.toml:4): has 5 characters, at least 32 are needed; `openssl rand -hex 32` makes a good one
    auth.jwt_secrets (porchlight.toml:6): must be a list of texts, such as ["a", "b"]
    server.cors_origins[1] (porchlight.toml:8): "localhost:3000" is not an origin; write it with its scheme, such as https://chat.example.com or http://localhost:3000, or "*" for all
    server.cors_origins[2] (CLIENT_URL): "app.example" is not an origin; write it with its scheme, such as https://chat.example.com or http://localhost:3000, or "*" for all
    "#);
}

#[test]
fn sockets() {
    let text = r#"
[[socket]]
path = "/"
[[socket]]
path = "chat"
[[socket]]
path = "/api/conversations"
dialect = ""
[[socket]]
path = "/one"
[[socket]]
path = "/one/"
[[socket]]
path = "/one/two"
[[socket]]
path = "/fine"
dialects = "direct"
[[socket]]
path = 5
"#;
    insta::assert_snapshot!(told(from_file(text, &[])).join("\n"), @r#"
    socket[0].path (porchlight.toml:3): / would take every request; give it a name, such as /socket.io or /api/socketio
    socket[1].path (porchlight.toml:5): "chat" must start with /, such as /socket.io or /api/socketio
    socket[2].path (porchlight.toml:7): /api/conversations belongs to the REST interface; below /api only names such as /api/socketio are free
    socket[2].dialect (porchlight.toml:8): must name a dialect, such as "standard"
    socket[4].path (porchlight.toml:12): /one is there already; each [[socket]] needs its own path
    socket[5].path (porchlight.toml:14): /one/two and /one: neither may be below the other, which takes every request below itself
    socket[6].dialects (porchlight.toml:17): no such key; did you mean socket.dialect?
    socket[7].path (porchlight.toml:19): must be a text in quotes
    "#);
    insta::assert_snapshot!(only(from_file("socket = []\n", &[])), @r#"socket (default): at least one [[socket]] is needed"#);
}

#[test]
fn numbers_in_their_order() {
    let text = "[chat]\nmax_page_size = 10\ntyping_throttle_ms = 9000\n[auth]\njwks_cache_s = 5\n";
    insta::assert_snapshot!(told(from_file(text, &[])).join("\n"), @r#"
    chat.max_page_size (porchlight.toml:2): 10 is below chat.page_size, which is 50
    chat.typing_throttle_ms (porchlight.toml:3): 9000 is above chat.typing_timeout_ms, which is 3000
    auth.jwks_cache_s (porchlight.toml:5): 5 is below auth.jwks_min_refresh_s, which is 10
    "#);
}

#[test]
fn ports() {
    insta::assert_snapshot!(only(from_env(&[("PORT", "4001")])), @r#"server.listen (PORT): 127.0.0.1:4001 is taken by server.ops_listen (127.0.0.1:4001); choose another port"#);
    assert!(from_env(&[("PORT", "0"), ("PORCHLIGHT_OPS_PORT", "0")]).is_ok());
    let apart = [
        ("PORCHLIGHT_SERVER_LISTEN", "127.0.0.1:4000"),
        ("PORCHLIGHT_SERVER_OPS_LISTEN", "127.0.0.2:4000"),
    ];
    assert!(from_env(&apart).is_ok());
    insta::assert_snapshot!(only(from_env(&[("PORT", "70000")])), @r#"server.listen (PORT): "70000" is not a port; allowed: 0 to 65535"#);
}

#[test]
fn an_open_listener_needs_something_to_verify_tokens_with() {
    let open = ("PORCHLIGHT_SERVER_LISTEN", "0.0.0.0:4000");
    insta::assert_snapshot!(only(from_env(&[open])), @r#"auth.jwt_secrets (default): nothing is set to verify tokens with, and 0.0.0.0:4000 is open to others; set JWT_SECRET (or auth.jwt_secrets, auth.public_key_files, auth.jwks_url, auth.nextauth_secret), or listen on 127.0.0.1 to try things out without"#);
    // An API key vouches for services, not for users.
    only(from_env(&[open, ("PORCHLIGHT_AUTH_API_KEYS", SECRET)]));
    for enough in [
        ("JWT_SECRET", SECRET),
        ("NEXTAUTH_SECRET", SECRET),
        ("PORCHLIGHT_AUTH_JWKS_URL", "https://keys.example"),
    ] {
        assert!(from_env(&[open, enough]).is_ok(), "{enough:?}");
    }
}

#[test]
fn believing_clients_is_for_loopback_or_for_those_who_insist() {
    let open = ("PORCHLIGHT_SERVER_LISTEN", "0.0.0.0:4000");
    let trust = ("PORCHLIGHT_AUTH_TRUST_NEW_USER", "true");
    let insist = ("PORCHLIGHT_AUTH_INSECURE", "true");
    let secret = ("JWT_SECRET", SECRET);
    insta::assert_snapshot!(only(from_env(&[open, trust, secret])), @"auth.trust_new_user (PORCHLIGHT_AUTH_TRUST_NEW_USER): would let anybody who reaches 0.0.0.0:4000 read and write as anybody; listen on 127.0.0.1, or set auth.insecure if that is wanted");
    let warning = warned(from_env(&[trust]));
    insta::assert_snapshot!(warning.join("\n"), @"auth.trust_new_user (PORCHLIGHT_AUTH_TRUST_NEW_USER): connections without a token are believed: whoever reaches 127.0.0.1:4000 can read and write as anybody");
    // An app without tokens has no secret either.
    assert_eq!(warned(from_env(&[open, trust, insist])).len(), 1);
    insta::assert_snapshot!(warned(from_env(&[insist])).join("\n"), @"auth.insecure (PORCHLIGHT_AUTH_INSECURE): does nothing without auth.trust_new_user");
}

#[test]
fn several_nodes_need_a_database_that_they_can_share() {
    let url = ("REDIS_URL", "redis://localhost:6379");
    insta::assert_snapshot!(only(from_env(&[url])), @"redis.url (REDIS_URL): is for several nodes, which cannot share SQLite; set database.url to PostgreSQL, or redis.allow_sqlite for one node alone, or set PORCHLIGHT_REDIS_URL to nothing where REDIS_URL is another program's");
    insta::assert_snapshot!(only(from_file("[redis]\nurl = \"redis://a\"\n", &[])), @"redis.url (porchlight.toml:2): is for several nodes, which cannot share SQLite; set database.url to PostgreSQL, or redis.allow_sqlite for one node alone");
    assert!(warned(from_env(&[url, ("DATABASE_URL", "postgres://db/chat")])).is_empty());
    let alone = ("PORCHLIGHT_REDIS_ALLOW_SQLITE", "true");
    insta::assert_snapshot!(warned(from_env(&[url, alone])).join("\n"), @"redis.allow_sqlite (PORCHLIGHT_REDIS_ALLOW_SQLITE): a second node on the same Redis, with a database of its own, would mix up conversations; use PostgreSQL (database.url) before you add one");
}

#[test]
fn redis() {
    let text = r#"
[database]
url = "postgres://db/chat"
[redis]
prefix = "a{b}"
url = "redis://a,b?family=6"
tls_ca_file = "/nonexistent/ca.pem"
"#;
    insta::assert_snapshot!(told(from_file(text, &[])).join("\n"), @"
    redis.prefix (porchlight.toml:5): must be 1 to 64 letters, digits and . _ : -, such as porchlight
    redis.url (porchlight.toml:6): names several hosts; set redis.cluster if they are a Redis Cluster, or redis.sentinel_service if they are Sentinels
    redis.tls_ca_file (porchlight.toml:7): cannot read /nonexistent/ca.pem: there is no such file
    ");
    let cluster = ("PORCHLIGHT_REDIS_CLUSTER", "true");
    let sentinels = ("PORCHLIGHT_REDIS_SENTINEL_SERVICE", "chat");
    let database = ("DATABASE_URL", "postgres://db/chat");
    let url = ("REDIS_URL", "redis://a,b/1");
    insta::assert_snapshot!(only(from_env(&[database, url, cluster])), @"redis.url (REDIS_URL): a Redis Cluster has the database 0 only");
    insta::assert_snapshot!(only(from_env(&[database, url, cluster, sentinels])), @"redis.sentinel_service (PORCHLIGHT_REDIS_SENTINEL_SERVICE): a Redis Cluster (redis.cluster) has no Sentinels; set one of the two");
    assert!(warned(from_env(&[database, url, sentinels])).is_empty());
    insta::assert_snapshot!(only(from_env(&[("REDIS_URL", "localhost:6379")])), @"redis.url (REDIS_URL): is not a URL; allowed: redis://[USER:PASSWORD@]HOST[:PORT][,HOST:PORT...][/NUMBER], or rediss:// for TLS");
    let password = ("PORCHLIGHT_REDIS_SENTINEL_PASSWORD", "hunter2");
    let url = ("REDIS_URL", "redis://a?family=6");
    insta::assert_snapshot!(warned(from_env(&[database, url, password])).join("\n"), @"
    redis.url (REDIS_URL): parameters after ? are not known here and left out
    redis.sentinel_password (PORCHLIGHT_REDIS_SENTINEL_PASSWORD): does nothing without redis.sentinel_service
    ");
}

#[test]
fn variables_that_do_not_exist() {
    let variables = [
        ("PORCHLIGHT_SERVER_LISTN", "127.0.0.1:1"),
        ("PORCHLIGHT_MAX_MESSAGE_BYTES", "4096"),
        ("PORCHLIGHT_PORT", "4000"),
        ("PORCHLIGHT_JWT_SECRET", SECRET),
        ("PORCHLIGHT_COLOUR", "red"),
    ];
    insta::assert_snapshot!(told(from_env(&variables)).join("\n"), @r#"
    PORCHLIGHT_COLOUR: there is no such variable; it is PORCHLIGHT_<SECTION>_<KEY> for the keys that default-config prints
    PORCHLIGHT_JWT_SECRET: there is no such variable; did you mean JWT_SECRET?
    PORCHLIGHT_MAX_MESSAGE_BYTES: there is no such variable; did you mean PORCHLIGHT_LIMITS_MAX_MESSAGE_BYTES?
    PORCHLIGHT_PORT: there is no such variable; did you mean PORT?
    PORCHLIGHT_SERVER_LISTN: there is no such variable; did you mean PORCHLIGHT_SERVER_LISTEN?
    "#);
}

#[test]
fn names_files_and_urls() {
    let text = r#"
[auth]
user_id_claims = []
name_claims = ["name", " "]
query_parameter = "sid"
cookie = "a;b"
public_key_files = ["/nonexistent/key.pem"]
jwks_url = "keys.example"
[dialects]
dir = "/nonexistent"
[server]
data_dir = ""
demo = "yes"
[database]
url = "mongodb://localhost/app"
[log]
level = "inof"
"#;
    insta::assert_snapshot!(told(from_file(text, &[])).join("\n"), @r#"
    auth.user_id_claims (porchlight.toml:3): must name at least one claim, such as "sub"
    auth.name_claims[1] (porchlight.toml:4): is an empty name
    auth.query_parameter (porchlight.toml:5): "sid" is a parameter of Socket.IO itself; choose another name, such as "token"
    auth.cookie (porchlight.toml:6): may hold letters, digits and - _ . only, as names of parameters and cookies do
    auth.public_key_files[0] (porchlight.toml:7): cannot read /nonexistent/key.pem: there is no such file
    auth.jwks_url (porchlight.toml:8): is not a URL; allowed: https://..., http://...
    dialects.dir (porchlight.toml:10): there is no folder /nonexistent
    server.data_dir (porchlight.toml:12): must name a folder, such as data
    server.demo (porchlight.toml:13): "yes" is not one of auto, on, off
    database.url (porchlight.toml:15): mongodb:// is not supported; allowed: sqlite://PATH, postgres://USER:PASSWORD@HOST/NAME, or empty for SQLite in server.data_dir
    log.level (porchlight.toml:17): "inof" is not a level; allowed: off, error, warn, info, debug, trace, or directives such as "info,porchlight::store=debug"
    "#);
}

#[test]
fn warnings() {
    let text = r#"
[server]
cors_origins = ["*", "https://one.example"]
[auth]
cookie = "session"
jwks_url = "http://keys.example"
jwt_secrets = ["only-a-few-bytes", "your-very-own-secret-key-goes-here"]
[transport]
ping_interval_ms = 60000
[limits]
max_message_bytes = 4096
[database]
url = "postgres://db/chat?connection_limit=5"
"#;
    let shown: Vec<String> = warned(from_file(text, &[]))
        .iter()
        .map(|line| {
            let (key, rest) = line.split_once(" (").expect("an origin");
            let (origin, problem) = rest.split_once("): ").expect("a problem");
            let line = origin.rsplit(':').next().expect("a line");
            format!("{key} ({line}): {problem}")
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    server.cors_origins (3): "*" allows every origin; the others change nothing
    server.cors_origins (3): "*" goes without cookies, but tokens are expected in one (auth.cookie or auth.nextauth_secret); list the origins instead
    database.url (13): the parameter connection_limit is left out; database.max_connections sets it
    auth.jwt_secrets[0] (7): has only 16 bytes; 32 or more are safe; `openssl rand -base64 32` makes a good one
    auth.jwt_secrets[1] (7): looks like an example's; `openssl rand -base64 32` makes a good one
    auth.jwks_url (6): keys fetched without https can be exchanged on the way
    limits.max_message_bytes (11): 4096 bytes cannot carry every message of chat.max_content_chars (10000) characters; 40512 can
    transport.ping_interval_ms (9): many proxies close connections that are silent for 60 s
    "#);
}

#[test]
fn one_value_has_one_mistake() {
    // A list item and a number that are wrong in more than one way.
    only(from_env(&[("PORCHLIGHT_CHAT_PAGE_SIZE", "0")]));
    only(from_env(&[
        ("PORCHLIGHT_SERVER_LISTEN", "nowhere"),
        ("PORT", "80"),
    ]));
    // What the environment mends is still told of the file.
    let text = "[chat]\npage_size = 0\n";
    only(from_file(text, &[("PORCHLIGHT_CHAT_PAGE_SIZE", "5")]));
}
