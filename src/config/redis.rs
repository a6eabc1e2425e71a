//! `[redis]`: what its URL may look like, and what that says.

use super::{Redis, Url};

const ALLOWED: &str =
    "allowed: redis://[USER:PASSWORD@]HOST[:PORT][,HOST:PORT...][/NUMBER], or rediss:// for TLS";

/// What a Redis URL says.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisAddress {
    /// Whether connections are encrypted.
    pub tls: bool,
    /// The user, if one is named.
    pub username: Option<String>,
    /// The password, if there is one.
    pub password: Option<String>,
    /// Servers, or Sentinels where a service is named; never empty. A port that the URL leaves out
    /// is `None`.
    pub hosts: Vec<(String, Option<u16>)>,
    /// The number of the database.
    pub database: u8,
}

impl Redis {
    /// Whether several nodes are wanted.
    pub fn is_set(&self) -> bool {
        !self.url.is_empty()
    }

    /// What the URL says.
    ///
    /// # Errors
    /// What is wrong with it, without what it holds.
    pub fn address(&self) -> Result<RedisAddress, String> {
        parse(&self.url).map(|(address, _)| address)
    }
}

/// A Redis URL as clients of other languages write it, with several hosts where those of a cluster
/// or of Sentinels are named; and whether parameters were left out.
pub(super) fn parse(text: &str) -> Result<(RedisAddress, bool), String> {
    let (tls, rest) = match text.split_once("://") {
        Some(("redis", rest)) => (false, rest),
        Some(("rediss", rest)) => (true, rest),
        Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            return Err(format!("{scheme}:// is not a scheme for this; {ALLOWED}"));
        }
        _ => return Err(format!("is not a URL; {ALLOWED}")),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (path, parameters) = match rest.find(['?', '#']) {
        Some(at) => (&rest[..at], true),
        None => (rest, false),
    };
    let database = match path.trim_start_matches('/') {
        "" => 0,
        number => number
            .parse()
            .map_err(|_| format!("its path is not a database's number; {ALLOWED}"))?,
    };
    let hosts: Vec<_> = hosts.split(',').map(host).collect::<Result<_, _>>()?;
    let (username, password) = user.split_once(':').unwrap_or((user, ""));
    let address = RedisAddress {
        tls,
        username: decoded(username)?,
        password: decoded(password)?,
        hosts,
        database,
    };
    Ok((address, parameters))
}

fn host(text: &str) -> Result<(String, Option<u16>), String> {
    let url = Url::parse(&format!("redis://{}", text.trim()))
        .map_err(|e| format!("names a host that cannot be read ({e}); {ALLOWED}"))?;
    match url.host_str() {
        Some(host) if !host.is_empty() && matches!(url.path(), "" | "/") => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            Ok((host.to_owned(), url.port()))
        }
        _ => Err(format!("names no host; {ALLOWED}")),
    }
}

/// A percent-encoded part of a URL; `None` if it is empty.
fn decoded(text: &str) -> Result<Option<String>, String> {
    let wrong = || "its user or password is not percent-encoded UTF-8".to_owned();
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let code = part.get(..2).ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(code, 16).map_err(|_| wrong())?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    Ok(Some(text).filter(|t| !t.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let (a, left_out) = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let hosts: Vec<_> = a.hosts.iter().map(|(h, p)| format!("{h} {p:?}")).collect();
        format!(
            "{} {:?} {:?} {} {} {left_out}",
            a.tls,
            a.username,
            a.password,
            hosts.join(" "),
            a.database
        )
    }

    #[test]
    fn urls_as_other_clients_write_them() {
        assert_eq!(told("redis://cache"), "false None None cache None 0 false");
        assert_eq!(
            told("rediss://:p%40ss%2Cw@cache.example:6380/3?x=1"),
            "true None Some(\"p@ss,w\") cache.example Some(6380) 3 true"
        );
        assert_eq!(
            told("redis://app:pw@a:1,b:2,[::1]:3/"),
            "false Some(\"app\") Some(\"pw\") a Some(1) b Some(2) ::1 Some(3) 0 false"
        );
    }

    #[test]
    fn wrong_urls_say_what_is_allowed_and_no_password() {
        for wrong in [
            "cache:6379",
            "http://cache",
            "redis://",
            "redis://u:hunter2@",
            "redis://u:hunter2@a,,b",
            "redis://u:hunter2@cache:port",
            "redis://u:hunter2%4@cache",
            "redis://u:hunter2%ff@cache",
            "redis://u:hunter2@cache/chat",
            "redis://u:hunter2@cache/256",
            "hunter2",
        ] {
            let problem = match parse(wrong) {
                Ok(_) => panic!("{wrong} was accepted"),
                Err(problem) => problem,
            };
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }
}
