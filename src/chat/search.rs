//! Searching messages: what a query means, which matches come first, where they are in the text.
//!
//! The store finds messages, newest first, by the words of a [`SearchQuery`]; ranking and
//! highlighting happen here, so that they are the same on every database. Matches are ranked within
//! windows of the newest [`WINDOW`] ones: a page costs the same however many matches there are, and
//! pages neither repeat nor skip anything while new messages arrive.

use std::{ops::Range, sync::Arc};

use super::{
    Actor, Chat, ChatError, ChatResult, ConversationId, Message, MessageId, UserId,
    words::{Word, words},
};

/// Characters of a query at most.
const MAX_QUERY_CHARS: usize = 200;
/// Words of a query at most.
const MAX_QUERY_WORDS: usize = 16;
/// Matches that are ranked together.
const WINDOW: u32 = 200;
/// Hits in a page when the client does not say.
const PAGE: u32 = 20;
/// Hits in a page at most.
const MAX_PAGE: u32 = 100;
/// Characters of a highlighted excerpt at most, and of those before its first match.
const EXCERPT_CHARS: usize = 160;
const LEAD_CHARS: usize = 40;

/// One thing that a message must have, or must not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Words of letters and digits, in lower case without accents, that stand side by side; at
    /// least one.
    pub words: Vec<String>,
    /// Whether the last word may go on.
    pub prefix: bool,
    /// Whether it must not be there.
    pub excluded: bool,
}

/// What to look for: all of its terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchQuery {
    terms: Vec<Term>,
}

impl SearchQuery {
    /// Reads what people type: `word`, `"words side by side"`, `-without`; the last word may be
    /// unfinished. Everything but letters and digits separates words, so nothing in it can mean
    /// anything to a database.
    ///
    /// # Errors
    /// `invalid` if it looks for no word, `too_large`.
    pub fn parse(text: &str) -> ChatResult<Self> {
        if text.chars().nth(MAX_QUERY_CHARS).is_some() {
            return Err(ChatError::too_large(format!(
                "a query has at most {MAX_QUERY_CHARS} characters"
            )));
        }
        let mut terms = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let bare = rest.strip_prefix('-');
            let (excluded, from) = (bare.is_some(), bare.unwrap_or(rest));
            let (part, after, quoted) = match from.strip_prefix('"') {
                Some(inner) => {
                    let (part, after) = inner.split_once('"').unwrap_or((inner, ""));
                    (part, after, true)
                }
                None => {
                    let end = from.find(|c: char| c.is_whitespace() || c == '"');
                    let (part, after) = from.split_at(end.unwrap_or(from.len()));
                    (part, after, false)
                }
            };
            let words: Vec<_> = words(part).map(|word| word.folded).collect();
            if !words.is_empty() {
                terms.push(Term {
                    words,
                    prefix: after.is_empty() && !quoted && !excluded,
                    excluded,
                });
            }
            rest = after.trim_start();
        }
        if terms.iter().all(|term| term.excluded) {
            return Err(ChatError::invalid("the query looks for no word"));
        }
        if terms.iter().map(|term| term.words.len()).sum::<usize>() > MAX_QUERY_WORDS {
            return Err(ChatError::too_large(format!(
                "a query has at most {MAX_QUERY_WORDS} words"
            )));
        }
        Ok(Self { terms })
    }

    /// Its terms; at least one is not excluded.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }
}

/// A part of a text, in UTF-16 code units as JavaScript counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first one.
    pub start: u32,
    /// The one after the last one.
    pub end: u32,
}

/// A message that was found.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The message.
    pub message: Arc<Message>,
    /// The part of its content with the first match, as plain text.
    pub excerpt: Arc<str>,
    /// The matches in `excerpt`, in order, apart from each other.
    pub spans: Vec<Span>,
}

/// A page of messages that were found, best first.
#[derive(Debug, Clone)]
pub struct SearchPage {
    /// Who searched.
    pub viewer: UserId,
    /// The page.
    pub hits: Vec<Hit>,
    /// Give it as `cursor` for the next page; `None` on the last.
    pub next: Option<String>,
}

/// What to search, and which page of what is found.
#[derive(Debug, Clone)]
pub struct SearchMessages {
    /// As people type it; see [`SearchQuery::parse`].
    pub query: Arc<str>,
    /// Only here; otherwise in all conversations of the user.
    pub conversation: Option<ConversationId>,
    /// `next` of the page before.
    pub cursor: Option<Arc<str>>,
    /// Hits at most.
    pub limit: Option<u32>,
}

