//! What goes before what, and the names that other programs use.

use std::time::Duration;

use porchlight::config::{Demo, Sources, load};

use super::{SECRET, file, from_env, from_file, told, warned};

#[test]
fn file_over_default_and_environment_over_file() {
    let text = "[chat]\npage_size = 10\nmax_page_size = 20\n[server]\ndemo = \"off\"\n";
    let loaded = from_file(text, &[("PORCHLIGHT_CHAT_PAGE_SIZE", "15")]).expect("right");
    assert_eq!(loaded.config.chat.page_size, 15);
    assert_eq!(loaded.config.chat.max_page_size, 20);
    assert_eq!(loaded.config.chat.max_participants, 256);
    assert_eq!(loaded.config.server.demo, Demo::Off);
    let shown: Vec<String> = loaded
        .changed
        .iter()
        .map(|c| format!("{} = {}", c.key, c.value))
        .collect();
    assert_eq!(
        shown,
        [
            "chat.max_page_size = 20",
            "chat.page_size = 15",
            "server.demo = \"off\""
        ]
    );
    assert!(
        loaded.changed[0]
            .origin
            .to_string()
            .ends_with("porchlight.toml:3")
    );
    assert_eq!(
        loaded.changed[1].origin.to_string(),
        "PORCHLIGHT_CHAT_PAGE_SIZE"
    );
}

#[test]
fn the_command_line_names_the_file_before_the_environment() {
    let (_one, one) = file("[chat]\npage_size = 1\n");
    let (_two, two) = file("[chat]\npage_size = 2\n");
    let variables = [("PORCHLIGHT_CONFIG", two.clone())];
    let loaded = load(&Sources::new(Some(one), variables.clone())).expect("right");
    assert_eq!(loaded.config.chat.page_size, 1);
    let loaded = load(&Sources::new(None, variables)).expect("right");
    assert_eq!(loaded.config.chat.page_size, 2);
}

#[test]
fn an_empty_variable_puts_the_default_back() {
    let text = "[log]\nlevel = \"trace\"\n[auth]\nuser_id_claims = [\"uid\"]\n";
    let loaded = from_file(
        text,
        &[
            ("PORCHLIGHT_LOG_LEVEL", ""),
            ("PORCHLIGHT_AUTH_USER_ID_CLAIMS", ""),
            ("PORT", ""),
            ("JWT_SECRET", ""),
            ("PORCHLIGHT_CONFIG", ""),
            ("REDIS_URL", "redis://elsewhere"),
            ("PORCHLIGHT_REDIS_URL", ""),
        ],
    )
    .expect("right");
    assert_eq!(loaded.config.log.level, "info");
    assert_eq!(loaded.config.auth.user_id_claims, ["sub", "id", "userId"]);
    assert_eq!(loaded.config.server.listen.port(), 4000);
    assert!(loaded.config.auth.jwt_secrets.is_empty());
    assert!(loaded.config.redis.url.is_empty());
}

#[test]
fn values_of_every_type_from_the_environment() {
    let config = from_env(&[
        ("PORCHLIGHT_LOG_JSON", "TRUE"),
        ("PORCHLIGHT_SERVER_TRUST_FORWARDED_FOR", "1"),
        ("PORCHLIGHT_SERVER_SHUTDOWN_TIMEOUT_MS", "0"),
        ("PORCHLIGHT_AUTH_NAME_CLAIMS", " name , nick ,"),
        ("PORCHLIGHT_DATABASE_GROUP_COMMIT_WAIT_US", "500"),
        ("UNRELATED", "anything"),
    ])
    .expect("right")
    .config;
    assert!(config.log.json);
    assert!(config.server.trust_forwarded_for);
    assert_eq!(config.server.shutdown_timeout, Duration::ZERO);
    assert_eq!(config.auth.name_claims, ["name", "nick"]);
    assert_eq!(
        config.database.group_commit_wait,
        Duration::from_micros(500)
    );
}

#[test]
fn ports_change_alone_wherever_the_address_came_from() {
    let config = from_env(&[
        ("PORT", "8080"),
        ("PORCHLIGHT_OPS_PORT", "9090"),
        ("PORCHLIGHT_SERVER_LISTEN", "0.0.0.0:4000"),
        ("JWT_SECRET", SECRET),
    ])
    .expect("right")
    .config;
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.server.ops_listen.to_string(), "127.0.0.1:9090");
}

