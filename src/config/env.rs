//! The environment: `PORCHLIGHT_<SECTION>_<KEY>`, and the names that apps around the gateway
//! already use.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use super::{
    Origin, Url,
    draft::Draft,
    finding::did_you_mean,
    level::translate_foreign,
    schema::{self, Key, LIST_SECTION, PREFIX, Value, keys},
};

/// Names the configuration file; `--config` goes before it.
pub(super) const CONFIG_FILE: &str = "PORCHLIGHT_CONFIG";

const OPS_PORT: &str = "PORCHLIGHT_OPS_PORT";

/// Foreign variables that set a key unless its own variable does.
const SETTING: [(&str, &str); 4] = [
    ("DATABASE_URL", "database.url"),
    ("REDIS_URL", "redis.url"),
    ("NEXTAUTH_SECRET", "auth.nextauth_secret"),
    ("LOG_LEVEL", "log.level"),
];

/// Variables that change the port of an address, wherever the address came from: an image says
/// on which interfaces to listen, and the platform that runs it says on which port.
const PORTS: [(&str, &str); 2] = [("PORT", "server.listen"), (OPS_PORT, "server.ops_listen")];

/// Foreign variables with a comma list of URLs whose origins are added to `server.cors_origins`.
const ORIGINS: [&str; 3] = ["CLIENT_URL", "FRONTEND_URL", "NEXT_PUBLIC_APP_URL"];

/// Foreign variables with a secret that is added to `auth.jwt_secrets`.
const SECRETS: [&str; 2] = ["JWT_SECRET", "JWT_ACCESS_SECRET_KEY"];

/// The variables of a process.
#[derive(Default)]
pub(super) struct Environment(BTreeMap<String, OsString>);

impl Environment {
    pub fn new(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        Self(
            variables
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                .collect(),
        )
    }

    /// The value as the system gave it; one that is empty counts as not set.
    pub fn raw(&self, name: &str) -> Option<&OsStr> {
        self.0
            .get(name)
            .map(OsString::as_os_str)
            .filter(|value| !value.is_empty())
    }

    /// The value, if it is set and text. Other than text is a mistake.
    fn text(&self, name: &str, draft: &mut Draft) -> Option<&str> {
        let value = self.raw(name)?.to_str();
        if value.is_none() {
            refuse_variable(name, "is not UTF-8 text", draft);
        }
        value.map(str::trim)
    }

    /// Puts every variable that stands for a key into the draft.
    pub fn read(&self, draft: &mut Draft) {
        self.read_setting(draft);
        for key in keys() {
            self.read_own(key, draft);
        }
        self.read_sockets(draft);
        self.read_ports(draft);
        self.read_adding(draft);
        self.refuse_unknown(draft);
    }

    fn read_setting(&self, draft: &mut Draft) {
        for (variable, name) in SETTING {
            let Some(key) = schema::find(name) else {
                continue;
            };
            if self.0.contains_key(&key.variable) {
                continue;
            }
            let Some(text) = self.text(variable, draft) else {
                continue;
            };
            let origin = Origin::Variable(variable.to_owned());
            let text = match name {
                // Prisma's own SQLite file, relative to Prisma's schema. Tables that Prisma does
                // not know would make it offer to reset the file.
                "database.url" if text.starts_with("file:") => {
                    draft.warnings.push(super::Finding {
                        key: name.to_owned(),
                        origin,
                        problem: format!(
                            "another program's SQLite file is left alone, SQLite in \
                             server.data_dir is used; {} chooses a database",
                            key.variable
                        ),
                    });
                    continue;
                }
                "log.level" => translate_foreign(text),
                _ => text,
            };
            draft.set(key, Value::Text(text.to_owned()), origin, None);
        }
    }

