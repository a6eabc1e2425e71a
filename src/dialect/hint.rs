//! What somebody who wrote a word that a dialect file does not know probably meant.

/// What other vocabularies call the names that dialect files know.
const ALSO: [(&str, &[&str]); 13] = [
    ("content", &["text", "body", "message", "msg"]),
    ("kind", &["type", "messagetype", "contenttype"]),
    ("sender", &["author", "from", "by"]),
    (
        "conversation",
        &[
            "room", "chat", "channel", "thread", "roomid", "chatid", "threadid",
        ],
    ),
    ("created_at", &["timestamp", "time", "date", "sentat"]),
    ("client_id", &["tempid", "localid", "nonce", "key"]),
    ("messages", &["message", "messageid", "ids"]),
    ("avatar", &["image", "picture", "photo"]),
    ("send", &["message", "say", "post", "emit", "publish"]),
    ("read", &["seen", "markread"]),
    ("join", &["enter", "open", "subscribe"]),
    ("set_status", &["status", "presence"]),
    (
        "message.created",
        &["message", "messagenew", "newmessage", "send", "messagesent"],
    ),
];

/// Says that `name` is no such thing, what is allowed, and which of it was probably meant.
pub(super) fn unknown<S: AsRef<str>>(what: &str, name: &str, allowed: &[S]) -> String {
    let list: Vec<&str> = allowed.iter().map(AsRef::as_ref).collect();
    let mut message = format!("unknown {what} \"{name}\"");
    if let Some(meant) = meant(name, &list) {
        message.push_str(&format!(", did you mean \"{meant}\"?"));
    }
    if list.is_empty() {
        message.push_str(" (there are none here)");
    } else {
        message.push_str(&format!(" (allowed: {})", list.join(", ")));
    }
    message
}

/// The allowed name that comes nearest: the same in other spelling, the same with something
/// before it, what others call it, or a slip of the pen.
pub(super) fn meant<'a>(name: &str, allowed: &[&'a str]) -> Option<&'a str> {
    let plain = plain(name);
    if plain.is_empty() {
        return None;
    }
    let by = |fits: &dyn Fn(&str) -> bool| allowed.iter().copied().find(|a| fits(a));
    by(&|a| self::plain(a) == plain)
        .or_else(|| by(&|a| ends_with(a, name) || self::plain(last(a)) == plain))
        .or_else(|| by(&|a| is_also(name, a)))
        .or_else(|| {
            let near = allowed.iter().map(|a| (distance(name, a), *a)).min();
            near.filter(|(d, a)| *d <= 2.max(last(a).len() / 3))
                .map(|(_, a)| a)
        })
}

/// Letters and digits alone: `senderId`, `sender_id` and `sender.id` are the same.
fn plain(name: &str) -> String {
    let kept = name.chars().filter(|c| c.is_alphanumeric());
    kept.flat_map(char::to_lowercase).collect()
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn ends_with(allowed: &str, name: &str) -> bool {
    let rest = allowed.strip_suffix(name);
    rest.is_some_and(|rest| rest.ends_with('.'))
}

/// Whether others call it so; what stands before the last dot must be the same, if it is there.
fn is_also(name: &str, allowed: &str) -> bool {
    if has_name(allowed, name) {
        return true;
    }
    let (parent, word) = name.rsplit_once('.').unwrap_or(("", name));
    let (allowed_parent, known) = allowed.rsplit_once('.').unwrap_or(("", allowed));
    (parent.is_empty() || parent == allowed_parent) && has_name(known, word)
}

fn has_name(known: &str, called: &str) -> bool {
    let called = plain(called);
    let mut also = ALSO.iter().filter(|(name, _)| *name == known);
    also.any(|(_, also)| also.contains(&called.as_str()))
}

/// The number of edits between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant() {
        let paths = [
            "message",
            "message.id",
            "message.conversation",
            "message.seq",
            "message.sender",
            "message.sender.id",
            "message.sender.name",
            "message.kind",
            "message.content",
            "message.created_at",
        ];
        for (name, path) in [
            ("message.senderId", "message.sender.id"),
            ("message.sender_name", "message.sender.name"),
            ("content", "message.content"),
            ("sender.name", "message.sender.name"),
            ("createdAt", "message.created_at"),
            ("message.text", "message.content"),
            ("text", "message.content"),
            ("message.type", "message.kind"),
            ("message.conversationId", "message.conversation"),
            ("message.timestamp", "message.created_at"),
            ("message.createdAt", "message.created_at"),
            ("${message.conversation}", "message.conversation"),
            ("mesage.id", "message.id"),
        ] {
            assert_eq!(meant(name, &paths), Some(path), "{name}");
        }
        for name in ["", "...", "hello", "message.banana", "receipt.flavour"] {
            assert_eq!(meant(name, &paths), None, "{name}");
        }
        assert_eq!(meant("message", &["join", "leave", "send"]), Some("send"));
        assert_eq!(
            meant("message", &["conversation", "messages"]),
            Some("messages")
        );
        assert_eq!(meant("joins", &["join", "leave", "send"]), Some("join"));
    }
}
