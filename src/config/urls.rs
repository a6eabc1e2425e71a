//! URLs and web origins of the configuration: which are allowed, and the form that the rest of
//! the program gets.

use std::borrow::Cow;

use super::Url;

/// The URL with passwords and parameters replaced by `***`.
pub(super) fn without_secrets(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else {
        return if text.is_empty() { "" } else { "***" }.to_owned();
    };
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return "***".to_owned();
    }
    if url.query().is_some() {
        url.set_query(Some("***"));
    }
    url.to_string()
}

/// `scheme://host[:port]` in the form that browsers send in `Origin`.
pub(super) fn origin(text: &str) -> Result<String, String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(format!(
            "\"{text}\" is not an origin; write it with its scheme, such as https://chat.example.com \
             or http://localhost:3000, or \"*\" for all"
        ));
    };
    if rest.contains('*') {
        return Err(format!(
            "\"{text}\": a \"*\" inside an origin is not supported; list every origin, or \"*\" alone"
        ));
    }
    let url = Url::parse(text).map_err(|e| format!("\"{text}\" is not an origin: {e}"))?;
    if !url.has_host() {
        return Err(format!("\"{text}\" names no host"));
    }
    let beyond = !matches!(url.path(), "" | "/")
        || url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty();
    let origin = if url.origin().is_tuple() {
        url.origin().ascii_serialization()
    } else {
        // capacitor://localhost and the like: no scheme that URLs define origins for.
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        format!("{scheme}://{host}").to_ascii_lowercase()
    };
    if beyond {
        return Err(format!("\"{text}\" is more than an origin; write {origin}"));
    }
    Ok(origin)
}

/// A URL of one of the schemes.
pub(super) fn with_scheme(text: &str, schemes: &[&str]) -> Result<Url, String> {
    let allowed = || format!("allowed: {}://...", schemes.join("://..., "));
    match Url::parse(text) {
        Ok(url) if !schemes.contains(&url.scheme()) => Err(format!(
            "{}:// is not a scheme for this; {}",
            url.scheme(),
            allowed()
        )),
        Ok(url) if !url.has_host() => Err(format!("names no host; {}", allowed())),
        Ok(url) => Ok(url),
        Err(e) => Err(format!("is not a URL ({e}); {}", allowed())),
    }
}

const DATABASES: &str = "allowed: sqlite://PATH, postgres://USER:PASSWORD@HOST/NAME, or empty for SQLite in \
     server.data_dir";

/// A database's URL, as `sqlite://PATH` or `postgres://...`, with what had to be left out.
///
/// Takes what Prisma writes (`postgresql://`, `file:`, and its parameters:
/// <https://www.prisma.io/docs/orm/overview/databases/postgresql#arguments>): `schema` becomes the
/// search path, `pgbouncer=true` turns the cache of prepared statements off.
pub(super) fn database(text: &str) -> Result<(String, Vec<String>), String> {
    if text.is_empty() {
        return Ok((String::new(), Vec::new()));
    }
    match text.split_once(':') {
        Some(("sqlite" | "file", rest)) => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            match path.split('?').next() {
                None | Some("") => Err(format!("names no file; {DATABASES}")),
                Some(":memory:") => Err(
                    "a database in memory forgets every message at a restart; name a file: \
                     sqlite://PATH"
                        .to_owned(),
                ),
                Some(_) => Ok((format!("sqlite://{path}"), Vec::new())),
            }
        }
        Some(("postgres" | "postgresql", rest)) => postgres(&format!("postgres:{rest}")),
        Some((scheme, _)) if text.contains("://") => {
            Err(format!("{scheme}:// is not supported; {DATABASES}"))
        }
        _ => Err(format!("is not a database's URL; {DATABASES}")),
    }
}

