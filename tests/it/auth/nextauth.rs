//! Session tokens of NextAuth v4 and Auth.js v5, made by the real packages: `npm ci` in
//! tests/clients/nextauth installs them.

use std::{collections::BTreeMap, path::Path, process::Command, sync::Arc};

use porchlight::{
    auth::{Authenticator, Credentials},
    chat::{Clock, Controls, ManualClock, Millis, NEVER, Order, Subject, SystemClock},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::support::*;

const NEXTAUTH_SECRET: &str = "the secret of a Next.js app";
const V4: &str = "next-auth.session-token";
const V5: &str = "authjs.session-token";
const NAMES: [&str; 4] = [
    V4,
    "__Secure-next-auth.session-token",
    V5,
    "__Secure-authjs.session-token",
];

#[derive(Deserialize)]
struct Session {
    token: String,
    cookies: BTreeMap<String, String>,
}

impl Session {
    /// The cookies as a browser sends them, last chunk first: the order must not matter.
    fn header(&self) -> String {
        let pairs = self.cookies.iter().rev();
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }
}

/// A session of each kind, by cookie name, valid for ten minutes by the machine's clock.
fn sessions(secret: &str, claims: Value) -> BTreeMap<String, Session> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/nextauth");
    assert!(
        folder.join("node_modules").is_dir(),
        "run `npm ci` in tests/clients/nextauth first"
    );
    let request = json!({"secret": secret, "maxAge": 600, "claims": claims});
    let output = Command::new("node")
        .arg("tokens.mjs")
        .arg(request.to_string())
        .current_dir(folder)
        .output()
        .expect("the node command");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).expect("sessions as JSON")
}

/// An authenticator for [`NEXTAUTH_SECRET`] with a clock that can be moved from the present.
fn present() -> (Authenticator, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let auth = with_clock(clock.clone(), |cfg| {
        cfg.jwt_secrets.clear();
        cfg.nextauth_secret = NEXTAUTH_SECRET.to_owned();
    });
    (auth, clock)
}

fn with_cookies(cookies: String) -> Credentials {
    Credentials {
        cookies: Some(cookies),
        ..Credentials::default()
    }
}

#[tokio::test]
async fn sessions_of_every_kind_are_accepted_until_they_expire() {
    let claims = json!({"sub": "u1", "name": "Ada", "email": "ada@x", "picture": "https://p"});
    let sessions = sessions(NEXTAUTH_SECRET, claims);
    for name in NAMES {
        let (auth, clock) = present();
        let session = &sessions[name];
        let credentials = with_cookies(format!("theme=dark; {}", session.header()));
        let identity = auth.identify(&credentials).await.expect(name);
        assert_eq!(identity.profile.id.as_str(), "u1", "{name}");
        assert_eq!(&*identity.profile.name, "Ada", "{name}");
        assert_eq!(identity.profile.email.as_deref(), Some("ada@x"), "{name}");
        assert_eq!(identity.profile.avatar.as_deref(), Some("https://p"));
        assert!(identity.issued_at.is_some() && identity.token_id.is_some());
        let expires_at = identity.expires_at.expect(name);
        assert_eq!(expires_at, identity.issued_at.unwrap().plus(600_000));

        // As a bearer token too.
        let result = auth.verify(&session.token).await;
        assert_eq!(outcome(result), accepted("u1"), "{name}");

        let leeway = i64::try_from(config().leeway.as_millis()).unwrap();
        clock.advance(expires_at.0 + leeway - clock.now().0);
        let result = auth.identify(&credentials).await;
        assert_eq!(outcome(result), Err("token_expired"), "{name}");
    }
}

#[tokio::test]
async fn sessions_are_revoked_one_by_one_and_with_their_user() {
    let sessions = sessions(NEXTAUTH_SECRET, json!({"sub": "u1"}));
    let (auth, clock) = present();
    let controls = Controls::new(clock.clone());
    let auth = auth.with_controls(controls.clone());
    let order = |version, subject, issued_before| {
        controls.learn(&[Order {
            version,
            subject,
            issued_before,
            ends_at: NEVER,
        }]);
    };
    for (name, version) in NAMES.into_iter().zip(1..) {
        let credentials = with_cookies(sessions[name].header());
        let identity = auth.identify(&credentials).await.expect(name);
        order(version, Subject::Token(identity.key().unwrap()), Millis(0));
        let result = auth.identify(&credentials).await;
        assert_eq!(outcome(result), Err("token_revoked"), "{name}");
    }
    for (name, version) in NAMES.into_iter().zip(100..) {
        let (auth, _) = present();
        let auth = auth.with_controls(controls.clone());
        // Encrypted anew, as NextAuth does now and then.
        let again = &self::sessions(NEXTAUTH_SECRET, json!({"sub": "u1"}))[name];
        let credentials = with_cookies(again.header());
        let identity = auth.identify(&credentials).await.expect(name);
        let later = identity.issued_at.unwrap().plus(1000);
        let subject = Subject::Tokens(identity.profile.id.clone());
        order(version, subject.clone(), later);
        let result = auth.identify(&credentials).await;
        assert_eq!(outcome(result), Err("token_revoked"), "{name}");
        order(version, subject, Millis(0));
    }
}

