//! `config/default.toml` is documentation and schema at once.

use std::collections::BTreeMap;

use porchlight::config::{Config, DEFAULT, Origin, keys};

use super::from_env;

#[test]
fn default_is_a_configuration_without_warnings() {
    let loaded = from_env(&[]).expect("the default is right");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert!(loaded.changed.is_empty(), "{:?}", loaded.changed);
    assert_eq!(loaded.config.server.listen.to_string(), "127.0.0.1:4000");
    assert_eq!(loaded.config.socket.len(), 1);
}

#[test]
fn structs_and_default_have_the_same_keys() {
    let table: toml::Table = DEFAULT.parse().expect("TOML");
    // The structs refuse keys that they do not have.
    table
        .clone()
        .try_into::<Config>()
        .map(drop)
        .expect("all of them");
    // And they need every key that there is.
    for key in keys() {
        let (section, leaf) = key.name.split_once('.').expect("section.key");
        let mut less = table.clone();
        let block = match &mut less[section] {
            toml::Value::Array(blocks) => &mut blocks[0],
            block => block,
        };
        let removed = block.as_table_mut().and_then(|block| block.remove(leaf));
        assert!(removed.is_some(), "{} is not in the file", key.name);
        assert!(
            less.try_into::<Config>().is_err(),
            "no struct has {}",
            key.name
        );
    }
    let leaves: usize = table
        .values()
        .map(|section| match section {
            toml::Value::Array(blocks) => blocks[0].as_table().map_or(0, toml::Table::len),
            section => section.as_table().map_or(0, toml::Table::len),
        })
        .sum();
    assert_eq!(leaves, keys().len());
}

#[test]
fn every_key_is_explained_above_it() {
    let lines: Vec<&str> = DEFAULT.lines().collect();
    let mut explained = 0;
    for (i, line) in lines.iter().enumerate() {
        assert!(line.len() <= 100, "too long: {line}");
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(lines[i - 1].starts_with("# "), "{line} is not explained");
            explained += 1;
        }
    }
    assert_eq!(explained, keys().len());
}

#[test]
fn every_key_has_a_variable() {
    let texts = BTreeMap::from([
        ("server.listen", "127.0.0.1:5000"),
        ("server.ops_listen", "127.0.0.1:5001"),
        ("server.cors_origins", "https://a.example,https://b.example"),
        ("server.demo", "off"),
        ("log.level", "debug"),
        ("database.url", "postgres://db/chat"),
        ("auth.jwks_url", "https://keys.example/jwks"),
        ("auth.jwt_secrets", super::SECRET),
        ("auth.nextauth_secret", super::SECRET),
        ("auth.api_keys", super::SECRET),
        (
            "auth.public_key_files",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ),
        ("dialects.dir", env!("CARGO_MANIFEST_DIR")),
        ("socket.path", "/chat"),
        ("uploads.s3_endpoint", "https://s3.example.org"),
        ("uploads.types", "image/png"),
    ]);
    let default: toml::Table = DEFAULT.parse().expect("TOML");
    for key in keys() {
        let (section, leaf) = key.name.split_once('.').expect("section.key");
        let expected = format!("PORCHLIGHT_{section}_{leaf}").to_uppercase();
        assert_eq!(key.variable, expected);
        // Refused as long as there is no cluster.
        if key.name == "redis.url" {
            continue;
        }
        let value = match (texts.get(key.name.as_str()), default[section].get(leaf)) {
            (Some(text), _) => (*text).to_owned(),
            (None, Some(toml::Value::Integer(number))) => (number + 1).to_string(),
            (None, Some(toml::Value::Boolean(on))) => (!on).to_string(),
            (None, _) => "another".to_owned(),
        };
        let loaded = from_env(&[(&key.variable, &value)])
            .unwrap_or_else(|e| panic!("{}: {e}", key.variable));
        let [changed] = &loaded.changed[..] else {
            panic!("{} changed {:?}", key.variable, loaded.changed);
        };
        assert_eq!(changed.key.replace("[0]", ""), key.name);
        assert_eq!(changed.origin, Origin::Variable(key.variable.clone()));
        let shown = changed
            .value
            .contains(value.split(',').next().expect("one"));
        assert_eq!(shown, !key.is_secret(), "{changed:?}");
    }
}