    fn read_own(&self, key: &Key, draft: &mut Draft) {
        if key.name.starts_with(LIST_SECTION) || !self.0.contains_key(&key.variable) {
            return;
        }
        let origin = Origin::Variable(key.variable.clone());
        if self.raw(&key.variable).is_none() {
            draft.set(key, key.default.clone(), origin, None);
            return;
        }
        let Some(text) = self.text(&key.variable, draft) else {
            return;
        };
        let value = match &key.default {
            Value::Text(_) => Value::Text(text.to_owned()),
            Value::List(_) => Value::List(split(text).map(str::to_owned).collect()),
            Value::Switch(_) => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Value::Switch(true),
                "false" | "0" => Value::Switch(false),
                _ => {
                    let problem = format!("\"{text}\" is neither true nor false");
                    return draft.refuse(&key.name, origin, problem);
                }
            },
            Value::Number(_) => match text.parse() {
                Ok(number) => Value::Number(number),
                Err(_) => {
                    let problem = match key.range() {
                        Some((min, max)) => format!(
                            "\"{text}\" is not a whole number; allowed: {min} to {max}{}",
                            key.unit()
                        ),
                        None => format!("\"{text}\" is not a whole number"),
                    };
                    return draft.refuse(&key.name, origin, problem);
                }
            },
        };
        draft.set(key, value, origin, None);
    }

    /// The paths and the dialects of all `[[socket]]` blocks: comma lists that belong together
    /// item by item; one dialect serves all paths.
    fn read_sockets(&self, draft: &mut Draft) {
        let blocks = draft.sockets();
        let mut list = |leaf: &str, place: usize| -> Option<Vec<(String, Origin)>> {
            let key = schema::find(&format!("{LIST_SECTION}.{leaf}"))?;
            match self.text(&key.variable, draft) {
                Some(text) => Some(
                    split(text)
                        .map(|item| (item.to_owned(), Origin::Variable(key.variable.clone())))
                        .collect(),
                ),
                None => Some(blocks.iter().map(|block| block[place].clone()).collect()),
            }
        };
        let (Some(paths), Some(mut dialects)) = (list("path", 0), list("dialect", 1)) else {
            return;
        };
        if dialects.iter().skip(1).all(|d| d.0 == dialects[0].0) && !dialects.is_empty() {
            dialects.resize(paths.len(), dialects[0].clone());
        }
        if paths.len() != dialects.len() {
            let origin = match dialects.first() {
                Some((_, origin @ Origin::Variable(_))) => origin.clone(),
                _ => paths.first().map_or(Origin::Default, |p| p.1.clone()),
            };
            let problem = format!(
                "{} paths and {} dialects; name one dialect for all paths, or as many as paths",
                paths.len(),
                dialects.len()
            );
            return draft.refuse(LIST_SECTION, origin, problem);
        }
        draft.set_sockets(
            paths
                .into_iter()
                .zip(dialects)
                .map(<[_; 2]>::from)
                .collect(),
        );
    }

    fn read_ports(&self, draft: &mut Draft) {
        for (variable, name) in PORTS {
            let Some(text) = self.text(variable, draft) else {
                continue;
            };
            let Some(key) = schema::find(name).filter(|_| !is_service_link(variable, text)) else {
                continue;
            };
            let origin = Origin::Variable(variable.to_owned());
            match text.parse() {
                Ok(port) => draft.set_port(key, port, origin),
                Err(_) => {
                    let problem = format!("\"{text}\" is not a port; allowed: 0 to 65535");
                    draft.refuse(name, origin, problem);
                }
            }
        }
    }

    fn read_adding(&self, draft: &mut Draft) {
        for variable in ORIGINS {
            if let Some(text) = self.text(variable, draft) {
                let origin = Origin::Variable(variable.to_owned());
                for url in split(text) {
                    // These name an app's address, often with a path; only its origin matters.
                    let item = match Url::parse(url) {
                        Ok(url) if url.has_host() && url.origin().is_tuple() => {
                            url.origin().ascii_serialization()
                        }
                        _ => url.to_owned(),
                    };
                    draft.append("server.cors_origins", &item, &origin);
                }
            }
        }
        for variable in SECRETS {
            if let Some(secret) = self.text(variable, draft) {
                let origin = Origin::Variable(variable.to_owned());
                draft.append("auth.jwt_secrets", secret, &origin);
            }
        }
    }

    fn refuse_unknown(&self, draft: &mut Draft) {
        let known = || {
            keys()
                .iter()
                .map(|key| key.variable.as_str())
                .chain([CONFIG_FILE, OPS_PORT])
        };
        for (name, value) in &self.0 {
            if !name.starts_with(PREFIX)
                || known().any(|k| k == name)
                || value.to_str().is_some_and(|v| is_service_link(name, v))
            {
                continue;
            }
            let foreign = SETTING
                .iter()
                .chain(&PORTS)
                .map(|(variable, _)| *variable)
                .chain(ORIGINS)
                .chain(SECRETS);
            let bare = &name[PREFIX.len()..];
            let meant = foreign
                .into_iter()
                .find(|f| *f == bare)
                .or_else(|| known().find(|k| k.ends_with(&format!("_{bare}"))))
                .or_else(|| did_you_mean(name, known(), '\0'));
            let problem = match meant {
                Some(meant) => format!("there is no such variable; did you mean {meant}?"),
                None => "there is no such variable; it is PORCHLIGHT_<SECTION>_<KEY> for the keys \
                         that default-config prints"
                    .to_owned(),
            };
            refuse_variable(name, &problem, draft);
        }
    }
}

fn refuse_variable(name: &str, problem: &str, draft: &mut Draft) {
    draft.refuse("", Origin::Variable(name.to_owned()), problem);
}

fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|i| !i.is_empty())
}

/// Whether Kubernetes set the variable because there is a service called "porchlight" or
/// "porchlight-something": <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>.
fn is_service_link(name: &str, value: &str) -> bool {
    let address = value.starts_with("tcp://") || value.starts_with("udp://");
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("PORT") && address)
        || ["_TCP", "_UDP"].iter().any(|protocol| {
            name.rfind(protocol).is_some_and(|at| {
                name[..at]
                    .rsplit_once("_PORT_")
                    .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_are_told_from_settings() {
        for (name, value) in [
            ("PORCHLIGHT_SERVICE_HOST", "10.0.0.1"),
            ("PORCHLIGHT_SERVICE_PORT", "4000"),
            ("PORCHLIGHT_SERVICE_PORT_HTTP", "4000"),
            ("PORCHLIGHT_PORT", "tcp://10.0.0.1:4000"),
            ("PORCHLIGHT_OPS_PORT", "tcp://10.0.0.1:4001"),
            ("PORCHLIGHT_PORT_4000_TCP", "tcp://10.0.0.1:4000"),
            ("PORCHLIGHT_PORT_4000_TCP_PROTO", "tcp"),
            ("PORCHLIGHT_PORT_4000_TCP_ADDR", "10.0.0.1"),
        ] {
            assert!(is_service_link(name, value), "{name}");
        }
        for (name, value) in [
            ("PORCHLIGHT_PORT", "4000"),
            ("PORCHLIGHT_OPS_PORT", "4001"),
            ("PORCHLIGHT_SERVER_LISTEN", "0.0.0.0:4000"),
        ] {
            assert!(!is_service_link(name, value), "{name}");
        }
        for key in keys() {
            assert!(!is_service_link(&key.variable, ""), "{}", key.variable);
        }
    }
}