#[tokio::test]
async fn sessions_in_several_cookies_are_joined() {
    let claims = json!({"sub": "u1", "roles": "x".repeat(6000)});
    let sessions = sessions(NEXTAUTH_SECRET, claims);
    let (auth, _) = present();
    for name in NAMES {
        let session = &sessions[name];
        assert_eq!(session.cookies.len(), 3, "{name}");
        let result = auth.identify(&with_cookies(session.header())).await;
        assert_eq!(outcome(result), accepted("u1"), "{name}");

        let without_last = session.header();
        let (_, without_last) = without_last.split_once("; ").unwrap();
        let result = auth.identify(&with_cookies(without_last.to_owned())).await;
        assert_eq!(outcome(result), Err("malformed"), "{name}");
    }
}

#[tokio::test]
async fn sessions_of_another_secret_are_refused() {
    let sessions = sessions("the secret of another app", json!({"sub": "u1"}));
    let (auth, _) = present();
    for name in NAMES {
        let result = auth.identify(&with_cookies(sessions[name].header())).await;
        assert_eq!(outcome(result), Err("bad_signature"), "{name}");
    }
}

#[tokio::test]
async fn a_session_of_another_app_on_the_same_host_does_not_hide_ours() {
    let mut foreign = sessions("the secret of another app", json!({"sub": "u2"}));
    let ours = sessions(NEXTAUTH_SECRET, json!({"sub": "u1"}));
    let (auth, _) = present();
    for (first, second) in [(V4, V5), (V5, V4)] {
        let cookies = format!(
            "{}; {}",
            foreign.remove(first).unwrap().header(),
            ours[second].header()
        );
        let result = auth.identify(&with_cookies(cookies)).await;
        assert_eq!(outcome(result), accepted("u1"), "{first} {second}");
    }
}

#[tokio::test]
async fn sessions_are_refused_where_no_secret_is_configured() {
    let sessions = sessions(NEXTAUTH_SECRET, json!({"sub": "u1"}));
    let auth = authenticator(|_| {});
    for name in NAMES {
        let session = &sessions[name];
        let result = auth.identify(&with_cookies(session.header())).await;
        assert_eq!(outcome(result), Err("missing"), "{name}");
        let result = auth.verify(&session.token).await;
        assert_eq!(outcome(result), Err("algorithm_not_allowed"), "{name}");
    }
}

#[tokio::test]
async fn issuer_and_audience_are_not_asked_of_sessions() {
    let sessions = sessions(NEXTAUTH_SECRET, json!({"sub": "u1"}));
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let auth = with_clock(clock, |cfg| {
        cfg.nextauth_secret = NEXTAUTH_SECRET.to_owned();
        cfg.issuer = "https://id.example.org".to_owned();
        cfg.audience = "chat".to_owned();
    });
    for name in NAMES {
        let result = auth.verify(&sessions[name].token).await;
        assert_eq!(outcome(result), accepted("u1"), "{name}");
    }
    let signed = auth.verify(&token(json!({"sub": "u1"}))).await;
    assert_eq!(outcome(signed), Err("wrong_issuer"));
}

#[tokio::test]
async fn a_session_without_a_user_id_is_refused() {
    let sessions = sessions(NEXTAUTH_SECRET, json!({"email": "ada@example.org"}));
    let (auth, _) = present();
    for name in NAMES {
        let result = auth.verify(&sessions[name].token).await;
        assert_eq!(outcome(result), Err("no_user_id"), "{name}");
    }
}

#[tokio::test]
async fn sessions_changed_anywhere_are_refused() {
    let sessions = sessions(NEXTAUTH_SECRET, json!({"sub": "u1"}));
    let (auth, _) = present();
    for name in NAMES {
        let token = &sessions[name].token;
        for at in (0..token.len()).filter(|at| token.as_bytes()[*at] != b'.') {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(auth.verify(&changed).await.is_err(), "{name} at {at}");
        }
    }
}

#[tokio::test]
async fn encrypted_tokens_of_other_forms_are_refused() {
    let (auth, _) = present();
    let jwe = |header: Value, key: &str, iv: usize, tag: usize| {
        let header = b64(header.to_string());
        let (iv, tag) = (b64(vec![0; iv]), b64(vec![0; tag]));
        format!("{header}.{key}.{iv}.{}.{tag}", b64([0; 32]))
    };
    let gcm = || json!({"alg": "dir", "enc": "A256GCM"});
    let cbc = || json!({"alg": "dir", "enc": "A256CBC-HS512"});
    for (token, expected) in [
        (jwe(gcm(), "", 12, 16), "bad_signature"),
        (jwe(gcm(), "", 11, 16), "bad_signature"),
        (jwe(gcm(), "", 12, 0), "bad_signature"),
        (jwe(cbc(), "", 16, 32), "bad_signature"),
        (jwe(cbc(), "", 0, 32), "bad_signature"),
        (jwe(cbc(), "", 16, 0), "bad_signature"),
        (jwe(gcm(), "AA", 12, 16), "malformed"),
        (jwe(json!({"alg": "dir"}), "", 12, 16), "malformed"),
        (
            jwe(
                json!({"alg": "dir", "enc": "A256GCM", "zip": "DEF"}),
                "",
                12,
                16,
            ),
            "malformed",
        ),
        (
            jwe(
                json!({"alg": "dir", "enc": "A256GCM", "crit": ["x"]}),
                "",
                12,
                16,
            ),
            "malformed",
        ),
        (
            jwe(json!({"alg": "dir", "enc": "A128GCM"}), "", 12, 16),
            "algorithm_not_allowed",
        ),
        (
            jwe(json!({"alg": "A256KW", "enc": "A256GCM"}), "", 12, 16),
            "algorithm_not_allowed",
        ),
        ("....".to_owned(), "malformed"),
    ] {
        assert_eq!(outcome(auth.verify(&token).await), Err(expected), "{token}");
    }
}