#[test]
fn web_addresses_of_the_app_become_origins() {
    let loaded = from_file(
        "[server]\ncors_origins = [\"https://one.example\"]\n",
        &[
            (
                "CLIENT_URL",
                "http://localhost:3000/, https://Two.example/chat?x=1",
            ),
            ("FRONTEND_URL", "http://localhost:3000"),
            ("NEXT_PUBLIC_APP_URL", "https://three.example:443"),
        ],
    )
    .expect("right");
    assert_eq!(
        loaded.config.server.cors_origins,
        [
            "https://one.example",
            "http://localhost:3000",
            "https://two.example",
            "https://three.example"
        ]
    );
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn secrets_of_the_app_are_added_after_the_own() {
    let other = "another secret of thirty-two bytes and more";
    let config = from_env(&[
        ("PORCHLIGHT_AUTH_JWT_SECRETS", SECRET),
        ("JWT_SECRET", other),
        ("JWT_ACCESS_SECRET_KEY", SECRET),
        // A mounted secret often ends in a newline, and the app signs with it.
        ("NEXTAUTH_SECRET", &format!("{other}\n")),
    ])
    .expect("right")
    .config;
    assert_eq!(config.auth.jwt_secrets, [SECRET, other]);
    assert_eq!(config.auth.nextauth_secret, format!("{other}\n"));
    assert!(config.auth.has_verifier());
}

#[test]
fn log_levels_of_other_loggers() {
    for (foreign, own) in [
        ("warn", "warn"),
        ("WARNING", "warn"),
        ("verbose", "debug"),
        ("http", "debug"),
        ("silly", "trace"),
        ("silent", "off"),
        ("fatal", "error"),
        (
            "info,porchlight::store=debug",
            "info,porchlight::store=debug",
        ),
    ] {
        let config = from_env(&[("LOG_LEVEL", foreign)]).expect(foreign).config;
        assert_eq!(config.log.level, own);
    }
    let both = [("LOG_LEVEL", "silly"), ("PORCHLIGHT_LOG_LEVEL", "error")];
    assert_eq!(from_env(&both).expect("right").config.log.level, "error");
}

#[test]
fn databases_of_the_app() {
    let url = |variables: &[(&str, &str)]| {
        let loaded = from_env(variables).expect("right");
        loaded.config.database.url
    };
    assert_eq!(
        url(&[("DATABASE_URL", "postgresql://u:p@db:5432/app?schema=public")]),
        "postgres://u:p@db:5432/app"
    );
    assert_eq!(
        url(&[
            ("DATABASE_URL", "mysql://db/app"),
            ("PORCHLIGHT_DATABASE_URL", "sqlite://a.db")
        ]),
        "sqlite://a.db"
    );
    assert_eq!(
        url(&[("PORCHLIGHT_DATABASE_URL", "file:./own.db")]),
        "sqlite://./own.db"
    );

    let prisma = [("DATABASE_URL", "file:./dev.db")];
    assert_eq!(url(&prisma), "", "Prisma's file is left alone");
    let warnings = warned(from_env(&prisma));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].starts_with("database.url (DATABASE_URL): "),
        "{warnings:?}"
    );
    assert!(
        warnings[0].contains("PORCHLIGHT_DATABASE_URL"),
        "{warnings:?}"
    );
}

#[test]
fn sockets_from_file_and_environment() {
    let text = "[[socket]]\n[[socket]]\npath = \"/chat/\"\ndialect = \"direct\"\n";
    let sockets = |variables: &[(&str, &str)]| -> Vec<String> {
        let config = from_file(text, variables).expect("right").config;
        config
            .socket
            .iter()
            .map(|s| format!("{} {}", s.path, s.dialect))
            .collect()
    };
    assert_eq!(sockets(&[]), ["/socket.io standard", "/chat direct"]);
    assert_eq!(
        sockets(&[("PORCHLIGHT_SOCKET_DIALECT", "threads")]),
        ["/socket.io threads", "/chat threads"]
    );
    assert_eq!(
        sockets(&[
            ("PORCHLIGHT_SOCKET_PATH", "/api/socketio"),
            ("PORCHLIGHT_SOCKET_DIALECT", "inkspot"),
        ]),
        ["/api/socketio inkspot"]
    );
    let uneven = from_file(text, &[("PORCHLIGHT_SOCKET_PATH", "/a,/b,/c")]);
    assert_eq!(
        told(uneven),
        [
            "socket (PORCHLIGHT_SOCKET_PATH): 3 paths and 2 dialects; name one dialect for all \
          paths, or as many as paths"
        ]
    );
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_are_no_mistakes() {
    let loaded = from_env(&[
        ("PORCHLIGHT_SERVICE_HOST", "10.0.0.1"),
        ("PORCHLIGHT_SERVICE_PORT", "4000"),
        ("PORCHLIGHT_PORT", "tcp://10.0.0.1:4000"),
        ("PORCHLIGHT_PORT_4000_TCP_ADDR", "10.0.0.1"),
        ("PORCHLIGHT_OPS_PORT", "tcp://10.0.0.1:4001"),
    ])
    .expect("right");
    assert!(loaded.changed.is_empty(), "{:?}", loaded.changed);
}

#[test]
fn secrets_are_never_shown() {
    let password = "hunter2hunter2hunter2hunter2hunter2";
    let loaded = from_env(&[
        ("JWT_SECRET", password),
        ("NEXTAUTH_SECRET", password),
        ("PORCHLIGHT_AUTH_API_KEYS", password),
        (
            "DATABASE_URL",
            &format!("postgres://u:{password}@db/chat?sslkey={password}"),
        ),
    ])
    .expect("right");
    let shown = porchlight::cli::check_config(&loaded, Vec::new()).expect("right");
    assert!(shown.starts_with("OK\n"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("postgres://u:***@db/chat?***"), "{shown}");
    assert!(!format!("{loaded:?}").contains("hunter2"));

    let refused = from_env(&[
        ("JWT_SECRET", "hunter2"),
        ("PORCHLIGHT_AUTH_API_KEYS", "hunter2"),
        ("DATABASE_URL", "mysql://u:hunter2@db/chat"),
        ("REDIS_URL", "amqp://:hunter2@redis"),
        ("PORCHLIGHT_AUTH_JWKS_URL", "ftp://u:hunter2@keys"),
    ]);
    let told = told(refused);
    assert_eq!(told.len(), 5, "{told:#?}");
    assert!(
        told.iter().all(|line| !line.contains("hunter2")),
        "{told:#?}"
    );
}
