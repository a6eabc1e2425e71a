//! Opening, migrating, and what is said when that fails.

use std::path::Path;

use porchlight::store::{self, OpenError};

use super::backend::*;
use crate::support::postgres;

async fn refused(url: &str) -> OpenError {
    let mut db = Backend::at(url.to_owned());
    db.cfg.acquire_timeout = std::time::Duration::from_secs(2);
    store::open(&db.cfg, &db.file)
        .await
        .err()
        .expect("an error")
}

#[tokio::test]
async fn a_bad_url_is_named_without_its_content() {
    for url in [
        "mysql://root:secret@localhost/chat",
        "secret",
        "postgres://user:secret@host:port/db",
        "sqlite::memory:",
        "sqlite://x.db?mode=memory",
        "sqlite://",
    ] {
        let e = refused(url).await;
        assert!(matches!(e, OpenError::Url(_)), "{url}: {e}");
        let line = e.to_string();
        assert!(
            line.starts_with("database.url ") && !line.contains("secret"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named_without_its_password() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = unused.local_addr().unwrap().port();
    drop(unused);
    let e = refused(&format!(
        "postgres://me:secret@127.0.0.1:{port}/chat?sslmode=disable"
    ))
    .await;
    assert!(matches!(e, OpenError::Connect { .. }));
    let line = e.to_string();
    assert!(
        line.contains(&format!("postgres://me@127.0.0.1:{port}/chat")),
        "{line}"
    );
    assert!(!line.contains("secret") && !line.contains('\n'), "{line}");

    let url = postgres::database().await.url;
    let (server, _) = url.rsplit_once('/').unwrap();
    let e = refused(&format!("{server}/missing?sslmode=disable")).await;
    assert!(matches!(e, OpenError::Connect { .. }), "{e}");

    let file = tempfile::NamedTempFile::new().unwrap();
    let e = refused(&format!(
        "sqlite://{}/below/a/file.db",
        file.path().display()
    ))
    .await;
    assert!(matches!(e, OpenError::Connect { .. }), "{e}");
}

#[tokio::test]
async fn a_foreign_file_and_a_failing_migration_are_told_apart() {
    let db = Backend::sqlite();
    std::fs::create_dir_all(db.file.parent().unwrap()).unwrap();
    std::fs::write(&db.file, [7; 8192]).unwrap();
    let e = store::open(&db.cfg, &db.file).await.err().unwrap();
    assert!(matches!(e, OpenError::Connect { .. }), "{e}");

    for db in [Backend::sqlite(), Backend::postgres().await] {
        if db.cfg.url.is_empty() {
            std::fs::create_dir_all(db.file.parent().unwrap()).unwrap();
            std::fs::write(&db.file, []).unwrap();
        }
        db.execute("CREATE TABLE users (somebody_elses TEXT)").await;
        let e = store::migrate(&db.cfg, &db.file).await.err().unwrap();
        assert!(matches!(e, OpenError::Migrate { .. }), "{e}");
    }
}

#[tokio::test]
async fn many_may_migrate_at_once_and_again() {
    for db in [Backend::sqlite(), Backend::postgres().await] {
        let opening = (0..4).map(|_| store::open(&db.cfg, &db.file));
        for opened in futures_util::future::join_all(opening).await {
            opened.unwrap().ping().await.unwrap();
        }
        store::migrate(&db.cfg, &db.file).await.unwrap();
        // A newer version that knows further migrations was here.
        db.execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'later', TRUE, '', 0)",
        )
        .await;
        db.open().await.ping().await.unwrap();
    }
}

#[test]
fn descriptions_hold_no_secret() {
    let file = Path::new("data/porchlight.db");
    assert_eq!(store::describe("", file), "sqlite://data/porchlight.db");
    assert_eq!(
        store::describe("sqlite:///var/a.db?mode=rw", file),
        "sqlite:///var/a.db"
    );
    let url = "postgres://me:secret@db.example:5433/chat?password=secret";
    assert_eq!(
        store::describe(url, file),
        "postgres://me@db.example:5433/chat"
    );
    assert_eq!(store::describe("secret", file), "an unreadable URL");
}