fn postgres(text: &str) -> Result<(String, Vec<String>), String> {
    let mut url = Url::parse(text).map_err(|e| {
        format!(
            "is not a URL ({e}); characters other than letters, digits and - _ . ~ in a user name \
             or password must be percent-encoded"
        )
    })?;
    let mut left_out = Vec::new();
    let mut kept: Vec<(Cow<'static, str>, String)> = Vec::new();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let names_host = pairs
        .iter()
        .any(|(name, _)| ["host", "hostaddr"].contains(&name.as_str()));
    if url.host_str().is_none_or(str::is_empty) && !names_host {
        return Err(format!("names no host; {DATABASES}"));
    }
    for (name, value) in pairs {
        match name.as_str() {
            "schema" if value == "public" => {}
            "schema" if is_plain_name(&value) => {
                kept.push(("options[search_path]".into(), value));
            }
            "schema" => {
                return Err(
                    "the parameter schema may hold lower-case letters, digits and _ only"
                        .to_owned(),
                );
            }
            "pgbouncer" if value == "true" => {
                kept.push(("statement-cache-capacity".into(), "0".to_owned()));
            }
            "pgbouncer" => {}
            "sslmode" | "ssl-mode" if !SSL_MODES.contains(&value.as_str()) => {
                return Err(format!(
                    "\"{value}\" is no sslmode; allowed: {}",
                    SSL_MODES.join(", ")
                ));
            }
            "connection_limit" => left_out.push(
                "the parameter connection_limit is left out; database.max_connections sets it"
                    .to_owned(),
            ),
            "pool_timeout" => left_out.push(
                "the parameter pool_timeout is left out; database.acquire_timeout_ms sets it"
                    .to_owned(),
            ),
            known if KNOWN.contains(&known) || known.starts_with("options[") => {
                kept.push((name.into(), value));
            }
            unknown => left_out.push(format!(
                "the parameter {unknown} is not known here and is left out"
            )),
        }
    }
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
    Ok((url.to_string(), left_out))
}

const SSL_MODES: [&str; 6] = [
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

/// The parameters that sqlx knows (sqlx-postgres 0.9, `options/parse.rs`); it would log others
/// with their values.
const KNOWN: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

fn is_plain_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        let (url, left_out) = database(text).expect(text);
        assert!(left_out.is_empty(), "{text}: {left_out:?}");
        url
    }

    #[test]
    fn databases_in_every_accepted_spelling() {
        assert_eq!(plain(""), "");
        assert_eq!(plain("sqlite://data/a.db"), "sqlite://data/a.db");
        assert_eq!(plain("sqlite:///var/a.db"), "sqlite:///var/a.db");
        assert_eq!(plain("sqlite:a.db"), "sqlite://a.db");
        assert_eq!(plain("file:./dev.db"), "sqlite://./dev.db");
        assert_eq!(
            plain("postgresql://u:p%40ss@db:5433/chat?schema=public"),
            "postgres://u:p%40ss@db:5433/chat"
        );
        assert_eq!(
            plain("postgres://u@db/chat?schema=porch&sslmode=require&pgbouncer=true"),
            "postgres://u@db/chat?options%5Bsearch_path%5D=porch&sslmode=require\
             &statement-cache-capacity=0"
        );
        assert_eq!(
            plain("postgres:///chat?host=/var/run/postgresql"),
            "postgres:///chat?host=%2Fvar%2Frun%2Fpostgresql"
        );
    }

    #[test]
    fn parameters_of_others_are_left_out_by_name() {
        let (url, left_out) =
            database("postgres://db/chat?connection_limit=5&pool_timeout=2&sslaccept=strict")
                .expect("a URL");
        assert_eq!(url, "postgres://db/chat");
        assert_eq!(left_out.len(), 3);
        assert!(left_out[0].contains("database.max_connections"));
        assert!(left_out[1].contains("database.acquire_timeout_ms"));
        assert!(left_out[2].contains("sslaccept"));
    }

    #[test]
    fn wrong_databases_say_what_is_allowed_and_no_password() {
        for wrong in [
            "mysql://root:hunter2@db/chat",
            "mongodb+srv://u:hunter2@cluster/chat",
            "postgres://u:hunter2@:5432/chat",
            "postgres://u:hunter2@db:port/chat",
            "postgres://u:hunter2@db/chat?schema=No;Thanks",
            "postgres://u:hunter2@db/chat?sslmode=maybe",
            "hunter2",
            "sqlite:",
            "sqlite::memory:",
        ] {
            let problem = database(wrong).expect_err(wrong);
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn origins_are_as_browsers_send_them() {
        for (text, expected) in [
            ("*", "*"),
            ("https://Chat.Example.com", "https://chat.example.com"),
            ("http://localhost:3000/", "http://localhost:3000"),
            ("https://a.example:443", "https://a.example"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(origin(text).as_deref(), Ok(expected));
        }
        for wrong in [
            "localhost:3000",
            "https://*.example.com",
            "https://a.example/chat",
            "https://",
            "null",
        ] {
            assert!(origin(wrong).is_err(), "{wrong} was accepted");
        }
    }

    #[test]
    fn shown_urls_hold_no_secret() {
        let shown = without_secrets("postgres://u:hunter2@db/chat?sslpassword=hunter2");
        assert_eq!(shown, "postgres://u:***@db/chat?***");
        assert_eq!(without_secrets("hunter2"), "***");
        assert_eq!(without_secrets("sqlite://data/a.db"), "sqlite://data/a.db");
    }
}
