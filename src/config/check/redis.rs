//! Checks of `[redis]`.

use super::{Checker, file_exists};
use crate::config::{Config, Origin, Redis, redis};

const URL: &str = "redis.url";
const MAX_PREFIX: usize = 64;

impl Checker<'_> {
    pub(super) fn redis(&mut self, config: &Config) {
        let redis = &config.redis;
        self.redis_prefix(&redis.prefix);
        if !redis.is_set() {
            return;
        }
        let (address, left_out) = match redis::parse(&redis.url) {
            Ok(parsed) => parsed,
            Err(problem) => return self.refuse(URL, problem),
        };
        if left_out {
            self.warn(URL, "parameters after ? are not known here and left out");
        }
        self.redis_shape(redis, &address);
        if !redis.tls_ca_file.as_os_str().is_empty() {
            if let Err(problem) = file_exists(&redis.tls_ca_file) {
                self.refuse("redis.tls_ca_file", problem);
            } else if !address.tls {
                self.warn(
                    "redis.tls_ca_file",
                    "does nothing with redis://; rediss:// encrypts",
                );
            }
        }
        self.shared_database(config);
    }

    fn redis_prefix(&mut self, prefix: &str) {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
        if prefix.is_empty() || prefix.len() > MAX_PREFIX || !prefix.bytes().all(plain) {
            let problem = format!(
                "must be 1 to {MAX_PREFIX} letters, digits and . _ : -, such as porchlight"
            );
            self.refuse("redis.prefix", problem);
        }
    }

    fn redis_shape(&mut self, redis: &Redis, address: &redis::RedisAddress) {
        let sentinels = !redis.sentinel_service.is_empty();
        if redis.cluster && sentinels {
            self.refuse(
                "redis.sentinel_service",
                "a Redis Cluster (redis.cluster) has no Sentinels; set one of the two",
            );
        } else if address.hosts.len() > 1 && !redis.cluster && !sentinels {
            self.refuse(
                URL,
                "names several hosts; set redis.cluster if they are a Redis Cluster, or \
                 redis.sentinel_service if they are Sentinels",
            );
        } else if redis.cluster && address.database != 0 {
            self.refuse(URL, "a Redis Cluster has the database 0 only");
        }
        for (key, value) in [
            ("redis.sentinel_username", &redis.sentinel_username),
            ("redis.sentinel_password", &redis.sentinel_password),
        ] {
            if !value.is_empty() && !sentinels {
                self.warn(key, "does nothing without redis.sentinel_service");
            }
        }
    }

    /// Nodes that share Redis share the database, too: without that, messages of one are announced
    /// to the others, which cannot read them.
    fn shared_database(&mut self, config: &Config) {
        let url = &config.database.url;
        let sqlite = url.is_empty() || url.starts_with("sqlite:");
        if !sqlite || self.0.is_refused("database.url") {
            return;
        }
        if config.redis.allow_sqlite {
            self.warn(
                "redis.allow_sqlite",
                "a second node on the same Redis, with a database of its own, would mix up \
                 conversations; use PostgreSQL (database.url) before you add one",
            );
            return;
        }
        let foreign = match self.0.origin(URL) {
            Origin::Variable(name) if name == "REDIS_URL" => {
                ", or set PORCHLIGHT_REDIS_URL to nothing where REDIS_URL is another program's"
            }
            _ => "",
        };
        let problem = format!(
            "is for several nodes, which cannot share SQLite; set database.url to PostgreSQL, or \
             redis.allow_sqlite for one node alone{foreign}"
        );
        self.refuse(URL, problem);
    }
}
