// The dialects as far as every one of them can talk: how somebody enters a conversation, says
// something to it (a receiver where the dialect wants one), and what a message looks like to them.
// One entry makes another dialect take part in mixed.mjs and paths.mjs.

export const DIALECTS = {
  standard: {
    greeting: 'connected',
    enter: (client, id) => client.done('conversation:join', id),
    say: (client, id, content) => client.done('message:send', { conversationId: id, content }),
    heard: ['message:new', (m) => [m.conversationId, m.senderId, m.content]],
    /** Whether other devices of the sender hear it, and whether the very connection does. */
    own: true,
    echo: false,
  },
  platform: {
    greeting: 'connection:success',
    enter: (client, id) => client.done('conversation:join', id),
    say: (client, id, content) => client.done('message:send', { conversationId: id, content }),
    heard: ['message:received', ({ message: m }) => [m.conversationId, m.senderId, m.content]],
    own: true,
    echo: true,
  },
  threads: {
    greeting: 'connection_status',
    enter: (client, id) => client.done('join_message_thread', id),
    say: (client, id, message) => client.done('send_message', { messageId: id, message, messageType: 'text' }),
    heard: ['new_message', (m) => [m.messageId, m.sender.id, m.message]],
    own: true,
    echo: false,
  },
  inkspot: {
    greeting: null,
    enter: (client, id) => client.done('join-conversation', id),
    say: (client, id, content) => client.done('send-message', { conversationId: id, content, messageType: 'text' }),
    heard: ['new-message', (m) => [m.conversationId, m.senderId, m.content]],
    own: true,
    echo: false,
  },
  direct: {
    greeting: null,
    enter: (client) => client.done('newUser', client.who),
    say: (client, id, text, receiverId) => client.done('sendMessage', { receiverId, data: { text, chatId: id } }),
    heard: ['getMessage', (m) => [m.chatId, m.senderId, m.text]],
    own: false,
    echo: false,
  },
};
export const names = Object.keys(DIALECTS);
