//! Whatever arrives: no panic, and nothing accepted that no key made.

use std::sync::LazyLock;

use porchlight::auth::{Authenticator, Credentials};
use proptest::prelude::*;
use serde_json::json;
use tokio::runtime::Runtime;

use super::{public_keys::files, support::*};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// Everything that needs no network is configured.
static AUTH: LazyLock<Authenticator> = LazyLock::new(|| {
    let (_folder, paths) = files(&[&RSA.public_pem, &EC.public_pem, &ED.public_pem]);
    authenticator(|cfg| {
        cfg.public_key_files = paths;
        cfg.nextauth_secret = "a secret".to_owned();
        cfg.query_parameter = "token".to_owned();
        cfg.cookie = "session".to_owned();
    })
});

/// Texts that get further than random ones: parts of base64, some of them JSON.
fn token_like() -> impl Strategy<Value = String> {
    let alg = prop::sample::select(vec![
        "HS256", "RS256", "ES256", "EdDSA", "none", "HS512", "dir",
    ]);
    let enc = prop::sample::select(vec!["A256GCM", "A256CBC-HS512", "A128GCM"]);
    let header = (alg, enc).prop_map(|(alg, enc)| json!({"alg": alg, "enc": enc}).to_string());
    let bytes = prop::collection::vec(any::<u8>(), 0..80).prop_map(b64);
    let part = prop_oneof![
        Just(b64(r#"{"sub":"u1"}"#)),
        bytes,
        Just(String::new()),
        any::<String>()
    ];
    (header, prop::collection::vec(part, 0..6))
        .prop_map(|(header, parts)| format!("{}.{}", b64(header), parts.join(".")))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_texts_are_refused(text in any::<String>()) {
        prop_assert!(RUNTIME.block_on(AUTH.verify(&text)).is_err());
    }

    #[test]
    fn texts_like_tokens_are_refused(text in token_like()) {
        prop_assert!(RUNTIME.block_on(AUTH.verify(&text)).is_err());
    }

    #[test]
    fn arbitrary_credentials_are_refused(
        handshake_token in any::<Option<String>>(),
        authorization in any::<Option<String>>(),
        query in any::<Option<String>>(),
        cookies in any::<Option<String>>(),
        text in token_like(),
    ) {
        let credentials = Credentials { handshake_token, authorization, query, cookies };
        prop_assert!(RUNTIME.block_on(AUTH.identify(&credentials)).is_err());
        let cookies = format!("next-auth.session-token.0={text}; authjs.session-token={text}");
        let credentials = Credentials { cookies: Some(cookies), ..Credentials::default() };
        prop_assert!(RUNTIME.block_on(AUTH.identify(&credentials)).is_err());
    }

    #[test]
    fn a_token_changed_by_one_character_is_refused(
        which in 0..4usize,
        at in any::<prop::sample::Index>(),
        to in "[A-Za-z0-9_.-]",
    ) {
        let claims = json!({"sub": "u1", "exp": NOW + 60});
        let token = match which {
            0 => token(claims),
            1 => RSA.sign(None, claims),
            2 => EC.sign(None, claims),
            _ => ED.sign(None, claims),
        };
        prop_assert!(RUNTIME.block_on(AUTH.verify(&token)).is_ok());
        let at = at.index(token.len());
        prop_assume!(token[at..=at] != to);
        let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
        prop_assert!(RUNTIME.block_on(AUTH.verify(&changed)).is_err());
    }
}