impl Chat {
    /// Searches what the actor can read: all messages of the conversations that they take part in.
    ///
    /// # Errors
    /// `invalid` (a query without words, a cursor that is none), `too_large`, `forbidden` (no
    /// participant of the conversation).
    pub async fn search(&self, actor: &Actor, search: &SearchMessages) -> ChatResult<SearchPage> {
        let query = SearchQuery::parse(&search.query)?;
        let limit = search.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE) as usize;
        let cursor = search.cursor.as_deref().map(Cursor::parse).transpose()?;
        let (from, skip) = match &cursor {
            Some(Cursor { from, skip }) => (Some(from), *skip),
            None => (None, 0),
        };
        let (user, room) = (&actor.profile.id, search.conversation.as_ref());
        // One more than a window tells where the next one begins.
        let mut found = self
            .store
            .search(user, room, &query, from, WINDOW + 1)
            .await?;
        let beyond = match found.len() > WINDOW as usize {
            true => found.pop(),
            false => None,
        };
        let first = found.first().map(|message| message.id.clone());
        let mut ranked: Vec<_> = found
            .into_iter()
            .map(|message| (Match::of(&query, &message.content), message))
            .collect();
        // Stable: what is as good stays newest first.
        ranked.sort_by(|(a, _), (b, _)| b.score.total_cmp(&a.score));
        let total = ranked.len();
        let hits: Vec<_> = ranked
            .into_iter()
            .skip(skip)
            .take(limit)
            .map(|(matched, message)| matched.into_hit(message))
            .collect();
        let next = match (first, beyond) {
            (Some(from), _) if skip + hits.len() < total => Some(Cursor {
                from,
                skip: skip + hits.len(),
            }),
            (_, Some(beyond)) => Some(Cursor {
                from: beyond.id.clone(),
                skip: 0,
            }),
            _ => None,
        };
        Ok(SearchPage {
            viewer: user.clone(),
            hits,
            next: next.map(|cursor| cursor.to_text()),
        })
    }
}

/// Where a page begins: in the window whose newest match is `from`, after `skip` hits.
struct Cursor {
    from: MessageId,
    skip: usize,
}

impl Cursor {
    fn parse(text: &str) -> ChatResult<Self> {
        let parts = text.split_once('~');
        let parsed = parts.and_then(|(id, skip)| {
            Some(Self {
                from: MessageId::new(id).ok()?,
                skip: skip.parse().ok().filter(|skip| *skip <= WINDOW as usize)?,
            })
        });
        parsed.ok_or_else(|| ChatError::invalid("the cursor cannot be read"))
    }

    fn to_text(&self) -> String {
        format!("{}~{}", self.from, self.skip)
    }
}

/// Where and how well a text matches.
struct Match {
    /// Matches as bytes of the text, in order.
    places: Vec<Range<usize>>,
    score: f64,
}

impl Match {
    /// Each term counts more the rarer the text's other words are and, ever less, the more often it
    /// is there; whole words count more than beginnings of words.
    fn of(query: &SearchQuery, text: &str) -> Self {
        let words: Vec<_> = words(text).collect();
        let (mut places, mut score) = (Vec::new(), 0.0);
        for term in query.terms().iter().filter(|term| !term.excluded) {
            let (mut count, mut whole) = (0u32, false);
            for at in 0..words.len() {
                let Some(is_whole) = term.is_at(&words[at..]) else {
                    continue;
                };
                (count, whole) = (count + 1, whole | is_whole);
                let end = words[at + term.words.len() - 1].place.end;
                places.push(words[at].place.start..end);
            }
            let weight = if whole { 2.0 } else { 1.0 };
            score += weight * f64::from(count).ln_1p();
        }
        let length = words.len() as f64 / 10.0;
        places.sort_by_key(|place| place.start);
        Self {
            places: merged(places),
            score: score / (1.0 + length.ln_1p()),
        }
    }

    fn into_hit(self, message: Arc<Message>) -> Hit {
        let text = &*message.content;
        let part = excerpt(text, self.places.first());
        let (mut spans, mut from, mut units) = (Vec::new(), part.start, 0);
        let mut units_until = |to: usize| {
            units += text[from..to].chars().map(char::len_utf16).sum::<usize>();
            from = to;
            // An excerpt is short.
            u32::try_from(units).unwrap_or(u32::MAX)
        };
        for place in &self.places {
            if place.end > part.end {
                break;
            }
            spans.push(Span {
                start: units_until(place.start),
                end: units_until(place.end),
            });
        }
        Hit {
            excerpt: text[part].into(),
            spans,
            message,
        }
    }
}

