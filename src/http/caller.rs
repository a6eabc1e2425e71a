//! Who calls: a user by token or session, or a service by API key, perhaps for a user.
//!
//! A service caller sends its key as `Authorization: Bearer` or `X-Api-Key`, and acts for a user
//! named by `X-Act-As` (and `X-Act-As-Name`, percent-encoded UTF-8). Requests are counted per user
//! (also those a service makes for one), and per address where nobody known calls. A service's own
//! requests are not counted: whoever holds a key runs the gateway.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};

use super::{
    problem::{ApiResult, Problem},
    state::{App, ClientAddr},
};
use crate::{
    auth::{Credentials, Identity},
    chat::{Actor, ChatError, Profile, UserId},
};

pub(super) const API_KEY: &str = "x-api-key";
pub(super) const ACT_AS: &str = "x-act-as";
pub(super) const ACT_AS_NAME: &str = "x-act-as-name";

/// Longest name taken from [`ACT_AS_NAME`], in bytes: as long as one taken from a token.
const MAX_NAME: usize = 256;

/// On whose behalf the request is made.
pub(super) struct Caller(pub Actor);

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> ApiResult<Self> {
        let Holder { actor, .. } = Holder::from_request_parts(parts, app).await?;
        Ok(Self(actor))
    }
}

/// On whose behalf the request is made, and by which token.
pub(super) struct Holder {
    /// As in [`Caller`].
    pub(super) actor: Actor,
    /// What the token told; `None` where a service acts for a user.
    pub(super) identity: Option<Identity>,
}

impl FromRequestParts<Arc<App>> for Holder {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> ApiResult<Self> {
        let (told, identity) = match identify(parts, app).await? {
            Identified::User(identity) => (identity.profile.clone(), Some(*identity)),
            Identified::Service => match acting_for(&parts.headers)? {
                Some(profile) => (profile, None),
                None => {
                    let text = "a service caller names the user that it acts for in X-Act-As";
                    return Err(ChatError::invalid(text).into());
                }
            },
        };
        app.limit_user(&told.id)?;
        let profile = app.chat.introduce(&told).await?;
        let actor = Actor {
            service: identity.is_none(),
            ..Actor::user(profile)
        };
        Ok(Self { actor, identity })
    }
}

/// Proof that a service calls.
pub(super) struct Service;

impl FromRequestParts<Arc<App>> for Service {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> ApiResult<Self> {
        match identify(parts, app).await? {
            Identified::Service => Ok(Self),
            Identified::User(identity) => {
                app.limit_user(&identity.profile.id)?;
                Err(ChatError::forbidden("only a service caller may do this").into())
            }
        }
    }
}

/// Whoever calls, counted by address.
pub(super) struct Anybody;

impl FromRequestParts<Arc<App>> for Anybody {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> ApiResult<Self> {
        app.limit_address(parts.extensions.get())?;
        Ok(Self)
    }
}

enum Identified {
    User(Box<Identity>),
    Service,
}

async fn identify(parts: &Parts, app: &App) -> ApiResult<Identified> {
    let identified = try_identify(parts, app).await;
    if identified.is_err() {
        app.limit_address(parts.extensions.get::<ClientAddr>())?;
    }
    identified
}

async fn try_identify(parts: &Parts, app: &App) -> ApiResult<Identified> {
    let headers = &parts.headers;
    if let Some(key) = text(headers, API_KEY)? {
        if app.auth.is_service(key) {
            return Ok(Identified::Service);
        }
        return Err(ChatError::unauthorized("the API key is not known").into());
    }
    let credentials = Credentials::from_request(headers, parts.uri.query());
    let bearer = credentials.bearer();
    if bearer.is_some_and(|key| app.auth.is_service(key)) {
        return Ok(Identified::Service);
    }
    if headers.contains_key(ACT_AS) {
        // Ignoring it would do the right thing for the wrong user.
        let text = "only a service caller may act for another user";
        return Err(ChatError::forbidden(text).into());
    }
    if bearer.is_none()
        && credentials.cookies.is_some()
        && !parts.method.is_safe()
        && !app.origins.trusts(headers)
    {
        let text = "pages of this origin may not act with their visitors' cookies";
        return Err(ChatError::forbidden(text).into());
    }
    let identity = app.auth.identify(&credentials).await?;
    Ok(Identified::User(Box::new(identity)))
}

/// The user that a service acts for.
fn acting_for(headers: &HeaderMap) -> ApiResult<Option<Profile>> {
    let Some(user) = text(headers, ACT_AS)? else {
        return Ok(None);
    };
    let user = UserId::new(user).map_err(|e| ChatError::invalid(format!("X-Act-As: {e}")))?;
    let mut profile = Profile::unknown(user);
    if let Some(name) = text(headers, ACT_AS_NAME)? {
        let name = percent_decode(name)
            .filter(|n| n.len() <= MAX_NAME && !n.trim().is_empty())
            .filter(|n| !n.chars().any(char::is_control))
            .ok_or_else(|| {
                ChatError::invalid(format!(
                    "X-Act-As-Name must be percent-encoded UTF-8 of 1 to {MAX_NAME} bytes"
                ))
            })?;
        profile.name = name.trim().into();
    }
    Ok(Some(profile))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> ApiResult<Option<&'a str>> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => Err(ChatError::invalid(format!("the header {name} is not ASCII text")).into()),
    }
}

/// Undoes `encodeURIComponent`.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let (high, low) = (digit(*after.first()?)?, digit(*after.get(1)?)?);
            bytes.push(high * 16 + low);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

fn digit(hex: u8) -> Option<u8> {
    // At most 15.
    char::from(hex).to_digit(16).map(|d| d as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_decoding_undoes_javascript() {
        assert_eq!(
            percent_decode("Zo%C3%AB%20B").as_deref(),
            Some("Zo\u{eb} B")
        );
        assert_eq!(percent_decode("plain").as_deref(), Some("plain"));
        for wrong in ["%", "%4", "%zz", "%ff", "%+1"] {
            assert_eq!(percent_decode(wrong), None, "{wrong}");
        }
    }
}
