//! The words of clients that stand for words of the gateway: which are accepted, and whether each
//! comes to one that there is.

use super::{bind::Check, command::FieldType, hint::unknown};
use crate::chat::Status;

/// The words that a field of that type accepts from clients; `None` if any text will do.
pub(super) fn accepted(ty: FieldType, checks: &[Check]) -> Option<Vec<String>> {
    let mut words: Option<Vec<String>> = match ty {
        FieldType::Status => Some(Status::ALL.map(|s| s.as_str().to_owned()).to_vec()),
        _ => None,
    };
    // Backwards: what is asked for last is what a word must come to.
    for check in checks.iter().rev() {
        match (check, &mut words) {
            (Check::OneOf(allowed), _) => words = Some(allowed.clone()),
            (Check::Map(pairs), Some(words)) => {
                words.extend(pairs.iter().map(|(from, _)| from.clone()));
            }
            _ => {}
        }
    }
    words
}

/// Follows every word that a file names for a status through its filters.
///
/// # Errors
/// The first word that comes to no status, and what it comes to.
pub(super) fn check_statuses(checks: &[Check]) -> Result<(), String> {
    let statuses = Status::ALL.map(Status::as_str);
    // What a client says, with what has become of it so far. Words that are not listed pass until
    // a `one_of` closes the list, and are refused where they are said.
    let mut words: Vec<(&str, &str)> = statuses.iter().map(|&s| (s, s)).collect();
    let mut closed = false;
    for check in checks {
        match check {
            Check::OneOf(allowed) => {
                words.retain(|(_, now)| allowed.iter().any(|a| a == now));
                if !closed {
                    let listed: Vec<&str> = words.iter().map(|(_, now)| *now).collect();
                    let others = allowed.iter().map(String::as_str);
                    let others = others.filter(|a| !listed.contains(a));
                    words.extend(others.map(|word| (word, word)));
                }
                closed = true;
            }
            Check::Map(pairs) => {
                if !closed {
                    for (from, _) in pairs {
                        if words.iter().all(|(_, now)| now != from) {
                            words.push((from, from));
                        }
                    }
                }
                for (_, now) in &mut words {
                    if let Some((_, to)) = pairs.iter().find(|(from, _)| from == now) {
                        *now = to;
                    }
                }
            }
            Check::Truncate(_) | Check::MaxChars(_) | Check::Without(_) => {}
        }
    }
    match words.iter().find(|(_, to)| Status::parse(to).is_none()) {
        None => Ok(()),
        Some((word, to)) if word == to => Err(format!(
            "{}; give it one by a filter after it, such as `map {word}=busy`",
            unknown("status", word, &statuses)
        )),
        Some((word, to)) => Err(format!(
            "`{word}={to}`: {}",
            unknown("status", to, &statuses)
        )),
    }
}
