//! From a packet to a command.

use crate::chat::{ChatError, UserId};

use super::{
    Dialect, Inbound, Introduction, Refused, Rule, RuleId,
    bind::{Arguments, Failure, SlotInfo},
    capture::{Captured, Outcome, Slot, Slots, read_packet, read_value},
    command::invalid,
    look,
};

/// Characters of an unknown event's name in a log.
const MAX_SHOWN: usize = 64;

impl Dialect {
    /// Decodes a Socket.IO event given as it came: the JSON array `["name", argument, ...]`.
    ///
    /// # Errors
    /// [`Refused`] for events that the dialect does not have and for arguments that do not fit.
    pub fn decode(&self, packet: &str) -> Result<Inbound, Refused> {
        let refused = |rule: Option<usize>, error| Refused {
            rule: rule.map(rule_id),
            error,
            unknown_event: false,
        };
        let mut slots = Slots::default();
        let at = match read_packet(packet, &self.names, &self.wants, &mut slots) {
            Outcome::Rule(at) => at,
            Outcome::Unknown => {
                return Err(Refused {
                    unknown_event: true,
                    ..refused(None, ChatError::invalid("no such event"))
                });
            }
            Outcome::Broken(at) => {
                let bad = at.and_then(|at| self.rules[at].infos.get(slots.bad?));
                let error = match at {
                    Some(_) => broken(bad),
                    None => ChatError::invalid("not a JSON array that starts with an event's name"),
                };
                return Err(refused(at, error));
            }
        };
        let rule = &self.rules[at];
        let command = command(rule, &slots).map_err(|e| refused(Some(at), e))?;
        let claimed =
            claimed(&rule.claims, &rule.infos, &slots).map_err(|e| refused(Some(at), e))?;
        Ok(Inbound {
            rule: rule_id(at),
            command,
            claimed,
        })
    }

    /// Reads the `auth` value of a CONNECT packet, given as JSON.
    ///
    /// # Errors
    /// `invalid` if it is not JSON or a claim in it is no id; `forbidden` if two claims differ.
    pub fn introduction(&self, auth: &str) -> Result<Introduction, ChatError> {
        let handshake = &self.handshake;
        let mut slots = Slots::default();
        if let Some(want) = handshake.captures.wants.first()
            && !read_value(auth, want, &mut slots)
        {
            let bad = slots.bad.map(|slot| &handshake.captures.infos[slot]);
            return Err(broken(bad));
        }
        let token = handshake
            .token
            .iter()
            .find_map(|slot| match slots.get(*slot) {
                Captured::Text(text) => Some(text.as_ref().to_owned()),
                _ => None,
            });
        let claimed = claimed(&handshake.claims, &handshake.captures.infos, &slots)?;
        Ok(Introduction { token, claimed })
    }
}

fn rule_id(at: usize) -> RuleId {
    // A file with more rules than that does not exist.
    RuleId(u16::try_from(at).unwrap_or(u16::MAX))
}

fn broken(bad: Option<&SlotInfo>) -> ChatError {
    match bad {
        Some(info) => invalid(&info.label, "cannot be read, or is given twice"),
        None => ChatError::invalid("not valid JSON"),
    }
}

/// The first alternative that applies.
fn command(rule: &Rule, slots: &Slots<'_>) -> Result<crate::chat::Command, ChatError> {
    let mut missing = None;
    for alternative in &rule.alternatives {
        let arguments = Arguments {
            bindings: &alternative.bindings,
            infos: &rule.infos,
            slots,
        };
        match (rule.build)(&arguments) {
            Ok(command) => return Ok(command),
            Err(Failure::Refused(error)) => return Err(error),
            Err(Failure::Missing(label)) => missing = missing.or(Some(label)),
            Err(Failure::Other) => {}
        }
    }
    let first = rule.first.map(|slot| slots.get(slot));
    match (missing, first) {
        (Some(label), Some(Captured::Object(_))) => Err(invalid(&label, "is missing")),
        _ => {
            let alternatives = rule.alternatives.iter();
            let expected: Vec<_> = alternatives.map(|a| look::list(&a.looks)).collect();
            let message = format!("the arguments must be {}", expected.join(" or "));
            Err(ChatError::invalid(message))
        }
    }
}

/// The user that a payload names as its own.
fn claimed(
    claims: &[Slot],
    infos: &[SlotInfo],
    slots: &Slots<'_>,
) -> Result<Option<UserId>, ChatError> {
    let mut claimed: Option<UserId> = None;
    for slot in claims {
        let info = &infos[*slot];
        let user = match slots.get(*slot) {
            Captured::Absent | Captured::Null => continue,
            // Another alternative of the same event takes an object there.
            Captured::Object(_) if info.whole => continue,
            Captured::Text(text) => UserId::new(text).ok(),
            _ => None,
        };
        match (user, &claimed) {
            (None, _) => return Err(invalid(&info.label, "must be a user's id")),
            (Some(user), Some(other)) if user != *other => {
                return Err(ChatError::forbidden("the payload names two users"));
            }
            (Some(user), _) => claimed = Some(user),
        }
    }
    Ok(claimed)
}

/// The name of an event given as it came, for logs: at most 64 characters, control characters
/// escaped; empty if it has none.
pub fn event_of(packet: &str) -> String {
    let after = packet.trim_start().strip_prefix('[').unwrap_or_default();
    let mut values = serde_json::Deserializer::from_str(after).into_iter::<String>();
    let name = values.next().and_then(Result::ok).unwrap_or_default();
    name.chars()
        .take(MAX_SHOWN)
        .flat_map(char::escape_debug)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::event_of;

    #[test]
    fn names_of_events_are_fit_for_a_log() {
        let long = format!("[\"{}\"]", "x".repeat(200));
        for (packet, name) in [
            (r#"["say",{"text":"secret"}]"#, "say"),
            (r#" [ "say" ]"#, "say"),
            (r#"["a\n\u001b[31mb","c"]"#, "a\\n\\u{1b}[31mb"),
            (&long, &"x".repeat(64)),
            (r#"[{"text":"secret"}]"#, ""),
            (r#"[7,"secret"]"#, ""),
            ("[]", ""),
            ("", ""),
            (r#"["say"#, ""),
        ] {
            assert_eq!(event_of(packet), name, "{packet}");
        }
    }
}
