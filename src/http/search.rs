//! Searching messages.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    caller::Caller,
    extract::Params,
    problem::{ApiResult, json},
    state::App,
    view::MessageView,
};
use crate::chat::{ConversationId, Hit, SearchMessages};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(search_messages))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SearchParams {
    /// What to look for: `word`, `"words side by side"`, `-without`; the last word may be
    /// unfinished. At most 200 characters.
    #[param(value_type = String)]
    q: Arc<str>,
    /// Only in this conversation; otherwise in all of the caller's.
    #[param(value_type = Option<String>)]
    conversation: Option<ConversationId>,
    /// `nextCursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Arc<str>>,
    /// At most this many: 20 by default, 100 at most.
    limit: Option<u32>,
}

/// A page of messages that were found.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SearchResult<'a> {
    /// Best first.
    hits: Vec<HitView<'a>>,
    /// Give it as `cursor` for the next page; null on the last.
    #[schema(required)]
    next_cursor: Option<&'a str>,
}

/// A message that was found.
#[derive(Serialize, ToSchema)]
#[schema(as = Hit)]
struct HitView<'a> {
    message: MessageView<'a>,
    highlight: Highlight<'a>,
}

/// Where it matches.
#[derive(Serialize, ToSchema)]
struct Highlight<'a> {
    /// The part of the message's content with the first match: plain text, no HTML.
    text: &'a str,
    /// The matches in `text`, in order, apart from each other.
    ranges: Vec<MatchRange>,
}

/// A match, in UTF-16 code units as JavaScript's `slice` counts them.
#[derive(Serialize, ToSchema)]
struct MatchRange {
    /// The first one.
    start: u32,
    /// The one after the last one.
    end: u32,
}

impl<'a> From<&'a Hit> for HitView<'a> {
    fn from(hit: &'a Hit) -> Self {
        let ranges = hit.spans.iter().map(|span| MatchRange {
            start: span.start,
            end: span.end,
        });
        Self {
            message: MessageView::from(&*hit.message),
            highlight: Highlight {
                text: &hit.excerpt,
                ranges: ranges.collect(),
            },
        }
    }
}

/// Searches the messages of the caller's conversations. What was sent within the last second may
/// be missing.
#[utoipa::path(get, path = "/api/search", tag = "messages", params(SearchParams),
    responses((status = OK, description = "A page", body = SearchResult)))]
async fn search_messages(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Params(params): Params<SearchParams>,
) -> ApiResult<Response> {
    let SearchParams {
        q,
        conversation,
        cursor,
        limit,
    } = params;
    let search = SearchMessages {
        query: q,
        conversation,
        cursor,
        limit,
    };
    let page = app.chat.search(&actor, &search).await?;
    let result = SearchResult {
        hits: page.hits.iter().map(HitView::from).collect(),
        next_cursor: page.next.as_deref(),
    };
    Ok(json(StatusCode::OK, &result))
}