impl Term {
    /// Whether these words begin with the term; if so, whether with whole words only.
    fn is_at(&self, words: &[Word]) -> Option<bool> {
        let (last, before) = self.words.split_last()?;
        let found = words.get(..self.words.len())?;
        let (found_last, found_before) = found.split_last()?;
        let same = before.iter().zip(found_before).all(|(a, b)| *a == b.folded);
        match (same, found_last.folded == *last) {
            (true, true) => Some(true),
            (true, false) if self.prefix && found_last.folded.starts_with(last) => Some(false),
            _ => None,
        }
    }
}

/// Sorted ranges without overlaps.
fn merged(ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// The part of a text around its first match.
fn excerpt(text: &str, first: Option<&Range<usize>>) -> Range<usize> {
    let at = first.map_or(0, |place| place.start);
    let before = text[..at].char_indices().rev().take(LEAD_CHARS).last();
    let start = match text.chars().nth(EXCERPT_CHARS) {
        // All of it fits.
        None => 0,
        Some(_) => before.map_or(at, |(start, _)| start),
    };
    let end = text[start..].char_indices().nth(EXCERPT_CHARS);
    start..end.map_or(text.len(), |(end, _)| start + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match SearchQuery::parse(text) {
            Err(e) => e.code.to_string(),
            Ok(query) => {
                let term = |t: &Term| {
                    let (minus, star) = (["", "-"][usize::from(t.excluded)], t.prefix);
                    format!(
                        "{minus}{}{}",
                        t.words.join("+"),
                        ["", "*"][usize::from(star)]
                    )
                };
                let terms: Vec<_> = query.terms().iter().map(term).collect();
                terms.join(" ")
            }
        }
    }

    #[test]
    fn queries_are_what_people_type() {
        for (text, expected) in [
            ("hello", "hello*"),
            ("Hello W\u{f6}rld ", "hello world"),
            ("\"side by side\" -not thi", "side+by+side -not thi*"),
            ("e-mail", "e+mail*"),
            ("\"never closed", "never+closed"),
            ("a -\"b c\"", "a -b+c"),
            ("-only", "invalid"),
            ("", "invalid"),
            ("\"'*:()^", "invalid"),
            ("NEAR(a b) OR col:x*", "near+a b or col+x*"),
            (
                "\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}",
                "\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}*",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert_eq!(shown(&"a".repeat(201)), "too_large");
        assert_eq!(shown(&"a ".repeat(17)), "too_large");
    }

    fn highlighted(query: &str, text: &str) -> String {
        let query = SearchQuery::parse(query).unwrap();
        let places = Match::of(&query, text).places;
        let mut out = text.to_owned();
        for place in places.iter().rev() {
            out.insert(place.end, ']');
            out.insert(place.start, '[');
        }
        out
    }

    #[test]
    fn matches_are_where_the_words_are() {
        assert_eq!(
            highlighted("cafe", "Le CAF\u{c9}, cafe\u{301} et caf\u{e9}s"),
            "Le [CAF\u{c9}], [cafe\u{301}] et [caf\u{e9}s]"
        );
        assert_eq!(highlighted("\"a b\"", "a b a c a-b"), "[a b] a c [a-b]");
        assert_eq!(highlighted("a \"a b\" ", "x a b"), "x [a b]");
        assert_eq!(highlighted("-x y ", "x y yz"), "x [y] yz");
    }

    #[test]
    fn whole_and_frequent_words_come_first() {
        let query = SearchQuery::parse("cat").unwrap();
        let score = |text: &str| Match::of(&query, text).score;
        assert!(score("a cat") > score("a category"));
        assert!(score("cat cat dog") > score("cat dog dog"));
        assert!(score("a cat") > score(&format!("a cat {}", "and more ".repeat(50))));
    }

    #[test]
    fn excerpts_are_short_and_count_as_javascript_does() {
        let text = format!("{}\u{1f600} needle {}", "x ".repeat(200), "y ".repeat(200));
        let query = SearchQuery::parse("needle").unwrap();
        let matched = Match::of(&query, &text);
        let part = excerpt(&text, matched.places.first());
        let shown = &text[part.clone()];
        assert_eq!(shown.chars().count(), EXCERPT_CHARS);
        assert!(shown.contains("needle"));
        assert_eq!(excerpt("short", None), 0..5);
    }
}
