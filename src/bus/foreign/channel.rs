//! The names of the channels that Socket.IO's JavaScript packages use on Redis.
//!
//! Only the root namespace is served. Names are never split at `#`, which rooms may contain.

/// The one namespace.
pub const NAMESPACE: &str = "/";

/// The names for one key, `K`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channels {
    everybody: String,
    requests: String,
    responses: String,
}

/// What a channel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel<'a> {
    /// Broadcasts to several rooms, or to everybody.
    Everybody,
    /// Broadcasts to one room.
    Room(&'a str),
    /// Requests to all servers.
    Requests,
}

impl Channels {
    /// The names under a key, `socket.io` unless a backend chose another.
    pub fn new(key: &str) -> Self {
        Self {
            everybody: format!("{key}#{NAMESPACE}#"),
            requests: format!("{key}-request#{NAMESPACE}#"),
            responses: format!("{key}-response#{NAMESPACE}#"),
        }
    }

    /// `K#/#`
    pub fn everybody(&self) -> &str {
        &self.everybody
    }

    /// `K#/#<room>#`
    pub fn room(&self, room: &str) -> String {
        format!("{}{room}#", self.everybody)
    }

    /// `K-request#/#`
    pub fn requests(&self) -> &str {
        &self.requests
    }

    /// `K-response#/#`, to which every server listens.
    pub fn responses(&self) -> &str {
        &self.responses
    }

    /// What a channel of that name is for; `None`: it is not one of these.
    pub fn parse<'a>(&self, name: &'a str) -> Option<Channel<'a>> {
        if name == self.requests {
            return Some(Channel::Requests);
        }
        match name.strip_prefix(&self.everybody)? {
            "" => Some(Channel::Everybody),
            room => room.strip_suffix('#').map(Channel::Room),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_packages() {
        let channels = Channels::new("socket.io");
        assert_eq!(channels.everybody(), "socket.io#/#");
        assert_eq!(channels.requests(), "socket.io-request#/#");
        assert_eq!(channels.responses(), "socket.io-response#/#");
        assert_eq!(channels.room("user:1"), "socket.io#/#user:1#");
    }

    #[test]
    fn rooms_may_contain_anything() {
        let channels = Channels::new("k#1");
        for room in ["a", "a#b", "#", "##", "", "ü", "/#x#"] {
            let name = channels.room(room);
            assert_eq!(channels.parse(&name), Some(Channel::Room(room)), "{name}");
        }
        assert_eq!(channels.parse("k#1#/#"), Some(Channel::Everybody));
        assert_eq!(channels.parse("k#1-request#/#"), Some(Channel::Requests));
        for other in [
            "k#1#/admin#",
            "k#1#/#a",
            "k#1",
            "",
            "k#1-response#/#",
            "k#1-request#/#x#",
        ] {
            assert_eq!(channels.parse(other), None, "{other}");
        }
    }
}
