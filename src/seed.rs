//! Conversations to try things out with. Seeding twice changes nothing.

use std::sync::Arc;

use crate::chat::{
    Actor, Chat, ChatResult, ConversationId, NewConversation, Profile, SendMessage, UserId,
};

const PEOPLE: [(&str, &str); 3] = [("alice", "Alice"), ("bob", "Bob"), ("carol", "Carol")];
const GROUP: &str = "demo-group";

const DIRECT_TALK: [(usize, &str); 5] = [
    (0, "Hi Bob, is the flat with the green door still free?"),
    (1, "It is! Viewings are on Thursday."),
    (0, "Thursday at six?"),
    (1, "Six is fine. I'll leave the porch light on."),
    (0, "Perfect, see you then."),
];

const GROUP_TALK: [(usize, &str); 4] = [
    (2, "Welcome to the house committee."),
    (0, "Thanks for setting this up, Carol."),
    (1, "Who brings the cake?"),
    (2, "Whoever asks first."),
];

/// Makes three people, a direct and a group conversation, and what was said there. Returns what
/// to tell whoever asked for it.
pub async fn seed(chat: &Arc<Chat>) -> ChatResult<String> {
    let mut actors = Vec::new();
    for (id, name) in PEOPLE {
        let profile = Profile {
            name: name.into(),
            ..Profile::unknown(UserId::trusted(id))
        };
        let profile = chat.introduce(&profile).await?;
        // As a service caller, which may choose the group's id.
        actors.push(Actor {
            service: true,
            ..Actor::user(profile)
        });
    }
    let [alice, bob, carol] = PEOPLE.map(|(id, _)| UserId::trusted(id));

    let direct = NewConversation::Direct {
        other: bob.clone(),
        id: None,
    };
    let (direct, _) = chat.create(&actors[0], direct).await?;
    talk(chat, &actors, &direct.id, &DIRECT_TALK).await?;

    let id = ConversationId::trusted(GROUP);
    if chat.conversation(&actors[2], &id).await.is_err() {
        let group = NewConversation::Group {
            title: "House committee".into(),
            participants: vec![alice, bob],
            id: Some(id.clone()),
        };
        chat.create(&actors[2], group).await?;
    }
    talk(chat, &actors, &id, &GROUP_TALK).await?;
    Ok(format!(
        "alice, bob and {carol} have something to talk about:\n  direct  {}\n  group   {id}\n",
        direct.id
    ))
}

async fn talk(
    chat: &Chat,
    actors: &[Actor],
    conversation: &ConversationId,
    lines: &[(usize, &str)],
) -> ChatResult<()> {
    for (n, (who, text)) in lines.iter().enumerate() {
        let message = SendMessage {
            to: conversation.clone().into(),
            content: (*text).into(),
            kind: None,
            client_id: Some(format!("seed:{conversation}:{n}").into()),
            attachments: Vec::new(),
            metadata: None,
        };
        chat.send(&actors[*who], message).await?;
    }
    Ok(())
}
